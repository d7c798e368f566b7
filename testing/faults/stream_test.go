package faults_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/transforms/event"
)

// produce writes records straight into Kafka, as somebody else might.
func produce(t *testing.T, brokers []string, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(eventsTopic), kgo.ProducerBatchMaxBytes(4<<20),
		kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// produceViews writes page views of a customer.
func produceViews(t *testing.T, brokers []string, customer string, n int) {
	t.Helper()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{
			Key:     []byte("customer_id:" + customer),
			Value:   fmt.Appendf(nil, `{"event_id":"produced%d","table":"page_view","identifiers":{"user_id":%q},"properties":{"type":"product"}}`, i, customer),
			Headers: []kgo.RecordHeader{{Key: event.HeaderSource, Value: []byte("test")}},
		})
	}
	produce(t, brokers, records...)
}
