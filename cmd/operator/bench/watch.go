package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"
)

// watch measures from when it was started.
type watch struct {
	began time.Time
	used  float64 // processor seconds by then
}

func startWatch() *watch {
	resetPeak()
	return &watch{began: time.Now(), used: processorSeconds()}
}

func (w *watch) cpu() float64 { return processorSeconds() - w.used }

// backlog returns the figures of a backlog that was worked off at a time.
func (w *watch) backlog(events int, ended time.Time) *Backlog {
	b := &Backlog{Events: events, Seconds: ended.Sub(w.began).Seconds(), CPUSeconds: w.cpu(), RSSPeak: peakResident()}
	b.EventsPerSecond = float64(events) / b.Seconds
	b.CPUMicros = 1e6 * b.CPUSeconds / float64(events)
	return b
}

// after adds what is left in memory and on disk.
func (b *Backlog) after(store string) {
	b.RSSAfter, b.HeapAfter = resident(), heap()
	b.StoreBytes = sizes(store, "")
}

// settleMemory gives what is not in use back to the system.
func settleMemory() {
	runtime.GC()
	debug.FreeOSMemory()
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// sizes adds up the files under a directory whose names end in suffix.
func sizes(dir, suffix string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(entry.Name(), suffix) {
			return nil // files come and go
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// What the embedded broker keeps per record batch: bytes in its index files, and in memory.
const (
	indexOnDisk   = 15
	indexInMemory = 72
)

func (p *Paced) look(began time.Time, kafka string) {
	p.Samples = append(p.Samples, Sample{
		Second: time.Since(began).Seconds(), RSS: resident(), Heap: heap(), Index: sizes(kafka, ".idx") / indexOnDisk * indexInMemory,
	})
}

// slope returns by how much a value grows per second, by least squares.
func slope(samples []Sample, value func(Sample) int64) float64 {
	if len(samples) < 2 {
		return 0
	}
	var x, y, xx, xy float64
	for _, s := range samples {
		v := float64(value(s))
		x, y, xx, xy = x+s.Second, y+v, xx+s.Second*s.Second, xy+s.Second*v
	}
	n := float64(len(samples))
	return (n*xy - x*y) / (n*xx - x*x)
}

func startCPUProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

func writeMemProfile(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	runtime.GC()
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
