// Package runner measures the direct runner against a loop without Beam and, where it is at hand, against Prism, the SDK's local runner.
//
// In go rates and sizes; out comes a Report. Every runner works in a process of its own on the topics of one embedded broker: copying
// records at a steady rate (latency from the producer's call to the consumer behind), working off a backlog, and idling.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/operator/bench"
)

// Names of the runners.
const (
	Bare      = "bare"
	DirectOne = "direct"
	Prism     = "prism"
)

// Options say what is measured. The zero value is what the documented figures are of.
type Options struct {
	// Rates in records per second; default 10,000 and 50,000.
	Rates []int
	// For is how long each rate lasts; default 15s.
	For time.Duration
	// Idle is how long a runner is watched while nothing comes; default 10s.
	Idle time.Duration
	// Backlog in records; default 1,000,000.
	Backlog int
	// Rounds is how often each backlog is worked off; the median counts. Default 5.
	Rounds int
	// Command starts a process for a runner that does the work given as its last argument. Required: bare and direct.
	Command map[string][]string
	// Out receives progress and the table; default nothing is printed.
	Out io.Writer
}

func (o Options) withDefaults() Options {
	if len(o.Rates) == 0 {
		o.Rates = []int{10_000, 50_000}
	}
	if o.For == 0 {
		o.For = 15 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 10 * time.Second
	}
	if o.Backlog == 0 {
		o.Backlog = 1_000_000
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o
}

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	for _, r := range o.Rates {
		if r < 1 || r > 1_000_000 {
			return fmt.Errorf("bench runner: a rate of %d records per second; possible are 1 to 1000000", r)
		}
	}
	if o.Backlog < 0 || o.Rounds < 0 || o.For < 0 || o.Idle < 0 {
		return errors.New("bench runner: a size is negative")
	}
	return nil
}

// Run measures. The report holds what was measured up to an error.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	r := &run{Options: o.withDefaults(), report: Report{Machine: bench.ThisMachine(), LatencyMS: map[string]map[string]bench.Latency{}}}
	for _, name := range []string{Bare, DirectOne, Prism} {
		if r.Command[name] != nil {
			r.names = append(r.names, name)
		}
	}
	for _, step := range []func(context.Context) error{r.backlogs, r.latencies, r.micro} {
		if err := step(ctx); err != nil {
			return r.report, fmt.Errorf("bench runner: %w", err)
		}
	}
	return r.report, r.report.print(r.Out)
}

type run struct {
	Options
	names  []string
	report Report
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Out, format+"\n", args...) }

// recordBytes is the size of a record's value.
const recordBytes = 100

func startBroker() (*kfake.Cluster, error) {
	return kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topicIn, topicOut))
}

// backlogs has every runner work off the same backlog, in turns.
func (r *run) backlogs(ctx context.Context) error {
	r.say("a backlog of %d records, %d rounds", r.Backlog, r.Rounds)
	speeds := map[string][]float64{}
	for round := range r.Rounds {
		for _, name := range r.names {
			speed, err := r.backlog(ctx, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			speeds[name] = append(speeds[name], speed)
			r.say("  round %d: %-6s %10.0f records/s", round+1, name, speed)
		}
	}
	r.report.Backlog.set(speeds)
	return nil
}

// backlog returns how many records per second a runner copies.
func (r *run) backlog(ctx context.Context, name string) (float64, error) {
	broker, err := startBroker()
	if err != nil {
		return 0, err
	}
	defer broker.Close()
	if err := fill(ctx, broker, r.Backlog); err != nil {
		return 0, err
	}
	runtime.GC()
	p, err := r.start(ctx, Work{Runner: name, Brokers: broker.ListenAddrs(), Backlog: int64(r.Backlog), Group: "bench"})
	if err != nil {
		return 0, err
	}
	defer p.end()
	seconds, err := p.seconds()
	if err != nil {
		return 0, err
	}
	return float64(r.Backlog) / seconds, nil
}

// fill writes the backlog.
func fill(ctx context.Context, broker *kfake.Cluster, n int) error {
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic(topicIn), kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer producer.Close()
	value := make([]byte, recordBytes)
	var failed atomic.Pointer[error]
	for range n {
		producer.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := producer.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// latencies has every runner copy at every rate, and then idle.
func (r *run) latencies(ctx context.Context) error {
	r.report.IdlePercent = map[string]float64{}
	for _, name := range r.names {
		if err := r.copy(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *run) copy(ctx context.Context, name string) (err error) {
	broker, err := startBroker()
	if err != nil {
		return err
	}
	defer broker.Close()
	p, err := r.start(ctx, Work{Runner: name, Brokers: broker.ListenAddrs(), Group: "bench"})
	if err != nil {
		return err
	}
	defer p.end()
	probe, err := newProbe(broker)
	if err != nil {
		return err
	}
	defer probe.close()
	if err := probe.warm(ctx, p); err != nil {
		return err
	}
	for _, rate := range r.Rates {
		if _, err := probe.send(ctx, p, rate, 2*time.Second); err != nil { // it gets into its stride
			return err
		}
		l, err := probe.send(ctx, p, rate, r.For)
		if err != nil {
			return err
		}
		key := fmt.Sprint(rate)
		if r.report.LatencyMS[key] == nil {
			r.report.LatencyMS[key] = map[string]bench.Latency{}
		}
		r.report.LatencyMS[key][name] = l
		r.say("  %7d/s %-6s p50 %.2f ms  p99 %.2f ms  max %.1f ms", rate, name, l.P50, l.P99, l.Max)
	}
	before, at := p.processor(), time.Now()
	select {
	case <-time.After(r.Idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.report.IdlePercent[name] = 100 * (p.processor() - before) / time.Since(at).Seconds()
	r.say("  idle      %-6s %.1f %% of a core", name, r.report.IdlePercent[name])
	return nil
}
