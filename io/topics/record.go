package topics

import (
	"github.com/braidhq/braid/transforms/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ToKafka returns a record of a stream as it is sent to a topic; empty: the producer's own.
func ToKafka(topic string, r event.Record) *kgo.Record {
	out := &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: make([]kgo.RecordHeader, len(r.Headers))}
	for i, h := range r.Headers {
		out.Headers[i] = kgo.RecordHeader(h)
	}
	return out
}

// FromKafka returns a record of a stream as it was read from a topic with the given ID.
func FromKafka(r *kgo.Record, topic [16]byte) event.Record {
	out := event.Record{
		Position: event.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, TopicID: topic,
		Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, Headers: make([]event.Header, len(r.Headers)),
	}
	for i, h := range r.Headers {
		out.Headers[i] = event.Header(h)
	}
	return out
}
