package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/operator/bench"
)

// probe sends records that say when they were sent, and looks when they come out behind.
type probe struct {
	producer, consumer *kgo.Client
	cancel             context.CancelFunc
	reading            sync.WaitGroup
	mu                 sync.Mutex
	micros             *hdrhistogram.Histogram
	came               atomic.Int64
}

func newProbe(broker *kfake.Cluster) (*probe, error) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic(topicIn), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(1_000_000))
	if err != nil {
		return nil, err
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ConsumeTopics(topicOut), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		producer.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &probe{producer: producer, consumer: consumer, cancel: cancel, micros: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)}
	p.reading.Go(func() { p.read(ctx) })
	return p, nil
}

func (p *probe) read(ctx context.Context) {
	for {
		fetches := p.consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now().UnixNano()
		p.mu.Lock()
		n := int64(0)
		fetches.EachRecord(func(r *kgo.Record) {
			_ = p.micros.RecordValue(max(1, (now-int64(binary.BigEndian.Uint64(r.Value)))/1000))
			n++
		})
		p.mu.Unlock()
		p.came.Add(n)
	}
}

func (p *probe) close() {
	p.cancel()
	p.reading.Wait()
	p.consumer.Close()
	p.producer.Close()
}

func (p *probe) one(ctx context.Context) {
	value := make([]byte, recordBytes)
	binary.BigEndian.PutUint64(value, uint64(time.Now().UnixNano()))
	p.producer.Produce(ctx, &kgo.Record{Value: value}, nil)
}

// patience is how long records may take that are still under way when the sending ends.
const patience = time.Minute

// warm waits until a record comes through: the runner is up.
func (p *probe) warm(ctx context.Context, work *process) error {
	deadline := time.Now().Add(patience)
	for p.came.Load() == 0 {
		if err := work.alive(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("nothing comes through")
		}
		p.one(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	time.Sleep(200 * time.Millisecond) // the rest of the warm-up comes through
	return nil
}

// send sends at a rate and returns how long the records took; they are sent by the schedule, whatever becomes of them.
func (p *probe) send(ctx context.Context, work *process, rate int, lasting time.Duration) (bench.Latency, error) {
	p.mu.Lock()
	p.micros.Reset()
	p.mu.Unlock()
	came := p.came.Load()
	total := int(float64(rate) * lasting.Seconds())
	began := time.Now()
	for i := 0; i < total; {
		due := min(total, 1+int(time.Since(began).Seconds()*float64(rate)))
		if i >= due {
			select {
			case <-ctx.Done():
				return bench.Latency{}, ctx.Err()
			case <-time.After(200 * time.Microsecond):
			}
			continue
		}
		for ; i < due; i++ {
			p.one(ctx)
		}
	}
	deadline := time.Now().Add(patience)
	for p.came.Load() < came+int64(total) {
		if err := work.alive(); err != nil {
			return bench.Latency{}, err
		}
		if time.Now().After(deadline) {
			return bench.Latency{}, fmt.Errorf("%d of %d records came through", p.came.Load()-came, total)
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ms := func(v int64) float64 { return float64(v) / 1000 }
	return bench.Latency{P50: ms(p.micros.ValueAtQuantile(50)), P99: ms(p.micros.ValueAtQuantile(99)), Max: ms(p.micros.Max())}, nil
}
