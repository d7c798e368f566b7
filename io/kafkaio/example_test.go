package kafkaio_test

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/braidhq/braid/io/kafkaio"
)

func init() { register.Function1x1(copyOf) }

func copyOf(r kafkaio.Record) kafkaio.Message {
	return kafkaio.Message{Topic: "copy", Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
}

// The group's offsets say where a new job goes on; they are committed as bundles succeed.
func ExampleRead() {
	p, s := beam.NewPipelineWithRoot()
	client := kafkaio.Client{
		Brokers: []string{"localhost:9092"},
		SASL:    &kafkaio.SASL{Mechanism: kafkaio.ScramSHA512, User: "etl", Password: "${KAFKA_PASSWORD}"},
	}
	records := kafkaio.Read(s, client, []string{"orders"}, kafkaio.Group("billing"), kafkaio.Fallback(kafkaio.Latest()), kafkaio.PartitionGroups(4))
	_ = records // PCollection<kafkaio.Record>
	_ = p       // run it with beamx.Run
}

// Each bundle emits one acknowledgement when all its messages are with the brokers.
func ExampleWrite() {
	p, s := beam.NewPipelineWithRoot()
	client := kafkaio.Client{Brokers: []string{"localhost:9092"}}
	records := kafkaio.Read(s, client, []string{"orders"}, kafkaio.StartAt(kafkaio.Timestamp(time.UnixMilli(1_700_000_000_000))), kafkaio.Bounded())
	acks := kafkaio.Write(s, client, beam.ParDo(s, copyOf, records), kafkaio.Compress(kafkaio.Zstd))
	_ = acks // PCollection<kafkaio.Ack>
	_ = p    // run it with beamx.Run
}

func TestPipelineTravels(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	client := kafkaio.Client{Brokers: []string{"localhost:9092"}}
	records := kafkaio.Read(s, client, []string{"orders"}, kafkaio.Group("g"),
		kafkaio.StartAt(kafkaio.Offsets(map[string]map[int32]int64{"orders": {0: 7}})))
	kafkaio.Write(s, client, beam.ParDo(s, copyOf, beam.Reshuffle(s, records)))
	edges, _, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := graphx.Marshal(edges, &graphx.Options{}); err != nil {
		t.Fatal(err)
	}
}
