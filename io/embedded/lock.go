package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lockFile is the name of the file that is locked while a directory is in use; it holds the process ID and the start time.
const lockFile = "lock"

// ErrLocked is wrapped by the error of LockDirectory when another holder has the directory.
var ErrLocked = errors.New("directory is in use")

// DirectoryLock is the right to be the only process that works in a directory. It ends with Release or with the process.
type DirectoryLock struct {
	file *os.File
}

// LockDirectory creates the directory if needed (mode 0700) and locks it. When another process, or another part of this one, holds
// it, the error wraps ErrLocked and names the holder.
func LockDirectory(dir string) (*DirectoryLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		holder := readHolder(f)
		f.Close()
		if errors.Is(err, errWouldBlock) {
			return nil, fmt.Errorf("%s: %w by %s; stop that process or name another directory", dir, ErrLocked, holder)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	text := fmt.Sprintf("process %d, since %s\n", os.Getpid(), time.Now().Format(time.RFC3339))
	if err := errors.Join(f.Truncate(0), writeAt(f, text)); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return &DirectoryLock{file: f}, nil
}

// Release gives the directory back. The lock file stays, empty: removing it would let two processes lock two files of one name.
func (l *DirectoryLock) Release() error {
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Truncate(0), l.file.Close())
	l.file = nil
	return err
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func readHolder(f *os.File) string {
	raw, err := io.ReadAll(io.LimitReader(f, 200))
	text := strings.TrimSpace(string(raw))
	if err != nil || text == "" {
		return "another process"
	}
	return text
}
