package kafkaio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register.DoFn5x2[context.Context, *estimator, *tracker, []byte, func(beam.EventTime, Record), sdf.ProcessContinuation, error](&readFn{})
	register.Emitter2[beam.EventTime, Record]()
	beam.RegisterType(reflect.TypeFor[readConfig]())
}

// Read reads the topics and returns a PCollection<Record>, each record at the event time that is its Kafka timestamp. By
// default it reads all there is and then on for ever, without remembering where it was: see Group, StartAt and Bounded.
// The package comment states what is guaranteed.
func Read(s beam.Scope, client Client, topics []string, opts ...ReadOption) beam.PCollection {
	s = s.Scope("kafkaio.Read")
	cfg, err := newReadConfig(client, topics, opts)
	if err != nil {
		panic(fmt.Sprintf("kafkaio.Read: %v", err))
	}
	return beam.ParDo(s, &readFn{Config: cfg}, beam.Impulse(s))
}

type readFn struct {
	Config readConfig

	key    string
	shared map[int32]*consumer
}

// Setup prepares the key under which consumers are shared in this process.
func (f *readFn) Setup() error {
	key, err := json.Marshal(f.Config)
	if err != nil {
		return err
	}
	f.key, f.shared = string(key), map[int32]*consumer{}
	return nil
}

// Teardown gives the consumers back.
func (f *readFn) Teardown() error {
	for shard := range f.shared {
		consumers.release(f.keyOf(shard))
	}
	f.shared = nil
	return nil
}

func (f *readFn) keyOf(shard int32) string { return fmt.Sprintf("%d %s", shard, f.key) }

func (f *readFn) consumer(shard int32) (*consumer, error) {
	c := f.shared[shard]
	if c == nil {
		var err error
		c, err = consumers.acquire(f.keyOf(shard), func() (*consumer, error) {
			cfg := f.Config
			return newConsumer(&cfg), nil
		})
		if err != nil {
			return nil, err
		}
		f.shared[shard] = c
	}
	return c, nil
}

// CreateInitialRestriction covers all partitions; it dials nothing.
func (f *readFn) CreateInitialRestriction(_ []byte) restriction {
	return restriction{Shards: 1}
}

// SplitRestriction divides the partitions into groups.
func (f *readFn) SplitRestriction(_ []byte, r restriction) []restriction {
	if r.Resolved || f.Config.Groups <= 1 {
		return []restriction{r}
	}
	rs := make([]restriction, f.Config.Groups)
	for i := range rs {
		rs[i] = restriction{Shard: int32(i), Shards: int32(f.Config.Groups)}
	}
	return rs
}

// RestrictionSize is the records left of a bounded restriction, and 1 for each unbounded partition.
func (f *readFn) RestrictionSize(_ []byte, r restriction) float64 { return r.size() }

// CreateTracker returns the tracker of a restriction.
func (f *readFn) CreateTracker(r restriction) *tracker { return newTracker(r) }

// TruncateRestriction ends a restriction where it stands; its last bundle only commits.
func (f *readFn) TruncateRestriction(rt *tracker, _ []byte) restriction {
	r := rt.GetRestriction().(restriction)
	r.Ended = true
	return r
}

// InitialWatermarkEstimatorState starts the watermark at the time of the impulse, the beginning of time.
func (f *readFn) InitialWatermarkEstimatorState(et beam.EventTime, _ restriction, _ []byte) int64 {
	return et.Milliseconds()
}

// CreateWatermarkEstimator restores an estimator.
func (f *readFn) CreateWatermarkEstimator(ms int64) *estimator {
	e := &estimator{}
	e.ms.Store(ms)
	return e
}

// WatermarkEstimatorState is the watermark in ms.
func (f *readFn) WatermarkEstimatorState(e *estimator) int64 { return e.ms.Load() }

// estimator holds a watermark that only rises.
type estimator struct{ ms atomic.Int64 }

// CurrentWatermark returns the watermark.
func (e *estimator) CurrentWatermark() time.Time { return time.UnixMilli(e.ms.Load()) }

func (e *estimator) rise(ms int64) {
	if ms > e.ms.Load() {
		e.ms.Store(ms)
	}
}

// ProcessElement is one bundle of one restriction: commit what earlier bundles read, look for changes in the cluster,
// read what there is, and yield.
func (f *readFn) ProcessElement(ctx context.Context, we *estimator, rt *tracker, _ []byte, emit func(beam.EventTime, Record)) (sdf.ProcessContinuation, error) {
	c, err := f.consumer(rt.r.Shard)
	if err != nil {
		return sdf.StopProcessing(), err
	}
	poll, wake := context.WithCancel(ctx)
	defer wake()
	rt.begin(wake)
	defer rt.end()
	if err := c.lock(ctx); err != nil {
		return sdf.StopProcessing(), err
	}
	defer c.unlock()

	if rt.r.Resolved {
		if err := c.commit(ctx, rt); err != nil {
			return sdf.StopProcessing(), err
		}
	}
	if rt.r.complete() {
		rt.finish()
		return sdf.StopProcessing(), nil
	}
	if !rt.r.Resolved {
		return c.resolve(ctx, poll, rt)
	}
	if err := c.survey(ctx, rt); err != nil {
		return sdf.StopProcessing(), err
	}
	c.seek(ctx, rt.r.Partitions)
	n, err := c.read(ctx, poll, rt, emit)
	if err == nil {
		err = ctx.Err() // a cancelled bundle must not look like a success
	}
	if err != nil {
		return sdf.StopProcessing(), err
	}
	c.progress(ctx, rt, we)
	if n == 0 && !rt.r.complete() {
		return sdf.ResumeProcessingIn(f.Config.ResumeDelay), nil
	}
	return sdf.ResumeProcessingIn(0), nil
}

