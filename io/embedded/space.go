package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// ErrDiskFull is wrapped by the error of Check while the disk has no space left.
var ErrDiskFull = errors.New("disk full")

// spaceFile is written by Check to see whether there is space again; probeBytes is how much.
const (
	spaceFile  = "space"
	probeBytes = 64 << 10
)

// space knows whether the broker's disk is full.
type space struct {
	dir  string
	full atomic.Bool
}

// hear looks for a full disk in what the broker has to say.
func (s *space) hear(args []any) {
	for _, arg := range args {
		if err, ok := arg.(error); ok && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
			s.full.Store(true)
		}
	}
}

// Check reports why records cannot be acknowledged now, or nil. A full disk is waited for: when there is space again, the broker goes on
// by itself.
func (b *Broker) Check() error {
	if !b.space.full.Load() {
		return nil
	}
	b.space.full.Store(false)
	if err := b.space.probe(); err != nil {
		b.space.full.Store(true)
		return fmt.Errorf("broker directory %q: %w: free some space, the broker then goes on by itself: %w", b.space.dir, ErrDiskFull, err)
	}
	return nil
}

// probe takes some space and gives it back.
func (s *space) probe() error {
	name := filepath.Join(s.dir, spaceFile)
	err := os.WriteFile(name, make([]byte, probeBytes), 0o600)
	if gone := os.Remove(name); err == nil {
		err = gone
	}
	return err
}
