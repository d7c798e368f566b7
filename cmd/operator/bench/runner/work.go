package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn2x0[kafkaio.Record, func(kafkaio.Message)](&copyFn{})
	register.DoFn2x0[kafkaio.Message, func(kafkaio.Message)](&passFn{})
	register.DoFn1x0[kafkaio.Ack](&countFn{})
	register.Emitter1[kafkaio.Message]()
}

// The topics of a run.
const (
	topicIn  = "in"
	topicOut = "out"
)

// Work is what a process is told to do, as JSON.
type Work struct {
	// Runner is bare, direct or another that the process knows.
	Runner  string   `json:"runner"`
	Brokers []string `json:"brokers"`
	// Backlog is how many records of the topic in are copied to the topic out, from its beginning; 0: what comes, for ever.
	Backlog int64 `json:"backlog"`
	// Group is the consumer group to copy as.
	Group string `json:"group"`
}

// Done is what a process says when it has worked a backlog off, as JSON on a line.
type Done struct {
	Seconds float64 `json:"seconds"`
}

// Beam runs a pipeline until it or the context ends.
type Beam func(ctx context.Context, p *beam.Pipeline) error

// Direct is the runner in this process.
func Direct(ctx context.Context, p *beam.Pipeline) error {
	_, err := direct.Run(ctx, p, direct.Options{})
	return err
}

// Do does the work that a process was started for. Runners are those beside bare.
func Do(ctx context.Context, text string, runners map[string]Beam, out io.Writer) error {
	var w Work
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return fmt.Errorf("bench runner: %w", err)
	}
	run, known := runners[w.Runner]
	work := w.bare
	switch {
	case w.Runner == Bare:
	case known:
		work = func(ctx context.Context) error { return run(ctx, w.pipeline()) }
	default:
		return fmt.Errorf("bench runner: no runner %q here; there are %s", w.Runner, strings.Join(slices.Sorted(maps.Keys(runners)), ", "))
	}
	if w.Backlog == 0 {
		return work(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, failed := copied.until(w.Backlog), make(chan error, 1)
	began := time.Now()
	go func() { failed <- work(ctx) }()
	select {
	case <-done:
		return json.NewEncoder(out).Encode(Done{time.Since(began).Seconds()})
	case err := <-failed:
		return errors.Join(err, errors.New("bench runner: it ended before the last record"))
	}
}

// pipeline copies the topic in to the topic out, by way of some DoFns.
func (w Work) pipeline() *beam.Pipeline {
	p, s := beam.NewPipelineWithRoot()
	side := backlogGroups
	if w.Backlog == 0 {
		side = groups
	}
	options := []kafkaio.ReadOption{kafkaio.Group(w.Group), kafkaio.PartitionGroups(side), kafkaio.MaxRecords(10_000)}
	if w.Backlog == 0 {
		options = append(options, kafkaio.StartAt(kafkaio.Latest()))
	}
	messages := beam.ParDo(s, &copyFn{}, kafkaio.Read(s, w.client(), []string{topicIn}, options...))
	for range steps - 1 {
		messages = beam.ParDo(s, &passFn{}, messages)
	}
	beam.ParDo0(s, &countFn{}, kafkaio.Write(s, w.client(), messages, kafkaio.Compress(kafkaio.NoCompression)))
	return p
}

// Elements pass steps DoFns. Groups of partitions are worked on side by side: more of them keep the processors busy while one waits
// for its batch to be acknowledged, fewer make fewer bundles.
const (
	steps         = 1
	groups        = 2
	backlogGroups = 4
)

func (w Work) client() kafkaio.Client { return kafkaio.Client{Brokers: w.Brokers} }

// counter counts what this process has copied: acknowledged records.
type counter struct {
	n, goal atomic.Int64
	done    chan struct{}
}

var copied counter

// until returns what is closed when a number is reached.
func (c *counter) until(goal int64) <-chan struct{} {
	c.done = make(chan struct{})
	c.goal.Store(goal)
	return c.done
}

func (c *counter) add(n int64) {
	if after, goal := c.n.Add(n), c.goal.Load(); goal > 0 && after >= goal && after-n < goal {
		close(c.done)
	}
}

// copyFn turns what was read into what is to be written.
type copyFn struct{}

// ProcessElement copies a record.
func (*copyFn) ProcessElement(r kafkaio.Record, emit func(kafkaio.Message)) {
	emit(kafkaio.Message{Topic: topicOut, Key: r.Key, Value: r.Value})
}

type passFn struct{}

// ProcessElement passes a message on.
func (*passFn) ProcessElement(m kafkaio.Message, emit func(kafkaio.Message)) { emit(m) }

// countFn counts what was written.
type countFn struct{}

// ProcessElement counts a bundle.
func (*countFn) ProcessElement(a kafkaio.Ack) { copied.add(a.Records) }

// bareClient is the client that kafkaio would make.
func (w Work) bareClient(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.Brokers...), kgo.ConsumeTopics(topicIn), kgo.FetchMaxWait(100 * time.Millisecond), kgo.FetchMaxBytes(4 << 20), kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic(topicOut), kgo.MaxBufferedRecords(50_000), kgo.DisableClientMetrics(),
	}, more...)...)
}

// bare is the pipeline as a loop.
func (w Work) bare(ctx context.Context) error {
	start := kgo.NewOffset().AtEnd()
	if w.Backlog > 0 {
		start = kgo.NewOffset().AtStart()
	}
	client, err := w.bareClient(kgo.ConsumeResetOffset(start))
	if err != nil {
		return err
	}
	defer client.Close()
	failed := make(chan error, 1)
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			client.Produce(ctx, &kgo.Record{Key: r.Key, Value: r.Value}, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
				copied.add(1)
			})
		})
		select {
		case err := <-failed:
			return err
		default:
		}
	}
}
