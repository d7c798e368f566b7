// Package pipelines holds what runs: one file per job, each reading top to bottom like the diagram of the data flow.
//
// A job is a function that adds its steps to a Beam scope. It knows the sources and sinks by configuration only, so the same job
// runs in this process (see direct) and elsewhere.
package pipelines

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	register.Function1x1(toRecord)
	register.DoFn1x1[update.Effect, kafkaio.Message](&toMessageFn{})
}

// maxRecordBytes is what the topics take: a rejected event of 1 MB is a third larger in its JSON.
const maxRecordBytes = 4 << 20

// HeaderID names the header in which every effect carries its ID; receivers tell by it that they have seen it.
const HeaderID = "id"

func fromKafka(s beam.Scope, records beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("pipelines.fromKafka"), toRecord, records)
}

func toRecord(r kafkaio.Record) event.Record {
	var headers []event.Header
	if len(r.Headers) > 0 {
		headers = make([]event.Header, len(r.Headers))
		for i, h := range r.Headers {
			headers[i] = event.Header(h)
		}
	}
	return event.Record{
		Position: event.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
		TopicID:  r.TopicID, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: headers,
	}
}

func toKafka(s beam.Scope, segment string, effects beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("pipelines.toKafka"), &toMessageFn{Segment: segment}, effects)
}

type toMessageFn struct {
	Segment string // name
}

// ProcessElement addresses an effect.
func (f *toMessageFn) ProcessElement(e update.Effect) kafkaio.Message {
	return kafkaio.Message{
		Topic: topics.Name(f.Segment, topics.Kind(e.Topic)), Key: e.Key, Value: e.Value,
		Headers: []kafkaio.Header{{Key: HeaderID, Value: []byte(e.ID)}},
	}
}
