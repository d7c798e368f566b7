// Package transforms holds Braid's Beam transforms: thin shells around the pure cores in the folders below it.
//
// The real-time path reads Decode ► Update, with Advance beside it. In go records of the stream, out come effects: records for other
// topics. All state is in the store; nothing is kept in Beam state, so a job may be thrown away and started again at will.
package transforms

import (
	"encoding/json"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	beam.RegisterType(reflect.TypeFor[event.Record]())
	beam.RegisterType(reflect.TypeFor[*update.Input]())
	beam.RegisterType(reflect.TypeFor[update.Effect]())
	beam.RegisterType(reflect.TypeFor[update.Due]())
	beam.RegisterCoder(reflect.TypeFor[event.Record](), encodeRecord, decodeRecord)
	beam.RegisterCoder(reflect.TypeFor[*update.Input](), encodeInput, decodeInput)
	beam.RegisterCoder(reflect.TypeFor[update.Effect](), encodeEffect, decodeEffect)
	beam.RegisterCoder(reflect.TypeFor[update.Due](), encodeDue, decodeDue)
}

// The coders only work where a runner does not fuse the steps; within a stage elements pass as they are.

func encodeRecord(r event.Record) ([]byte, error)       { return json.Marshal(r) }
func decodeRecord(b []byte) (r event.Record, err error) { return r, json.Unmarshal(b, &r) }

func encodeInput(in *update.Input) ([]byte, error) { return json.Marshal(in) }
func decodeInput(b []byte) (*update.Input, error) {
	in := new(update.Input)
	return in, json.Unmarshal(b, in)
}

func encodeEffect(e update.Effect) ([]byte, error)       { return json.Marshal(e) }
func decodeEffect(b []byte) (e update.Effect, err error) { return e, json.Unmarshal(b, &e) }

func encodeDue(d update.Due) ([]byte, error)       { return json.Marshal(d) }
func decodeDue(b []byte) (d update.Due, err error) { return d, json.Unmarshal(b, &d) }

// Segment is a parent segment as DoFns carry it with them.
type Segment = segment.Source
