package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/update"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// bare works the same backlog off with loops written by hand, as many as the pipeline has workers: a client, a store, the cores, and
// nothing else. The broker is in this process as before.
func (r *run) bare(ctx context.Context) (err error) {
	d := r.deployment()
	broker, err := embedded.StartBroker(ctx, d.Broker(r.Logger))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	dir := filepath.Join(r.Data, "bare")
	store, err := pebble.Open(dir, pebble.Options{Logger: r.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	options, err := d.Client(broker.Addresses()...).Options()
	if err != nil {
		return err
	}
	loops := make([]*loop, min(d.Runner.Workers, int(d.Kafka.Partitions)))
	for i := range loops {
		l := &loop{store: store, config: r.segment.Config(), name: r.segment.Name, ends: map[int32]int64{}}
		for p, end := range r.ends {
			if int(p)%len(loops) == i {
				l.ends[p] = end
				l.events += int(end)
			}
		}
		if i == 0 {
			l.advances = time.Now()
		}
		if l.client, err = newBareClient(options, topics.Name(r.segment.Name, topics.Events), l.ends); err != nil {
			return err
		}
		defer l.client.Close()
		l.worker, l.dueWorker = update.NewWorker(l.config, store), update.NewWorker(l.config, store)
		loops[i] = l
	}
	return r.bareLoops(ctx, loops, dir)
}

func (r *run) bareLoops(ctx context.Context, loops []*loop, dir string) error {
	settleMemory()
	watch := startWatch()
	group, working := errgroup.WithContext(ctx)
	for _, l := range loops {
		group.Go(func() error { return l.run(working) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("by hand: %w", err)
	}
	b := watch.backlog(r.Events, time.Now())
	b.People = r.People
	applied := 0
	for _, l := range loops {
		applied += l.applied
		b.Effects += l.effects
		b.Conflicts += l.conflicts
	}
	if applied != r.Events {
		return fmt.Errorf("%w: by hand %d events were applied, there are %d", ErrWrong, applied, r.Events)
	}
	settleMemory()
	b.after(dir)
	r.report.Bare = b
	r.report.Ratio = r.report.Backlog.EventsPerSecond / b.EventsPerSecond
	people := shop.NewPeople(r.load) // the backlog once more: what was sent after it is not in this store
	for range people.Events(r.Events) {
	}
	var err error
	b.Profiles, err = check(ctx, people, update.NewReader(loops[0].config, loops[0].store))
	return err
}

func newBareClient(options []kgo.Opt, topic string, partitions map[int32]int64) (*kgo.Client, error) {
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[p] = kgo.NewOffset().AtStart()
	}
	return kgo.NewClient(append(options,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(4<<20),
		kgo.MaxBufferedRecords(50_000),
	)...)
}

// loop is the loop and what it works with.
type loop struct {
	client    *kgo.Client
	store     update.Store
	config    *update.Config
	name      string          // of the segment
	ends      map[int32]int64 // of the backlog, by partition
	events    int             // records below the ends
	worker    *update.Worker
	dueWorker *update.Worker
	advances  time.Time // of the next look at what is due; zero: another loop looks
	seen      int       // records below the ends
	applied   int
	effects   int
	conflicts int
}

// run applies the backlog.
func (l *loop) run(ctx context.Context) error {
	for l.seen < l.events {
		fetches := l.client.PollRecords(ctx, 1000)
		if err := fetches.Err(); err != nil {
			return err
		}
		inputs := make([]*update.Input, 0, fetches.NumRecords())
		fetches.EachTopic(func(t kgo.FetchTopic) {
			t.EachRecord(func(record *kgo.Record) {
				if record.Offset < l.ends[record.Partition] {
					inputs = append(inputs, l.config.Prepare(topics.FromKafka(record, t.TopicID)))
				}
			})
		})
		result, err := l.worker.Apply(ctx, inputs)
		if err != nil {
			return err
		}
		l.seen += len(inputs)
		l.applied += result.Events
		l.conflicts += result.Conflicts
		if err := l.send(ctx, result.Effects); err != nil {
			return err
		}
		l.worker.Settle()
		if err := l.advance(ctx); err != nil {
			return err
		}
	}
	return nil
}

// advance publishes what is due, ten times a second.
func (l *loop) advance(ctx context.Context) error {
	if l.advances.IsZero() || time.Now().Before(l.advances) {
		return nil
	}
	l.advances = time.Now().Add(100 * time.Millisecond)
	clock, err := update.NewStreamClock(l.store, l.name, topics.Name(l.name, topics.Events)).Now(ctx)
	if err != nil {
		return err
	}
	var all []update.Due
	for bucket := range byte(update.DueBuckets) {
		entries, err := update.DueEntries(ctx, l.store, l.name, bucket, clock, 500)
		if err != nil {
			return err
		}
		all = append(all, entries...)
	}
	if len(all) == 0 {
		return nil
	}
	result, err := l.dueWorker.Advance(ctx, all)
	if err != nil {
		return err
	}
	if err := l.send(ctx, result.Effects); err != nil {
		return err
	}
	l.dueWorker.Settle()
	return nil
}

// send produces effects and waits until the broker has them.
func (l *loop) send(ctx context.Context, effects []update.Effect) error {
	l.effects += len(effects)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	wait.Add(len(effects))
	for _, e := range effects {
		record := &kgo.Record{
			Topic: topics.Name(l.name, topics.Kind(e.Topic)), Key: e.Key, Value: e.Value,
			Headers: []kgo.RecordHeader{{Key: "id", Value: []byte(e.ID)}},
		}
		l.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
			wait.Done()
		})
	}
	wait.Wait()
	return failed
}
