package faults_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/braidhq/braid/testing/faults"
	"github.com/braidhq/braid/testing/require"
)

// smallDisk mounts a disk of some MB, which ends with the test.
func smallDisk(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes))
	require.Component(t, "mount", err == nil, fmt.Sprintf("run the test as root, who may mount a small disk (%v)", err))
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all space that is left on a disk, and returns what gives it back.
func fill(t *testing.T, dir string) (release func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC) && n == 0:
			size /= 2
		case err != nil && !errors.Is(err, syscall.ENOSPC):
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that fills up: braid says so in its log and in /readyz, waits, and goes on when there is space; also when it was killed
// meanwhile. Nothing is lost and nothing counts twice.
func TestDiskFull(t *testing.T) {
	for _, c := range []struct {
		name   string
		lines  func(disk string) string
		inside bool   // whether the whole data directory is on the disk
		broker bool   // whether only the broker's part of it is
		log    string // what the log says
	}{
		{"store", func(disk string) string { return fmt.Sprintf("store: 'pebble:%s/store'", disk) }, false, false, "disk full"},
		{"broker", func(string) string { return "" }, false, true, "no space left"},
		{"everything", func(string) string { return "" }, true, false, "no space left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			disk := smallDisk(t, 64)
			data := filepath.Join(disk, "data")
			if !c.inside {
				data = filepath.Join(t.TempDir(), "data")
			}
			if c.broker {
				if err := errors.Join(os.MkdirAll(data, 0o700), os.Symlink(disk, filepath.Join(data, "kafka"))); err != nil {
					t.Fatal(err)
				}
			}
			place := faults.NewPlaceAt(t, data, c.lines(disk))
			crowd := people(100)
			load := faults.StartLoader(crowd, 3, 20)
			process := place.Start().Ready()
			load.Target(process)
			for _, killed := range []bool{false, true} {
				more(t, load, 500)
				release := fill(t, disk)
				process.NotReady("disk full: free some space")
				process.Logs(c.log)
				if !process.Running() {
					t.Fatalf("braid ended:\n%s", process.Log())
				}
				if killed {
					process.Kill()
				}
				release()
				if killed {
					process = place.Start().Ready()
					load.Target(process)
				}
				process.Ready()
			}
			more(t, load, 500)
			settle(t, place, process, load, crowd)
		})
	}
}
