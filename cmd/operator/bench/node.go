package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/serving/ingest"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (r *run) deployment() *deployment.Config {
	d := deployment.Default()
	d.Data, d.Listen = r.Data, "127.0.0.1:0"
	if r.Workers > 0 {
		d.Runner.Workers = r.Workers
	}
	return d
}

// node runs a whole node over the backlog, then under the paced load.
func (r *run) node(ctx context.Context) (err error) {
	n, err := node.Start(ctx, node.Options{Deployment: r.deployment(), Segment: r.segment, Hold: true, Logger: r.Logger})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, n.Stop(stopping))
	}()
	options, err := n.Kafka().Options()
	if err != nil {
		return err
	}
	producer, err := ingest.NewProducer(options...)
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := r.fill(ctx, producer, n.Events()); err != nil {
		return err
	}
	cpu, err := startCPUProfile(r.CPUProfile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cpu()) }()
	if err := r.backlog(ctx, n); err != nil {
		return err
	}
	if r.For > 0 {
		if err := r.paced(ctx, n, producer); err != nil {
			return err
		}
	}
	return writeMemProfile(r.MemProfile)
}

// fill makes the backlog and notes where it ends.
func (r *run) fill(ctx context.Context, producer *kgo.Client, topic string) error {
	began, said := time.Now(), time.Now()
	var mu sync.Mutex
	var failed error
	r.ends = map[int32]int64{}
	done := func(record *kgo.Record, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = err
			return
		}
		r.ends[record.Partition] = max(r.ends[record.Partition], record.Offset+1)
	}
	for i := range r.Events {
		e := r.people.Next()
		producer.Produce(ctx, topics.ToKafka(topic, e.Record()), done)
		if i%1000 == 0 && time.Since(said) > time.Second {
			said = time.Now()
			r.say("filling the broker: %d of %d events", i, r.Events)
		}
	}
	if err := producer.Flush(ctx); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return fmt.Errorf("filling the broker: %w", failed)
	}
	r.say("%d events of %d people are in the broker after %.1f s", r.Events, r.People, time.Since(began).Seconds())
	return nil
}

// backlog releases the pipelines and waits until they are through.
func (r *run) backlog(ctx context.Context, n *node.Node) error {
	settleMemory()
	watch := startWatch()
	if err := n.Release(ctx); err != nil {
		return err
	}
	if err := r.until(ctx, n, r.Events); err != nil {
		return err
	}
	counts := n.Figures().Counts()
	b := watch.backlog(r.Events, counts.Last)
	b.People, b.Effects, b.Conflicts = r.People, counts.Effects, counts.Conflicts
	settleMemory()
	b.after(r.deployment().StoreDir())
	var err error
	r.report.Backlog = b
	b.Profiles, err = check(ctx, r.people, n.Reader())
	return err
}

// until waits until the node has applied a number of events.
func (r *run) until(ctx context.Context, n *node.Node, events int) error {
	broken := make(chan error, 1)
	go func() { broken <- n.Wait() }()
	last, said := n.Figures().Counts().Applied, time.Now()
	for {
		counts := n.Figures().Counts()
		if counts.Rejected > 0 || counts.Duplicates > 0 {
			return fmt.Errorf("%w: %d events were rejected and %d taken for duplicates, all were good", ErrWrong, counts.Rejected, counts.Duplicates)
		}
		if counts.Applied >= events {
			return nil
		}
		if since := time.Since(said); since >= time.Second {
			r.say("applied %d of %d events, %.0f events/s, %d MiB resident", counts.Applied, events, float64(counts.Applied-last)/since.Seconds(), resident()/mib)
			last, said = counts.Applied, time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-broken:
			return errors.Join(errors.New("the node ended"), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
