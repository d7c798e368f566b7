package pipelines

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
)

func init() { register.DoFn1x1[event.Record, kafkaio.Message](&toEventsFn{}) }

// Transform is a step of the prepare job that its user wrote: it takes a PCollection<event.Draft> and returns another one, fused and
// element by element (no grouping, no windows). One draft may become none, one or many; copies keep their Origin.
type Transform struct {
	Name  string
	Apply func(s beam.Scope, drafts beam.PCollection) beam.PCollection
}

// PrepareConfig says what the prepare job works on.
type PrepareConfig struct {
	Segment    transforms.Segment
	Name       string // of the segment
	Kafka      kafkaio.Client
	Topics     []string // raw topics; anything but the segment's own
	Group      string   // consumer group; default GroupPrepare(Name)
	Transforms []Transform
}

// GroupPrepare names the consumer group of a segment's prepare job.
func GroupPrepare(segment string) string { return "braid." + segment + ".prepare" }

// Prepare adds the prepare job: raw records of other topics become events. Everything behind the topic of events sees the same ones;
// a record that is read again gives events with the same IDs.
func Prepare(s beam.Scope, c PrepareConfig) {
	if c.Group == "" {
		c.Group = GroupPrepare(c.Name)
	}
	s = s.Scope("pipelines.Prepare")

	records := kafkaio.Read(s, c.Kafka, c.Topics, kafkaio.Group(c.Group))
	drafts, unreadable := transforms.Draft(s, c.Segment, fromKafka(s, records))
	for _, t := range c.Transforms {
		drafts = t.Apply(s.Scope(t.Name), drafts)
	}
	events, refused := transforms.Seal(s, c.Segment, drafts)
	kafkaio.Write(s, c.Kafka, toEvents(s, c.Name, events), kafkaio.MaxMessageBytes(maxRecordBytes))
	kafkaio.Write(s, c.Kafka, toKafka(s, c.Name, unreadable), kafkaio.MaxMessageBytes(maxRecordBytes))
	kafkaio.Write(s, c.Kafka, toKafka(s, c.Name, refused), kafkaio.MaxMessageBytes(maxRecordBytes))
}

func toEvents(s beam.Scope, segment string, records beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("pipelines.toEvents"), &toEventsFn{Topic: topics.Name(segment, topics.Events)}, records)
}

type toEventsFn struct {
	Topic string
}

// ProcessElement addresses a record.
func (f *toEventsFn) ProcessElement(r event.Record) kafkaio.Message {
	headers := make([]kafkaio.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = kafkaio.Header(h)
	}
	return kafkaio.Message{Topic: f.Topic, Key: r.Key, Value: r.Value, Headers: headers}
}
