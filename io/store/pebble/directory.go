package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FormatVersion is the version of the layout of the data directory that this program writes. It opens this one and older ones.
const FormatVersion = 1

const (
	formatFile   = "BRAID-STORE"
	formatPrefix = "braid store, format "
	lockFile     = "LOCK"
)

// canonical gives a directory one name, because locks within a process go by name.
func canonical(files vfs.FS, dir string) (string, error) {
	if files != vfs.Default {
		return dir, nil
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return dir, err
	}
	if resolved, err := filepath.EvalSymlinks(full); err == nil { // it may not exist yet
		return resolved, nil
	}
	return full, nil
}

// prepareDirectory makes sure that dir is a store's directory of a format this program knows and that nobody else uses it. It
// returns what gives the directory free again.
func prepareDirectory(files vfs.FS, dir string) (unlock func() error, err error) {
	if err := files.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("store directory %q cannot be made: %w", dir, err)
	}
	names, err := files.List(dir)
	if err != nil {
		return nil, fmt.Errorf("store directory %q cannot be read: %w", dir, err)
	}
	if err := checkForeign(names); err != nil {
		return nil, fmt.Errorf("store directory %q: %w", dir, err)
	}
	lock, err := files.Lock(files.PathJoin(dir, lockFile))
	if path := new(fs.PathError); errors.As(err, &path) { // the file cannot be made; a lock held by another is a bare error number
		return nil, fmt.Errorf("store directory %q cannot be written: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store directory %q is in use, most likely by another braid process; stop that one, or give this one a "+
			"directory of its own: %w", dir, err)
	}
	if err := checkFormat(files, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("store directory %q: %w", dir, err), lock.Close())
	}
	return sync.OnceValue(lock.Close), nil
}

// checkForeign refuses to mix a store into a directory that holds other things.
func checkForeign(names []string) error {
	for _, name := range names {
		if name == formatFile {
			return nil
		}
	}
	for _, name := range names {
		if name != lockFile && name != formatFile+".new" {
			return fmt.Errorf("holds %q and is no store; give an empty directory or one that does not exist yet", name)
		}
	}
	return nil
}

// checkFormat reads the format file, or writes it into a new directory.
func checkFormat(files vfs.FS, dir string) error {
	name := files.PathJoin(dir, formatFile)
	f, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(files, dir, name)
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, 100))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(text)), formatPrefix)
	version, err := strconv.Atoi(number)
	if !ok || err != nil || version < 1 {
		return fmt.Errorf("file %s is damaged: %q", formatFile, text)
	}
	if version > FormatVersion {
		return fmt.Errorf("was written in format %d by a newer braid; this one knows formats up to %d: install the newer version", version, FormatVersion)
	}
	return nil
}

// writeFormat puts the file in place whole, so that a crash leaves either none or a good one.
func writeFormat(files vfs.FS, dir, name string) error {
	f, err := files.Create(name+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(formatPrefix + strconv.Itoa(FormatVersion) + "\n"))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := files.Rename(name+".new", name); err != nil {
		return err
	}
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// errBorn says that a directory may hold commits.
var errBorn = errors.New("the store may hold commits")

// clearUnborn empties the directory of a store whose making was cut short by a crash, so that it can be made again: the library does not
// sync the entry of its first manifest before the marker that names it. A directory with a table, or with anything in a log, is
// left as it is.
func clearUnborn(files vfs.FS, dir string) error {
	names, err := files.List(dir)
	if err != nil {
		return err
	}
	var made []string
	for _, name := range names {
		switch extension := filepath.Ext(name); {
		case name == lockFile || name == formatFile:
			continue
		case extension == ".log":
			info, err := files.Stat(files.PathJoin(dir, name))
			if err != nil {
				return err
			}
			if info.Size() > 0 {
				return errBorn
			}
		case extension != "" && extension != ".new" && !strings.HasPrefix(name, "marker."):
			return errBorn
		}
		made = append(made, name)
	}
	for _, name := range made {
		if err := files.Remove(files.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
