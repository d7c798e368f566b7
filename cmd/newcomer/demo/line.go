package demo

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/cmd/node"
	"github.com/dustin/go-humanize"
)

// line is the live line.
type line struct {
	show   *show
	ticker *time.Ticker
	every  time.Duration
	last   node.Counts
	at     time.Time
	shown  bool
}

func newLine(s *show) *line {
	every := 5 * time.Second
	if s.options.Terminal {
		every = 500 * time.Millisecond
	}
	return &line{show: s, ticker: time.NewTicker(every), every: every, at: time.Now()}
}

func (l *line) tick() <-chan time.Time { return l.ticker.C }

func (l *line) print() {
	s := l.show
	counts, latency := s.node.Figures().Counts(), s.node.Figures().Latency()
	now := time.Now()
	rate := float64(counts.Applied-l.last.Applied) / now.Sub(l.at).Seconds()
	l.last, l.at = counts, now
	text := fmt.Sprintf("%s  %s events  %6s/s  latency p50 %s p99 %s ms  %s profiles  %s merges  %s rejected  disk %s  memory %s",
		s.clock.Now().Format("2 Jan 15:04"), humanize.Comma(int64(counts.Applied)), humanize.Comma(int64(rate)), millis(latency.P50), millis(latency.P99),
		humanize.Comma(int64(counts.Created-counts.Merged)), humanize.Comma(int64(counts.Merged)), humanize.Comma(int64(counts.Rejected)),
		humanize.IBytes(diskBytes(s.data)), humanize.IBytes(residentBytes()))
	if s.options.Terminal {
		fmt.Fprintf(s.options.Out, "\r\033[K%s", text)
		l.shown = true
		return
	}
	fmt.Fprintln(s.options.Out, text)
}

func (l *line) end() {
	l.ticker.Stop()
	if l.shown {
		fmt.Fprintln(l.show.options.Out)
		l.shown = false
	}
}

func millis(ms float64) string { return strconv.FormatFloat(ms, 'f', 1, 64) }

// diskBytes is what the files below a directory take. Files that vanish meanwhile do not count.
func diskBytes(dir string) (total uint64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // it vanished
		}
		if info, err := d.Info(); err == nil {
			total += uint64(info.Size())
		}
		return nil
	})
	return total
}

// residentBytes is the memory of this process: what the system says, or else what the Go runtime holds.
func residentBytes() uint64 {
	if raw, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(raw)); len(fields) > 1 {
			if pages, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				return pages * uint64(os.Getpagesize())
			}
		}
	}
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64()
}
