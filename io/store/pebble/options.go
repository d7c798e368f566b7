package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/dustin/go-humanize"
)

// Durability says what an acknowledged commit survives.
type Durability string

const (
	// Process: the commit was handed to the operating system. It survives the death of the process, kill -9 included, but the
	// last moments may be lost when the machine loses power. The same promise as the embedded broker's default.
	Process Durability = "process"
	// Fsync: the commit is on the disk before it is acknowledged and survives a power cut.
	Fsync Durability = "fsync"
)

// Options say how a store uses memory and disk. The zero value is the default.
type Options struct {
	Durability Durability   // what an acknowledged commit survives; default Process
	MemTable   int64        // bytes of recent writes held in memory, up to three times over while the disk is behind; default 24 MiB
	Cache      int64        // bytes of the cache of blocks read from disk; default 32 MiB
	Rows       int64        // bytes of rows written or read last that are held in memory as well; default 128 MiB
	Logger     *slog.Logger // default slog.Default()
	FS         vfs.FS       // the file system; default the real one
}

func (o Options) withDefaults() (Options, error) {
	if o.Durability == "" {
		o.Durability = Process
	}
	if o.Durability != Process && o.Durability != Fsync {
		return o, fmt.Errorf("durability %q, must be %q or %q", o.Durability, Process, Fsync)
	}
	if o.MemTable == 0 {
		o.MemTable = 24 << 20
	}
	if o.Cache == 0 {
		o.Cache = 32 << 20
	}
	if o.Rows == 0 {
		o.Rows = 128 << 20
	}
	if o.MemTable < 1<<20 || o.MemTable > 1<<30 {
		return o, fmt.Errorf("memtable of %s, must be 1 MiB to 1 GiB", humanize.IBytes(uint64(max(0, o.MemTable))))
	}
	if o.Cache < 1<<20 || o.Cache > 1<<40 {
		return o, fmt.Errorf("cache of %s, must be 1 MiB to 1 TiB", humanize.IBytes(uint64(max(0, o.Cache))))
	}
	if o.Rows < 1<<20 || o.Rows > 1<<40 {
		return o, fmt.Errorf("rows of %s, must be 1 MiB to 1 TiB", humanize.IBytes(uint64(max(0, o.Rows))))
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	return o, nil
}

// ParseURL reads the directory and the options from a URL of the form pebble:DIR?durability=fsync&memtable=64MiB&cache=128MiB.
func ParseURL(u *url.URL) (dir string, o Options, err error) {
	if dir, err = url.PathUnescape(u.Opaque); err != nil {
		return "", o, fmt.Errorf("store URL %q: %w", u, err)
	}
	dir += u.Path
	if u.Host != "" || u.Fragment != "" || u.User != nil || dir == "" {
		return "", o, fmt.Errorf("store URL %q: write it as pebble:DIRECTORY or pebble:DIRECTORY?option=value", u.Redacted())
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", o, fmt.Errorf("store URL %q: %w", u, err)
	}
	for name, values := range query {
		if len(values) != 1 {
			err = errors.New("given more than once")
		} else {
			err = o.set(name, values[0])
		}
		if err != nil {
			return "", o, fmt.Errorf("store URL %q: option %s: %w", u, name, err)
		}
	}
	if _, err = o.withDefaults(); err != nil {
		return "", o, fmt.Errorf("store URL %q: %w", u, err)
	}
	return dir, o, nil
}

func (o *Options) set(name, value string) error {
	size := func(to *int64) error {
		n, err := humanize.ParseBytes(value)
		if err != nil || n == 0 || n > 1<<50 {
			return fmt.Errorf("%q is not a size such as 64MiB", value)
		}
		*to = int64(n)
		return nil
	}
	switch name {
	case "durability":
		o.Durability = Durability(strings.ToLower(value))
		return nil
	case "memtable":
		return size(&o.MemTable)
	case "cache":
		return size(&o.Cache)
	case "rows":
		return size(&o.Rows)
	}
	return errors.New("unknown; known are durability, memtable, cache, rows")
}
