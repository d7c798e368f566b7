package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/braidhq/braid/transforms/profile"
)

func init() {
	profile.RegisterHistories("snapshots", func(_ context.Context, u *url.URL) (profile.Histories, error) {
		d, err := Open(u.Path)
		if d != nil && d.Latest() != nil { // a good one is in use
			err = nil
		}
		return d, err
	})
}

// URL returns the name under which DoFns open the snapshots of a directory.
func URL(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return (&url.URL{Scheme: "snapshots", Path: dir}).String()
}

// lookEvery is how often a directory is looked at for a snapshot that another process published.
const lookEvery = time.Second

// Directory holds the snapshots of one segment. It is safe for concurrent use. Any number of processes may read a directory; one at a
// time writes.
type Directory struct {
	path    string
	current atomic.Pointer[Snapshot]
	looked  atomic.Int64
	mu      sync.Mutex // of those who look or publish
}

var directories = struct {
	sync.Mutex
	open map[string]*Directory
}{open: map[string]*Directory{}}

// Open returns the snapshots of a directory, which need not exist. Within a process one directory is opened once and shared. When the
// snapshot that counts cannot be read, the error says why, and the directory has the latest that can be, or none.
func Open(path string) (*Directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	directories.Lock()
	d := directories.open[path]
	if d == nil {
		d = &Directory{path: path}
		directories.open[path] = d
	}
	directories.Unlock()
	err = d.Look()
	if err != nil && d.Latest() == nil {
		d.fallBack()
	}
	return d, err
}

// fallBack takes the latest snapshot that can be read.
func (d *Directory) fallBack() {
	d.mu.Lock()
	defer d.mu.Unlock()
	numbers, err := manifests(d.path)
	if err != nil {
		return
	}
	for _, number := range slices.Backward(numbers) {
		m, err := readManifest(d.path, manifestName(number))
		if err != nil {
			continue
		}
		if s, err := open(d.path, m, d.known(nil)); err == nil {
			d.current.Store(s)
			return
		}
	}
}

// Latest returns the snapshot that counts, nil while there is none.
func (d *Directory) Latest() *Snapshot { return d.current.Load() }

// Current returns the snapshot that counts, as a history. When a newer one was published elsewhere that cannot be read, the last good
// one stays in use.
func (d *Directory) Current() profile.History {
	if now := time.Now().UnixNano(); now-d.looked.Load() > int64(lookEvery) && d.mu.TryLock() {
		d.looked.Store(now)
		_ = d.look()
		d.mu.Unlock()
	}
	if s := d.current.Load(); s != nil {
		return s
	}
	return nil
}

// Look makes the snapshot that was published last the one that counts. After an error it is the last good one.
func (d *Directory) Look() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked.Store(time.Now().UnixNano())
	return d.look()
}

func (d *Directory) look() error {
	name, err := readCurrent(d.path)
	if err != nil || name == "" {
		return err
	}
	old := d.current.Load()
	if old != nil && manifestName(old.Number) == name {
		return nil
	}
	m, err := readManifest(d.path, name)
	if err != nil {
		return err
	}
	s, err := open(d.path, m, d.known(old))
	if err != nil {
		return err
	}
	d.current.Store(s)
	return nil
}

// known returns the files of a snapshot that are open already.
func (d *Directory) known(s *Snapshot) func(File) *table {
	return func(f File) *table {
		if s == nil {
			return nil
		}
		for _, t := range slices.Concat(s.cells, s.imported) {
			if t.file == f {
				return t
			}
		}
		return nil
	}
}

// deltas is how many files of cells a snapshot may have; then they become one. So they do when the deltas are as large as a part of the
// base.
const (
	deltas  = 8
	portion = 4
)

// Next begins the snapshot that comes after the latest one.
func (d *Directory) Next(segment string, epoch uint64, definitions []string) (*Draft, error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	numbers, err := manifests(d.path)
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	draft := &Draft{directory: d, base: d.Latest(), manifest: Manifest{Format: Format, Segment: segment, Number: 1, Epoch: epoch, Definitions: definitions}}
	if b := draft.base; b != nil {
		draft.manifest.Imported, draft.manifest.Columns = b.Manifest.Imported, b.Columns
	}
	if n := len(numbers); n > 0 {
		draft.manifest.Number = numbers[n-1] + 1
	}
	return draft, nil
}

// Oldest returns the least epoch of the snapshots that are kept; ok is false when there is none.
func (d *Directory) Oldest() (epoch uint64, ok bool, err error) {
	numbers, err := manifests(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	for _, number := range numbers {
		m, err := readManifest(d.path, manifestName(number))
		if err != nil {
			return 0, false, err
		}
		if !ok || m.Epoch < epoch {
			epoch, ok = m.Epoch, true
		}
	}
	return epoch, ok, nil
}

// Forget removes all snapshots but the latest so many, and the files that none of them has.
func (d *Directory) Forget(keep int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	numbers, err := manifests(d.path)
	if err != nil {
		return err
	}
	current, err := readCurrent(d.path)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for i, number := range numbers {
		name := manifestName(number)
		if i < len(numbers)-keep && name != current {
			if err := os.Remove(filepath.Join(d.path, name)); err != nil {
				return err
			}
			continue
		}
		m, err := readManifest(d.path, name)
		if err != nil {
			return err
		}
		for _, f := range slices.Concat(m.Cells, m.Imported) {
			used[f.Name] = true
		}
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		stale := strings.HasSuffix(e.Name(), ".arrow") && !used[e.Name()] || strings.HasPrefix(e.Name(), temporary)
		if stale {
			if err := os.Remove(filepath.Join(d.path, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
