package bench

import (
	"context"
	"time"

	"github.com/braidhq/braid/testing/exact"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
	"github.com/twmb/franz-go/pkg/kgo"
)

// check compares every profile with what was sent and returns how many there are.
func check(ctx context.Context, people *shop.People, reader *update.Reader) (int, error) {
	profiles, err := exact.Check(ctx, people, reader, time.Now().UnixMilli())
	return len(profiles), err
}

// toRecord gives a record to the producer.
func toRecord(topic string, r event.Record) *kgo.Record {
	out := &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: make([]kgo.RecordHeader, len(r.Headers))}
	for i, h := range r.Headers {
		out.Headers[i] = kgo.RecordHeader(h)
	}
	return out
}
