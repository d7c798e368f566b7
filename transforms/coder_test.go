package transforms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// recode passes a value through the coder that runners use between steps which they do not fuse.
func recode[T any](t interface {
	Helper()
	Fatal(...any)
}, v T) (out T) {
	t.Helper()
	var b bytes.Buffer
	if err := beam.NewElementEncoder(reflect.TypeFor[T]()).Encode(v, &b); err != nil {
		t.Fatal(err)
	}
	back, err := beam.NewElementDecoder(reflect.TypeFor[T]()).Decode(&b)
	if err != nil || b.Len() > 0 {
		t.Fatal(err, b.Len())
	}
	return back.(T)
}

func TestCodersKeepWhatTheyAreGiven(t *testing.T) {
	same := func(name string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(event.Event{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	full := record(3, 4, `{"event_id":"e","table":"loans","identifiers":{"email":"<a&b@x.example>"},"properties":{"books":1.50}}`)
	full.Key = []byte("email:\xff\x00")
	for name, r := range map[string]event.Record{"full": full, "empty": {}, "tick": tick(0, 0)} {
		same("record "+name, r, recode(t, r))
	}
	config, err := library.Config()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]event.Record{"event": full, "tick": tick(0, 0), "rejected": record(1, 2, "\xff"), "no value": record(1, 2, "")} {
		in := config.Prepare(r)
		same("input "+name, in, recode(t, in))
	}
	same("effect", update.Effect{ID: "a/0/1", Topic: "profiles", Key: []byte{0, 255}, Value: []byte(`{"<":1}`)},
		recode(t, update.Effect{ID: "a/0/1", Topic: "profiles", Key: []byte{0, 255}, Value: []byte(`{"<":1}`)}))
	due := update.Due{At: -1, Document: [16]byte{1, 255}}
	same("due", due, recode(t, due))
	for name, d := range map[string]event.Draft{
		"empty": {},
		"full": {
			ID: "e", Table: "loans", Time: -1, Identifiers: json.RawMessage(`{ "a" : "<&>" }`), Properties: json.RawMessage(`{}`), Context: json.RawMessage(`{"n":1e400}`),
			Key: "email:\xff", Received: 7, Source: "web", Seq: 1<<64 - 1, Origin: event.Position{Topic: "raw", Partition: 2, Offset: 3},
		},
		"with objects that are none": {Identifiers: json.RawMessage(`{"a":`), Properties: json.RawMessage("\xff"), Context: json.RawMessage(`null`)},
	} {
		same("draft "+name, d, recode(t, d))
	}
}

func TestDraftCoderOfAnything(t *testing.T) {
	raw := rapid.Custom(func(t *rapid.T) json.RawMessage {
		return rapid.OneOf(rapid.Just(json.RawMessage(nil)), rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) json.RawMessage { return b })).Draw(t, "raw")
	})
	rapid.Check(t, func(t *rapid.T) {
		d := event.Draft{
			ID: rapid.String().Draw(t, "id"), Table: rapid.String().Draw(t, "table"), Time: rapid.Int64().Draw(t, "time"),
			Identifiers: raw.Draw(t, "identifiers"), Properties: raw.Draw(t, "properties"), Context: raw.Draw(t, "context"),
			Key: string(rapid.SliceOf(rapid.Byte()).Draw(t, "key")), Received: rapid.Int64().Draw(t, "received"), Source: rapid.String().Draw(t, "source"),
			Seq: rapid.Uint64().Draw(t, "seq"), Origin: event.Position{Topic: rapid.String().Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset")},
		}
		if diff := cmp.Diff(d, recode(t, d)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Records of a real month, with all its trouble, give the same rows and effects whether they stay in memory or pass through the
// coders at every step.
func TestCodedInputsComeToTheSame(t *testing.T) {
	s, err := segment.Parse("segment.yaml", shop.Segment)
	if err != nil {
		t.Fatal(err)
	}
	month, err := shop.NewMonth(shop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	type life struct {
		store  *memory.Store
		worker *update.Worker
		inputs []*update.Input
	}
	var plain, coded life
	for _, l := range []*life{&plain, &coded} {
		l.store = memory.New()
		l.worker = update.NewWorker(s.Config(), l.store)
	}
	rejected, n := 0, 0
	for e := range month.Events() {
		if n++; n > 4000 {
			break
		}
		r := e.Record()
		r.Position = event.Position{Topic: "braid.retail.events", Offset: int64(n)}
		r.TopicID = [16]byte{1}
		plain.inputs = append(plain.inputs, s.Config().Prepare(r))
		coded.inputs = append(coded.inputs, recode(t, s.Config().Prepare(recode(t, r))))
		if len(plain.inputs) < 100 {
			continue
		}
		a, err := plain.worker.Apply(context.Background(), plain.inputs)
		if err != nil {
			t.Fatal(err)
		}
		b, err := coded.worker.Apply(context.Background(), coded.inputs)
		if err != nil {
			t.Fatal(err)
		}
		var effects []update.Effect
		for _, e := range b.Effects {
			effects = append(effects, recode(t, e))
		}
		b.Effects = effects
		if !reflect.DeepEqual(a, b) { // much faster than to look for differences
			t.Fatal(cmp.Diff(a, b))
		}
		for _, n := range a.Rejected {
			rejected += n
		}
		plain.inputs, coded.inputs = nil, nil
	}
	if rejected == 0 {
		t.Error("nothing was rejected: the month should have trouble")
	}
	if a, b := rows(t, plain.store), rows(t, coded.store); !maps.Equal(a, b) {
		t.Error(cmp.Diff(a, b))
	}
}

func rows(t testing.TB, store update.Store) map[string]string {
	t.Helper()
	all, err := store.Scan(context.Background(), nil, nil, 1_000_000)
	if err != nil || len(all) == 0 {
		t.Fatal(err, len(all))
	}
	out := make(map[string]string, len(all))
	for _, r := range all {
		out[fmt.Sprintf("%q", r.Key)] = fmt.Sprintf("%x", r.Value)
	}
	return out
}

// A runner that does not fuse puts the coders between all steps: a Reshuffle does it here.
func TestUnfusedPathIsTheSame(t *testing.T) {
	var records []event.Record
	for i := range int64(50) {
		records = append(records, record(i, i, fmt.Sprintf(`{"event_id":"e%d","table":"loans","identifiers":{"card":"%d","cookie":"c%d"},"properties":{"books":%d}}`, i, i%5, i%7, i)))
	}
	records = append(records, record(50, 50, `{`), tick(51, 51))
	fused := apply(t, "memory:fused", records...)
	b := newBasket(t)
	run(t, func(s beam.Scope) {
		inputs := beam.Reshuffle(s, transforms.Decode(s, library, beam.Reshuffle(s, beam.CreateList(s, records))))
		beam.ParDo0(s, &collectFn{Basket: t.Name()}, beam.Reshuffle(s, transforms.Update(s, library, "memory:unfused", inputs)))
	})
	if diff := cmp.Diff(rows(t, memory.Named("fused")), rows(t, memory.Named("unfused"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(fused, b.take(), cmpopts.SortSlices(func(a, b update.Effect) bool { return a.ID < b.ID })); diff != "" {
		t.Error(diff)
	}
}