// read polls until the bundle is full, MaxDelay has passed, or nothing is buffered; for the first record it waits PollWait.
func (c *consumer) read(ctx, poll context.Context, rt *tracker, emit func(beam.EventTime, Record)) (int, error) {
	var n int
	var first time.Time
	idle := time.Now().Add(c.cfg.PollWait)
	for n < c.cfg.MaxRecords && !rt.stopping() {
		most := min(c.cfg.MaxRecords-n, pollRecords)
		//lint:ignore SA1012 nil means: do not wait
		fs := c.s.cl.PollRecords(nil, most)
		if len(fs) == 0 {
			if n > 0 {
				break
			}
			wait := time.Until(idle)
			if wait <= 0 {
				return n, c.probe(ctx, rt)
			}
			ctx, cancel := context.WithTimeout(poll, wait)
			fs = c.s.cl.PollRecords(ctx, most)
			cancel()
		}
		k, err := c.take(ctx, rt, fs, emit)
		if n += k; err != nil {
			return n, err
		}
		if poll.Err() != nil || rt.r.complete() {
			break
		}
		switch now := time.Now(); {
		case c.faulted && n == 0: // seek in the next bundle, not at once
			select {
			case <-time.After(time.Until(idle)):
			case <-poll.Done():
			}
			return n, nil
		case c.faulted:
			return n, nil
		case n == 0:
		case first.IsZero():
			first = now
		case now.Sub(first) >= c.cfg.MaxDelay:
			return n, nil
		}
	}
	return n, nil
}

// pollRecords bounds a poll, so that MaxDelay is looked at often enough.
const pollRecords = 500

// emitAll emits records, all of one partition, and returns their bytes. Control records only move the position.
func emitAll(recs []*kgo.Record, id [16]byte, emit func(beam.EventTime, Record)) int64 {
	hs := 0
	for _, r := range recs {
		hs += len(r.Headers)
	}
	var slab []Header // one allocation for the headers of all
	if hs > 0 {
		slab = make([]Header, 0, hs)
	}
	var size int64
	for _, r := range recs {
		if r.Attrs.IsControl() {
			continue
		}
		ms := r.Timestamp.UnixMilli()
		out := Record{Topic: r.Topic, TopicID: id, Partition: r.Partition, Offset: r.Offset, Timestamp: ms, Key: r.Key, Value: r.Value}
		if len(r.Headers) > 0 {
			from := len(slab)
			for _, h := range r.Headers {
				slab = append(slab, Header{Key: h.Key, Value: h.Value})
			}
			out.Headers = slab[from:len(slab):len(slab)]
		}
		size += int64(len(r.Key) + len(r.Value))
		emit(mtime.FromMilliseconds(ms), out)
	}
	return size
}

// commit offers the offsets the restriction starts at; with its last bundle it waits for the commit, for a while.
func (c *consumer) commit(ctx context.Context, rt *tracker) error {
	com := c.s.com
	if com == nil {
		return nil
	}
	com.offer(rt.r.Partitions)
	if rt.r.complete() {
		last, cancel := context.WithTimeout(ctx, 10*time.Second)
		_ = com.flush(last)
		cancel()
	}
	done, failed, err, fatal := com.report()
	commits.Inc(ctx, done)
	commitErrors.Inc(ctx, failed)
	if fatal {
		return err
	}
	if err != nil && failed > 0 {
		c.warn(ctx, "%v; trying again", err)
	}
	return ctx.Err()
}

// resolve finds the partitions and where to begin, and ends the bundle; while the cluster cannot tell, it tries again.
func (c *consumer) resolve(ctx, poll context.Context, rt *tracker) (sdf.ProcessContinuation, error) {
	look, cancel := context.WithTimeout(poll, 10*time.Second)
	ps, err := resolver{c.s.cl, c.s.adm, c.cfg}.partitions(look, rt.r.Shard, max(rt.r.Shards, 1))
	cancel()
	if ctx.Err() != nil {
		return sdf.StopProcessing(), ctx.Err()
	}
	var oe *OffsetError
	var te *TopicError
	switch {
	case err == nil:
		rt.resolve(ps)
		if c.cfg.Bounded && len(ps) == 0 {
			rt.finish()
			return sdf.StopProcessing(), nil
		}
		return sdf.ResumeProcessingIn(0), nil
	case errors.As(err, &oe), errors.As(err, &te), hopeless(err):
		return sdf.StopProcessing(), err
	}
	c.warn(ctx, "kafkaio: cannot start yet: %s", bare(err))
	select {
	case <-time.After(min(c.cfg.PollWait, 100*time.Millisecond)):
	case <-poll.Done():
	}
	return sdf.ResumeProcessingIn(c.cfg.ResumeDelay), ctx.Err()
}
