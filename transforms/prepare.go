package transforms

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	beam.RegisterType(reflect.TypeFor[event.Draft]())
	beam.RegisterCoder(reflect.TypeFor[event.Draft](), encodeDraft, decodeDraft)
	register.DoFn3x0[event.Record, func(event.Draft), func(update.Effect)](&draftFn{})
	register.DoFn3x0[event.Draft, func(event.Record), func(update.Effect)](&sealFn{})
	register.Emitter1[event.Draft]()
	register.Emitter1[event.Record]()
	register.Emitter1[update.Effect]()
}

// codedDraft is a draft as JSON: its objects are bytes, whatever they hold, and absent ones stay absent.
type codedDraft struct {
	ID, Table                        string
	Time                             int64
	Identifiers, Properties, Context []byte
	Key                              []byte
	Received                         int64
	Source                           string
	Seq                              uint64
	Origin                           event.Position
}

func encodeDraft(d event.Draft) ([]byte, error) {
	return json.Marshal(codedDraft{
		ID: d.ID, Table: d.Table, Time: d.Time, Identifiers: d.Identifiers, Properties: d.Properties, Context: d.Context,
		Key: []byte(d.Key), Received: d.Received, Source: d.Source, Seq: d.Seq, Origin: d.Origin,
	})
}

func decodeDraft(b []byte) (event.Draft, error) {
	var c codedDraft
	err := json.Unmarshal(b, &c)
	return event.Draft{
		ID: c.ID, Table: c.Table, Time: c.Time, Identifiers: c.Identifiers, Properties: c.Properties, Context: c.Context,
		Key: string(c.Key), Received: c.Received, Source: c.Source, Seq: c.Seq, Origin: c.Origin,
	}, err
}

// Draft makes drafts of raw records: it takes a PCollection<event.Record> and returns a PCollection<event.Draft>, and a
// PCollection<update.Effect> of the records that hold none.
func Draft(s beam.Scope, segment Segment, records beam.PCollection) (drafts, rejected beam.PCollection) {
	s = s.Scope("transforms.Draft")
	return beam.ParDo2(s, &draftFn{Segment: segment}, records)
}

type draftFn struct {
	Segment Segment

	config *update.Config
}

// Setup compiles the segment.
func (f *draftFn) Setup() (err error) {
	f.config, err = f.Segment.Config()
	return err
}

// ProcessElement makes one draft.
func (f *draftFn) ProcessElement(r event.Record, emit func(event.Draft), reject func(update.Effect)) {
	d, err := event.FromRaw(r, f.config.Limits)
	if err != nil {
		reject(effect(rejection(r, err), ""))
		return
	}
	emit(d)
}

// Seal makes the records of the stream from drafts: it takes a PCollection<event.Draft> and returns a PCollection<event.Record>
// without positions, and a PCollection<update.Effect> of the drafts that are no events. It must be fused with Draft, and what is
// between the two must work element by element: an event without an ID, and the second and further ones that were made from one
// record, get theirs from the record's position and their number, so that they have the same ones when the record is read again.
func Seal(s beam.Scope, segment Segment, drafts beam.PCollection) (records, rejected beam.PCollection) {
	s = s.Scope("transforms.Seal")
	return beam.ParDo2(s, &sealFn{Segment: segment}, drafts)
}

type sealFn struct {
	Segment Segment

	config *update.Config
	origin event.Position
	number int // of events made from origin so far
}

// Setup compiles the segment.
func (f *sealFn) Setup() error {
	config, err := f.Segment.Config()
	if err != nil {
		return err
	}
	f.config, err = Secretive(config)
	return err
}

// StartBundle begins to number anew.
func (f *sealFn) StartBundle(func(event.Record), func(update.Effect)) {
	f.origin, f.number = event.Position{}, 0
}

// ProcessElement seals one draft.
func (f *sealFn) ProcessElement(d event.Draft, emit func(event.Record), reject func(update.Effect)) {
	if d.Origin != f.origin {
		f.origin, f.number = d.Origin, 0
	}
	switch {
	case d.ID == "":
		d.ID = fmt.Sprintf("%s/%d/%d/%d", d.Origin.Topic, d.Origin.Partition, d.Origin.Offset, f.number)
	case f.number > 0:
		d.ID = fmt.Sprintf("%s/%d", d.ID, f.number)
	}
	number := f.number
	f.number++
	r, err := event.New(d)
	if err != nil {
		reject(effect(refusal(d, err), fmt.Sprint("/", number))) // one record may become several that are refused
		return
	}
	r.Value = f.config.Conceal(d.Table, r.Value)
	r.Key = []byte(f.config.RecordKey(d.Table, r.Value))
	emit(r)
}

// SecretVariable is the environment variable with the secret by which identifiers are concealed.
const SecretVariable = "BRAID_HASH_SECRET"

// Secretive returns a configuration with the secret from the environment. Where identifiers must be concealed it must be there.
func Secretive(c *update.Config) (*update.Config, error) {
	keys, secret := c.Rules.Conceals(), os.Getenv(SecretVariable)
	switch {
	case len(keys) == 0:
		return c, nil
	case len(secret) < identity.MinSecret:
		return nil, fmt.Errorf("values of %s are hashed with a secret: set %s to at least %d characters, the same for good", strings.Join(keys, ", "), SecretVariable, identity.MinSecret)
	}
	return c.WithSecret(secret), nil
}

func rejection(r event.Record, err error) event.RejectedRecord {
	var why *event.Rejection
	if !errors.As(err, &why) {
		why = &event.Rejection{Reason: event.MalformedJSON, Detail: err.Error()}
	}
	return event.Reject(r, why)
}

// refusal is the rejected record of a draft. It shows what the draft held, for people: sending that again would help nobody. The raw
// record is where its position says.
func refusal(d event.Draft, err error) event.RejectedRecord {
	value, _ := json.Marshal(map[string]string{ // texts only: cannot fail
		"event_id": d.ID, "table": d.Table, "identifiers": string(d.Identifiers), "properties": string(d.Properties), "context": string(d.Context),
	})
	rejected := rejection(event.Record{Position: d.Origin, Timestamp: d.Received, Key: []byte(d.Key), Value: value}, err)
	rejected.Bytes = -1
	return rejected
}

func effect(rejected event.RejectedRecord, number string) update.Effect {
	value, _ := json.Marshal(rejected) // texts, numbers and bytes only: cannot fail
	return update.Effect{
		ID:    fmt.Sprintf("%s/%d/%d%s", rejected.Topic, rejected.Partition, rejected.Offset, number),
		Topic: update.TopicRejected, Key: rejected.Key, Value: value,
	}
}
