package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrDiskFull is wrapped by the errors of a store whose disk has no space left. It goes on by itself when there is space again.
var ErrDiskFull = errors.New("disk full")

// ErrFailed is wrapped by the errors of a store that met a failure it cannot go on after. Close it and open it again.
var ErrFailed = errors.New("store failed")

// gate stands between the library and the disk. The library panics or ends the process when a write fails at the wrong moment; so
// it never sees one fail: while the disk is full its write is tried again and again, and after any other failure it waits for ever.
// Callers of the store do not wait with it: they watch trouble.
type gate struct {
	dir    string
	log    *slog.Logger
	unlock func() error
	guard  atomic.Bool  // set once the store is open; until then errors go to the library, which returns them from Open
	ops    sync.RWMutex // held shared while an operation is with the disk

	mu     sync.Mutex
	full   int   // operations that wait for space
	failed error // the first failure, nil while all is well
	alarm  chan struct{}
}

func newGate(dir string, log *slog.Logger) *gate {
	return &gate{dir: dir, log: log, alarm: make(chan struct{})}
}

// trouble is closed when err has something to say. Ask for it before asking err.
func (g *gate) trouble() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.alarm
}

// err says why commits cannot be acknowledged now, or nil.
func (g *gate) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.failed != nil:
		return g.failed
	case g.full > 0:
		return fmt.Errorf("store directory %q: %w: free some space, the store then goes on by itself", g.dir, ErrDiskFull)
	}
	return nil
}

// broken says why the store cannot go on at all, or nil.
func (g *gate) broken() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// fail records the failure after which nothing is written any more.
func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return
	}
	g.failed = fmt.Errorf("store directory %q: %w, all acknowledged commits are safe; check the disk, then open it again: %w", g.dir, ErrFailed, err)
	g.log.Error("store failed", "directory", g.dir, "error", err)
	if g.full == 0 {
		close(g.alarm)
	}
}

// wait counts an operation among those that wait for space, or out again.
func (g *gate) wait(change int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.full
	g.full += change
	switch {
	case before == 0 && g.full > 0:
		g.log.Error("store: disk full, waiting for space", "directory", g.dir)
		if g.failed == nil {
			close(g.alarm)
		}
	case before > 0 && g.full == 0:
		g.log.Info("store: going on, there is space again", "directory", g.dir)
		if g.failed == nil {
			g.alarm = make(chan struct{})
		}
	}
}

// do performs one operation that changes the disk. A retriable one that finds the disk full is performed again until it succeeds.
func (g *gate) do(retriable bool, op func() error) error {
	for waiting := false; ; {
		err := g.once(op)
		if waiting && !isDiskFull(err) {
			g.wait(-1)
			waiting = false
		}
		if err == nil || !g.guard.Load() {
			return err
		}
		if !retriable || !isDiskFull(err) {
			g.fail(err)
			select {} // see the type's comment
		}
		if !waiting {
			g.wait(+1)
			waiting = true
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (g *gate) once(op func() error) error {
	if g.guard.Load() && g.broken() != nil {
		select {}
	}
	g.ops.RLock()
	defer g.ops.RUnlock()
	return op()
}

// freeze waits for the operations that are with the disk, and lets no other one through ever: the directory may then be opened anew.
func (g *gate) freeze() { g.ops.Lock() }

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
