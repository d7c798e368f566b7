package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bundle counts the messages of one bundle until they are acknowledged.
type bundle struct {
	count  int64 // sent; only the bundle's own goroutine
	latest int64 // latest event time sent, ms
	max    int   // limit of a message, for the error

	failed atomic.Bool

	mu    sync.Mutex
	open  int64 // not yet answered, and one that stands for the sender until wait
	bytes int64
	high  map[topicPartition]int64
	err   error
	all   chan struct{}
}

type topicPartition struct {
	topic string
	num   int32
}

func newBundle(max int) *bundle {
	return &bundle{max: max, latest: noTime, open: 1, high: map[topicPartition]int64{}, all: make(chan struct{})}
}

func (b *bundle) sent(eventTime int64) {
	b.count++
	b.latest = max(b.latest, eventTime)
	b.mu.Lock()
	b.open++
	b.mu.Unlock()
}

// acked is called by the producer, once for each message.
func (b *bundle) acked(r *kgo.Record, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.fail(r, err)
	} else {
		b.bytes += int64(len(r.Key) + len(r.Value))
		k := topicPartition{r.Topic, r.Partition}
		if o, ok := b.high[k]; !ok || r.Offset > o {
			b.high[k] = r.Offset
		}
	}
	if b.open--; b.open == 0 {
		close(b.all)
	}
}

// fail keeps the first error; of messages refused for their size, the largest.
func (b *bundle) fail(r *kgo.Record, err error) {
	b.failed.Store(true)
	if errors.Is(err, kerr.MessageTooLarge) {
		size := len(r.Key) + len(r.Value)
		for _, h := range r.Headers {
			size += len(h.Key) + len(h.Value)
		}
		var was *SizeError
		if b.err == nil || errors.As(b.err, &was) && was.Size < size {
			b.err = &SizeError{Topic: r.Topic, Key: slices.Clone(r.Key[:min(len(r.Key), 64)]), Size: size, Max: b.max, cause: err}
		}
		return
	}
	if b.err == nil {
		b.err = fmt.Errorf("kafkaio: writing to topic %q: %w", r.Topic, err)
	}
}

// wait waits until every message is answered and returns the first error.
func (b *bundle) wait(ctx context.Context) error {
	b.mu.Lock()
	if b.open--; b.open == 0 {
		close(b.all)
	}
	b.mu.Unlock()
	select {
	case <-b.all:
	case <-ctx.Done():
		return fmt.Errorf("kafkaio: waiting for acknowledgements: %w", ctx.Err())
	}
	return b.fault(ctx)
}

// fault returns the error so far, counted in the metric.
func (b *bundle) fault(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		writeErrors.Inc(ctx, 1)
	}
	return b.err
}

func (b *bundle) ack() Ack {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := Ack{Records: b.count, Bytes: b.bytes, Written: make([]Written, 0, len(b.high))}
	for k, o := range b.high {
		a.Written = append(a.Written, Written{Topic: k.topic, Partition: k.num, Offset: o})
	}
	slices.SortFunc(a.Written, func(x, y Written) int {
		return cmp.Or(strings.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	return a
}
