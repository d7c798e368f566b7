package transforms_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	_ "github.com/braidhq/braid/io/store/memory" // opens memory: stores
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	register.DoFn1x0[update.Effect](&collectFn{})
	register.Function1x0(collectRecord)
	register.Function1x0(printInput)
	register.Function1x0(printEffect)
	register.Function1x0(announce)
	register.Function1x0(printRejected)
	register.Function1x0(printDraft)
	register.Function1x0(printRecord)
}

func TestMain(m *testing.M) {
	beam.Init()
	goleak.VerifyTestMain(m)
}

// library is a segment of three keys.
var library = transforms.Segment{File: "segment.yaml", Text: `
segment: library
profile_key: card
keys: [{name: card}, {name: email, normalize: email}, {name: cookie}]
tables: {visits: {keys: [card, cookie]}, loans: {keys: [card, email, cookie]}}
events: {visited: {table: visits}, borrowed: {table: loans}}
attributes:
  visits: {kind: counter, event: visited}
  books:  {kind: sum, event: borrowed, value: properties.books}
`}

const libraryEvents = "braid.library.events"

// opened is the moment at which the examples begin.
const opened int64 = 1291190400000

// record is the record of the stream at an offset, received some milliseconds after the beginning.
func record(offset, after int64, value string) event.Record {
	return event.Record{
		Position: event.Position{Topic: libraryEvents, Offset: offset}, TopicID: [16]byte{1}, Timestamp: opened + after, Value: []byte(value),
		Headers: []event.Header{{Key: event.HeaderReceived, Value: fmt.Append(nil, opened+after)}},
	}
}

// tick is a record that only moves the clock.
func tick(offset, after int64) event.Record {
	r := record(offset, after, "")
	headers, value := event.Marker{Tick: true, Received: opened + after}.Record()
	r.Headers, r.Value = headers, value
	return r
}

// What examples print. DoFns are functions here; each runs in the goroutine of one bundle.

func printInput(in *update.Input) {
	switch {
	case in.Marker != nil:
		fmt.Println("marker", in.Position.Offset)
	case in.Rejected != nil:
		fmt.Println("rejected", in.Position.Offset, in.Rejected.Reason)
	default:
		fmt.Println("event", in.Event.ID, in.Identifiers)
	}
}

func printEffect(e update.Effect) {
	v := gjson.ParseBytes(e.Value)
	fmt.Println(e.Topic, e.ID, v.Get("kind").String()+v.Get("profile.attributes").Raw)
}

// announced is where announce leaves the attributes of published profiles.
var announced = make(chan string, 100)

func announce(e update.Effect) { announced <- gjson.GetBytes(e.Value, "profile.attributes").Raw }

func printRejected(e update.Effect) {
	why, err := event.DecodeRejected(e.Value)
	fmt.Println(e.Topic, e.ID, why.Reason, why.Field, why.Detail, err)
}

func printDraft(d event.Draft) {
	fmt.Printf("%s: identifiers %q, properties %q\n", d.Table, d.Identifiers, d.Properties)
}

func printRecord(r event.Record) { fmt.Printf("%s %s\n", r.Key, r.Value) }

// What tests collect, by the name of the test.

type basket struct {
	mu      sync.Mutex
	effects []update.Effect
	arrived chan struct{}
}

var baskets sync.Map

func newBasket(t testing.TB) *basket {
	b := &basket{arrived: make(chan struct{}, 1000)}
	baskets.Store(t.Name(), b)
	t.Cleanup(func() { baskets.Delete(t.Name()) })
	return b
}

func (b *basket) take() []update.Effect {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.effects
	b.effects = nil
	return out
}

// wait waits for an effect that comes.
func (b *basket) wait(t testing.TB) {
	t.Helper()
	select {
	case <-b.arrived:
	case <-time.After(time.Minute):
		t.Fatal("no effect came")
	}
}

type collectFn struct{ Basket string }

// ProcessElement keeps an effect.
func (f *collectFn) ProcessElement(e update.Effect) {
	found, _ := baskets.Load(f.Basket)
	b := found.(*basket)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.effects = append(b.effects, e)
	b.arrived <- struct{}{}
}

var collected struct {
	sync.Mutex
	records []event.Record
}

func collectRecord(r event.Record) {
	collected.Lock()
	defer collected.Unlock()
	collected.records = append(collected.records, r)
}

// run runs a pipeline to its end.
func run(t testing.TB, build func(beam.Scope)) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	build(s)
	if _, err := direct.Run(context.Background(), p, direct.Options{MaxAttempts: 1, Workers: 1}); err != nil {
		t.Fatal(err)
	}
}

// background runs a pipeline that never ends, until the function it returns is called.
func background(t testing.TB, build func(beam.Scope)) (drain func()) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	build(s)
	engine, err := direct.Start(context.Background(), p, direct.Options{OnFailure: func(f direct.Failure) { t.Errorf("bundle failed: %+v", f) }})
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := engine.Drain(ctx); err != nil {
			t.Error(err)
		}
	})
}

// apply applies records to a store as one bundle, and collects the effects.
func apply(t testing.TB, store string, records ...event.Record) []update.Effect {
	t.Helper()
	b := newBasket(t)
	run(t, func(s beam.Scope) {
		inputs := transforms.Decode(s, library, beam.CreateList(s, records))
		beam.ParDo0(s, &collectFn{Basket: t.Name()}, transforms.Update(s, library, store, inputs))
	})
	return b.take()
}

// published lists what effects say of profiles: their IDs and attributes.
func published(effects []update.Effect) (out []string) {
	for _, e := range effects {
		if e.Topic == update.TopicProfiles {
			out = append(out, e.ID+" "+gjson.GetBytes(e.Value, "profile.attributes").Raw)
		}
	}
	return out
}
