package pipelines

import (
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms"
)

// RealtimeConfig says what the real-time job works on.
type RealtimeConfig struct {
	Segment transforms.Segment
	Name    string // of the segment
	Kafka   kafkaio.Client
	Store   string // URL
	Group   string // consumer group; default GroupRealtime(Name)
	// Workers is the number of groups of partitions that are worked on side by side; default 1.
	Workers int
	// MaxRecords and MaxDelay bound a bundle; defaults 300 records and 5 ms: of longer bundles more conflict.
	MaxRecords int
	MaxDelay   time.Duration
}

// GroupRealtime names the consumer group of a segment's real-time job.
func GroupRealtime(segment string) string { return "braid." + segment + ".realtime" }

func (c RealtimeConfig) withDefaults() RealtimeConfig {
	if c.Group == "" {
		c.Group = GroupRealtime(c.Name)
	}
	c.Workers = max(c.Workers, 1)
	if c.MaxRecords == 0 {
		c.MaxRecords = 300
	}
	if c.MaxDelay == 0 {
		c.MaxDelay = 5 * time.Millisecond
	}
	return c
}

// Realtime adds the real-time job: every event is stitched to a profile and folded into its attributes, and what others are to
// hear of is sent. From the read to the write it is one fused stage, and a bundle of it one transaction.
func Realtime(s beam.Scope, c RealtimeConfig) {
	c = c.withDefaults()
	s = s.Scope("pipelines.Realtime")
	events := topics.Name(c.Name, topics.Events)

	records := kafkaio.Read(s, c.Kafka, []string{events}, kafkaio.Group(c.Group), kafkaio.PartitionGroups(c.Workers),
		kafkaio.MaxRecords(c.MaxRecords), kafkaio.MaxDelay(c.MaxDelay))
	inputs := transforms.Decode(s, c.Segment, fromKafka(s, records))
	effects := transforms.Update(s, c.Segment, c.Store, inputs)
	kafkaio.Write(s, c.Kafka, toKafka(s, c.Name, effects), kafkaio.MaxMessageBytes(maxRecordBytes))

	due := transforms.Advance(s, c.Segment, c.Store, events)
	kafkaio.Write(s, c.Kafka, toKafka(s, c.Name, due), kafkaio.MaxMessageBytes(maxRecordBytes))
}
