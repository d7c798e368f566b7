// Package demo shows Braid at work: a real month of a shop flows through the whole stack, in one process, into live profiles.
//
// In go the events of testing/shop on their own clock; out come a live line, a summary with the profile of one person before and after
// a merge, and a report whose figures are checked against what is known of the data.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/extension"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say how the demo runs.
type Options struct {
	For        time.Duration // how long events are sent; default until the month is over
	Speed      float64       // seconds of the shop's time per second; default 60,000
	Rate       float64       // events per second instead of Speed; default none
	Data       string        // data directory, which is kept; default a temporary one
	Listen     string        // address of the HTTP API; default 127.0.0.1:8080, or a free port when that is taken
	Report     string        // file for the report; default none
	NoBatch    bool          // leave the batch path out
	Stay       bool          // stay and answer after the last event, until the context ends
	Out        io.Writer     // for people
	Terminal   bool          // whether Out can rewrite a line
	Logger     *slog.Logger
	Extensions extension.Set
}

// retention bounds what the demo leaves on the disk, in bytes over all partitions of a topic.
const retention = 512 << 20

// ErrInexact is returned when the figures are not what is known of the data.
var ErrInexact = errors.New("the result is not exact")

// Run runs the demo. It returns ErrInexact when events got lost or doubled.
func Run(ctx context.Context, o Options) error {
	s, err := segment.Parse("segment.yaml", shop.Segment)
	if err != nil {
		return err
	}
	d := deployment.Default()
	d.Kafka.Retention.Size = retention
	if !o.NoBatch {
		d.ClickHouse = withClickHouse(ctx, o)
	}
	s.File.Batch.Schedule = "* * * * *"
	if d.Data = o.Data; d.Data == "" {
		if d.Data, err = os.MkdirTemp("", "braid-demo-"); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		defer os.RemoveAll(d.Data)
	}
	if d.Listen = o.Listen; d.Listen == "" {
		d.Listen = freeAddress(ctx, "127.0.0.1:8080")
	}
	fmt.Fprintf(o.Out, "Braid demo: a real month of a shop (December 2010), replayed on its own clock.\nStarting broker, store, pipeline and HTTP API in %s ...\n", d.Data)
	month, err := shop.NewMonth(shop.Options{})
	if err != nil {
		return err
	}
	clock := &clock{}
	source, err := newSource(month, clock, filepath.Join(d.Data, "demo.json"), o)
	if err != nil {
		return err
	}
	extensions := o.Extensions
	extensions.Transforms = nil // there are no raw topics
	n, err := node.Start(ctx, node.Options{Deployment: d, Segment: s, Extensions: extensions, Now: clock.Now, Logger: o.Logger, Hold: true})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := n.Stop(stop); err != nil {
			o.Logger.Error("stopping", "error", err)
		}
	}()
	show := &show{options: o, node: n, source: source, clock: clock, data: d.Data, segment: s}
	return show.run(ctx)
}

// show is a demo under way.
type show struct {
	options Options
	node    *node.Node
	source  *source
	clock   *clock
	data    string
	segment *segment.Segment

	admin  *kadm.Client
	before map[int32]update.Progress // at the start of this run
	began  time.Time
	merge  *merge
}

func (s *show) run(ctx context.Context) error {
	options, err := s.node.Kafka().Options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	s.admin = kadm.NewClient(client)
	if s.before, err = s.node.Progress(ctx); err != nil {
		return err
	}
	if err := s.node.Release(ctx); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.node.Wait() }()
	s.introduce()

	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.options.For > 0 {
		sending, cancel = context.WithTimeout(ctx, s.options.For)
		defer cancel()
	}
	s.began = time.Now()
	sent := make(chan error, 1)
	go func() { sent <- s.source.run(sending, s.node, s.watchMerge) }()
	line := newLine(s)
	defer line.end()
	for waiting := true; waiting; {
		select {
		case err := <-ended:
			return err
		case err := <-sent:
			if err != nil {
				return err
			}
			waiting = false
		case <-line.tick():
			line.print()
		}
	}
	if err := s.settle(ctx, line, ended); err != nil {
		return err
	}
	line.end()
	batch, err := s.batch(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	report, err := s.report(batch)
	if err != nil {
		return err
	}
	if err := s.summarize(report); err != nil {
		return err
	}
	if s.options.Stay && ctx.Err() == nil {
		return s.stay(ctx, ended)
	}
	return report.check()
}

// settle waits until all that was sent is applied and published.
func (s *show) settle(ctx context.Context, line *line, ended <-chan error) error {
	s.clock.pass(time.Minute)
	limit := time.After(2 * time.Minute)
	for {
		done, err := s.applied(context.WithoutCancel(ctx))
		if err != nil || done {
			return err
		}
		select {
		case err := <-ended:
			return err
		case <-limit:
			return fmt.Errorf("%w: not everything was applied within two minutes", ErrInexact)
		case <-line.tick():
			line.print()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stay answers requests until the context ends.
func (s *show) stay(ctx context.Context, ended <-chan error) error {
	fmt.Fprintf(s.options.Out, "\nStill here: ask it something, or send it events. Ctrl-C ends it.\n")
	for {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
			s.clock.pass(time.Second)
		}
	}
}
