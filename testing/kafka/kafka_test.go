package kafka_test

import (
	"testing"

	"github.com/braidhq/braid/testing/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the broker acknowledged is there after it was killed and came back.
func TestBroker(t *testing.T) {
	b := kafka.Start(t, "num.partitions=3")
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.ConsumeTopics("kept"), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopic(t.Context(), -1, 1, nil, "kept")
	if err != nil || created.NumPartitions != 3 {
		t.Fatalf("%d partitions, %v", created.NumPartitions, err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "kept", Value: []byte("a")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b.Kill()
	if b.Used() == 0 {
		t.Error("the broker used no processor time")
	}
	b.Up()
	if records := client.PollFetches(t.Context()).Records(); len(records) != 1 || string(records[0].Value) != "a" {
		t.Errorf("%d records are left", len(records))
	}
}
