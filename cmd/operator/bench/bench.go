// Package bench measures Braid on the machine it runs on: the whole stack in one process, as `braid run` starts it.
//
// In go the sizes of the load; out comes a Report. Realtime first lets a backlog build up while the pipelines are held and measures how
// fast it is worked off, then sends events at a steady rate and measures latency and memory, and last works the same backlog off in
// loops written by hand, without Beam. Every profile is compared with what was sent: a wrong one fails the run.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/braidhq/braid/testing/exact"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/segment"
)

// Options say how much load there is. The zero value is the load that the documented figures are of.
type Options struct {
	// Events in the backlog; default 1,000,000.
	Events int
	// People who cause them; default 100,000.
	People int
	// Rate of the paced load in events per second; default 5,000.
	Rate int
	// For is how long the paced load lasts; default 60s, negative: no paced load.
	For time.Duration
	// Bare says whether the backlog is worked off by the hand-written loop as well.
	Bare bool
	// Data is the directory to work in, which must be empty; default a temporary one, removed at the end.
	Data string
	// Workers is the number of groups of partitions worked on side by side; default that of the deployment.
	Workers int
	// Report is the file that the report is written to as JSON; default none.
	Report string
	// CPUProfile and MemProfile are files for pprof. The first is of the backlog and the paced load, the second of the memory in use at
	// the end of them; default none.
	CPUProfile, MemProfile string
	// Out receives progress and the table; default nothing is printed.
	Out io.Writer
	// Logger receives what operators should know; default slog.Default.
	Logger *slog.Logger
}

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	switch {
	case o.Events < 0 || o.People < 0 || o.Rate < 0 || o.Workers < 0:
		return errors.New("bench: a size is negative")
	case o.Rate > 1_000_000:
		return fmt.Errorf("bench: a rate of %d events per second, at most 1000000 are possible", o.Rate)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Events == 0 {
		o.Events = 1_000_000
	}
	if o.People == 0 {
		o.People = 100_000
	}
	if o.Rate == 0 {
		o.Rate = 5_000
	}
	if o.For == 0 {
		o.For = time.Minute
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// ErrWrong is wrapped by the error of a run in which a profile was not what it had to be.
var ErrWrong = exact.ErrWrong

// Realtime measures the real-time job. The report holds what was measured up to an error.
func Realtime(ctx context.Context, options Options) (Report, error) {
	if err := options.Validate(); err != nil {
		return Report{}, err
	}
	r := &run{Options: options.withDefaults(), report: Report{Machine: ThisMachine()}}
	err := r.run(ctx)
	if err != nil {
		return r.report, fmt.Errorf("bench: %w", err)
	}
	r.report.Passed = true
	if err := r.report.print(r.Out); err != nil {
		return r.report, err
	}
	return r.report, r.save()
}

// run is one run of the benchmark.
type run struct {
	Options
	segment *segment.Segment
	load    shop.PeopleOptions
	people  *shop.People
	ends    map[int32]int64 // of the backlog, by partition
	report  Report
}

func (r *run) run(ctx context.Context) (err error) {
	if r.segment, err = segment.Parse("segment.yaml", shop.Segment); err != nil {
		return err
	}
	free, err := r.directory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, free()) }()
	backlog := time.Duration(r.Events) * time.Second / time.Duration(r.Rate) // it gathered at this rate until now
	r.load = shop.PeopleOptions{People: r.People, PerSecond: r.Rate, Start: time.Now().Add(-backlog).UnixMilli()}
	r.people = shop.NewPeople(r.load)
	if err := r.node(ctx); err != nil || !r.Bare {
		return err
	}
	return r.bare(ctx)
}

// directory prepares the directory to work in; free gives it back.
func (r *run) directory() (free func() error, err error) {
	if r.Data == "" {
		r.Data, err = os.MkdirTemp("", "braid-bench-")
		return func() error { return os.RemoveAll(r.Data) }, err
	}
	if err := os.MkdirAll(r.Data, 0o755); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(r.Data); err != nil || len(entries) > 0 {
		return nil, errors.Join(err, fmt.Errorf("directory %s is not empty", r.Data))
	}
	return func() error { return nil }, nil
}

func (r *run) save() error {
	if r.Report == "" {
		return nil
	}
	text, err := json.MarshalIndent(r.report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(r.Report), append(text, '\n'), 0o644)
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Out, format+"\n", args...) }
