// Package transforms holds Braid's Beam transforms: thin shells around the pure cores in the folders below it.
//
// The real-time path reads Decode ► Update, with Advance beside it. In go records of the stream, out come effects: records for other
// topics. All state is in the store; nothing is kept in Beam state, so a job may be thrown away and started again at will.
package transforms

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/profile"
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

// Segment is a parent segment as DoFns carry it with them: the text of its file.
type Segment struct {
	File string // name of the file, for messages
	Text string // YAML
	// Snapshots is where what batch runs found lies, a URL that profile.OpenHistories takes; "" when there is no batch path.
	Snapshots string
}

var configs sync.Map // Segment -> *update.Config: compiled once per process

// Config compiles the segment, once per process.
func (s Segment) Config() (*update.Config, error) {
	if c, ok := configs.Load(s); ok {
		return c.(*update.Config), nil
	}
	parsed, err := segment.Parse(s.File, []byte(s.Text))
	if err != nil {
		return nil, fmt.Errorf("segment: %w", err)
	}
	config := parsed.Config()
	if s.Snapshots != "" {
		histories, err := profile.OpenHistories(context.Background(), s.Snapshots)
		if err != nil {
			return nil, err
		}
		config = config.WithHistories(histories)
	}
	c, _ := configs.LoadOrStore(s, config)
	return c.(*update.Config), nil
}
