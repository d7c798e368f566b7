package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/io/store/storetest"
	"github.com/braidhq/braid/transforms/update"
)

const memoryDir = "/store"

func on(fs vfs.FS, d pebble.Durability) pebble.Options {
	o := small(d)
	o.FS = fs
	return o
}

// changes makes a file system that asks before each change of the disk, one at a time, counted from 0 once it is armed.
func changes(fs vfs.FS, armed *atomic.Bool, before func(n int, op errorfs.Op) error) vfs.FS {
	var mu sync.Mutex
	n := 0
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose || op.Kind == errorfs.OpFilePreallocate || !armed.Load() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return before(n-1, op)
	}))
}

// TestCrashBetweenAnyTwoWrites stops the world before every single change of the disk while a ledger is being written, and opens
// what a crash at that moment would leave: for Process all that was handed to the operating system, for Fsync what was synced and
// any part of what was not. All acknowledged commits have to be there, and none in part.
func TestCrashBetweenAnyTwoWrites(t *testing.T) {
	for _, test := range []struct {
		durability pebble.Durability
		unsynced   []int // percent of what was not synced that survives, in turn
	}{{pebble.Process, []int{100}}, {pebble.Fsync, []int{0, 50, 100}}} {
		t.Run(string(test.durability), func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			var armed atomic.Bool
			armed.Store(true) // the making of a new store may be cut short as well
			var acknowledged atomic.Int64
			crashes := 0
			ledger := storetest.Ledger{}
			rng := rand.New(rand.NewPCG(1, 2))
			fs := changes(disk, &armed, func(n int, op errorfs.Op) error {
				if testing.Short() && n%10 > 0 {
					return nil
				}
				least := int(acknowledged.Load())
				after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: test.unsynced[n%len(test.unsynced)], RNG: rng})
				most := int(acknowledged.Load()) + 1
				crashes++
				s, err := pebble.Open(memoryDir, on(after, test.durability))
				if err != nil {
					t.Errorf("crash %d, before %v: %v", n, op, err)
					return nil
				}
				found, err := ledger.Applied(context.Background(), s)
				if err != nil || found < least || found > most {
					t.Errorf("crash %d, before %v: found %d commits, want %d to %d: %v", n, op, found, least, most, err)
				}
				if _, err := ledger.Append(context.Background(), s); err != nil {
					t.Errorf("crash %d, before %v: going on: %v", n, op, err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("crash %d, before %v: Close: %v", n, op, err)
				}
				return nil
			})
			s := open(t, memoryDir, on(fs, test.durability))
			for range 200 {
				if _, err := ledger.Append(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				acknowledged.Add(1)
				if t.Failed() {
					break
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d crashes", crashes)
		})
	}
}

// TestDiskErrors lets the disk fail at one change after another. The store says so instead of ending the process, writes nothing
// any more, and the directory opens again with all that was acknowledged.
func TestDiskErrors(t *testing.T) {
	for _, d := range []pebble.Durability{pebble.Process, pebble.Fsync} {
		for n := 0; n < 400; n += 1 + n/8 {
			t.Run(fmt.Sprintf("%s/change=%d", d, n), func(t *testing.T) {
				t.Parallel()
				disk := vfs.NewMem()
				var armed atomic.Bool
				s := open(t, memoryDir, on(changes(disk, &armed, func(i int, _ errorfs.Op) error {
					if i >= n {
						return syscall.EIO
					}
					return nil
				}), d))
				armed.Store(true)
				ledger := storetest.Ledger{}
				acknowledged := 0
				var failure error
				for range 500 {
					if _, failure = ledger.Append(t.Context(), s); failure != nil {
						break
					}
					acknowledged++
				}
				if !errors.Is(failure, pebble.ErrFailed) || !errors.Is(failure, syscall.EIO) || !strings.Contains(failure.Error(), memoryDir) {
					t.Errorf("the commit failed with %v", failure)
				}
				if _, err := ledger.Append(t.Context(), s); !errors.Is(err, pebble.ErrFailed) {
					t.Errorf("after the failure: %v", err)
				}
				if err := s.Close(); !errors.Is(err, pebble.ErrFailed) {
					t.Errorf("Close: %v", err)
				}
				s = open(t, memoryDir, on(disk, d))
				found, err := ledger.Applied(t.Context(), s)
				if err != nil || found < acknowledged || found > acknowledged+1 {
					t.Errorf("found %d commits, %d were acknowledged: %v", found, acknowledged, err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestDiskFull: while there is no space commits fail and reads go on; when there is, the store goes on by itself.
func TestDiskFull(t *testing.T) {
	disk := vfs.NewMem()
	var full atomic.Bool
	fs := changes(disk, &full, func(int, errorfs.Op) error { return syscall.ENOSPC })
	s := open(t, memoryDir, on(fs, pebble.Process))
	ledger := storetest.Ledger{}
	acknowledged := 0
	for range 6 {
		for range 60 {
			n, err := ledger.Append(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			acknowledged = n
		}
		full.Store(true)
		if _, err := ledger.Append(t.Context(), s); !errors.Is(err, pebble.ErrDiskFull) || !strings.Contains(err.Error(), memoryDir) {
			t.Fatalf("on a full disk: %v", err)
		}
		if _, err := s.Get(t.Context(), [][]byte{[]byte("somewhere else")}); err != nil && !errors.Is(err, pebble.ErrDiskFull) {
			t.Fatalf("Get: %v", err)
		}
		full.Store(false)
		until(t, func() bool {
			_, err := ledger.Append(t.Context(), s)
			return err == nil
		})
		n, err := ledger.Applied(t.Context(), s)
		if err != nil || n < acknowledged+1 {
			t.Fatalf("found %d commits after %d: %v", n, acknowledged, err)
		}
		acknowledged = n
	}
	full.Store(true)
	if _, err := ledger.Append(t.Context(), s); !errors.Is(err, pebble.ErrDiskFull) {
		t.Fatalf("on a full disk: %v", err)
	}
	if err := s.Close(); !errors.Is(err, pebble.ErrDiskFull) {
		t.Fatalf("Close: %v", err)
	}
	full.Store(false)
	s = open(t, memoryDir, on(fs, pebble.Process))
	if n, err := ledger.Applied(t.Context(), s); err != nil || n < acknowledged || n > acknowledged+1 {
		t.Fatalf("found %d commits after %d: %v", n, acknowledged, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFullInMidWrite: what a write left behind before the disk was full is not written twice.
func TestDiskFullInMidWrite(t *testing.T) {
	disk := vfs.NewMem()
	fs := &halfFS{FS: disk}
	s := open(t, memoryDir, on(fs, pebble.Process))
	ledger := storetest.Ledger{}
	acknowledged := 0
	for range 8 {
		fs.failures.Store(3)
		until(t, func() bool {
			_, err := ledger.Append(t.Context(), s)
			return err == nil
		})
		acknowledged++
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, memoryDir, on(disk, pebble.Process))
	if n, err := ledger.Applied(t.Context(), s); err != nil || n < acknowledged {
		t.Fatalf("found %d commits after %d: %v", n, acknowledged, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// halfFS writes half of what it is given and then says that the disk is full, as often as failures says.
type halfFS struct {
	vfs.FS
	failures atomic.Int64
}

func (h *halfFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.Create(name, category)
	return &halfFile{f, h}, err
}

type halfFile struct {
	vfs.File
	fs *halfFS
}

func (f *halfFile) Write(p []byte) (int, error) {
	if f.fs.failures.Add(-1) < 0 {
		return f.File.Write(p)
	}
	n, err := f.File.Write(p[:len(p)/2])
	return n, errors.Join(err, syscall.ENOSPC)
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("gave up after a minute")
		}
	}
}

// TestReadsAreSafe: a commit whose log write is under way is not shown to anybody, neither what it wrote nor what it deleted.
func TestReadsAreSafe(t *testing.T) {
	disk := vfs.NewMem()
	var armed atomic.Bool
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			once.Do(func() { close(reached) })
			<-release
		}
		return nil
	}))
	s := open(t, memoryDir, on(fs, pebble.Fsync))
	key := func(name string) []byte { return []byte(name) }
	v, err := s.Commit(t.Context(), nil, []update.Write{{Key: key("gone"), Value: key("1")}, {Key: key("stays"), Value: key("1")}})
	if err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	committed := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.Background(), []update.Condition{{Key: key("gone"), Version: v}}, []update.Write{{Key: key("gone")}, {Key: key("new"), Value: key("2")}})
		committed <- err
	}()
	<-reached
	for name, read := range map[string]func(context.Context) error{
		"a deleted row": func(ctx context.Context) error { _, err := s.Get(ctx, [][]byte{key("gone")}); return err },
		"a new row":     func(ctx context.Context) error { _, err := s.Get(ctx, [][]byte{key("new")}); return err },
		"a scan":        func(ctx context.Context) error { _, err := s.Scan(ctx, nil, nil, 10); return err },
		"a commit that only looks": func(ctx context.Context) error {
			_, err := s.Commit(ctx, []update.Condition{{Key: key("gone")}}, nil)
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s was shown before the log was synced: %v", name, err)
		}
		cancel()
	}
	if rows, err := s.Get(t.Context(), [][]byte{key("stays")}); err != nil || rows[0].Version != v {
		t.Errorf("a row that did not change: %v, %v", rows, err)
	}
	close(release)
	if err := <-committed; err != nil {
		t.Error(err)
	}
	if rows, err := s.Get(t.Context(), [][]byte{key("gone"), key("new")}); err != nil || rows[0].Version != 0 || string(rows[1].Value) != "2" {
		t.Errorf("after the sync: %v, %v", rows, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
