package transforms_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	register.Function2x0(lend)
	register.Emitter1[event.Draft]()
}

// lend makes one loan of each book of a raw record. A record of nobody's card is none, one of all cards has no books.
func lend(d event.Draft, emit func(event.Draft)) {
	var raw struct {
		Card  string
		Books []string
	}
	if json.Unmarshal(d.Properties, &raw) != nil || raw.Card == "" {
		return
	}
	d.Identifiers = event.Texts(map[string]string{"card": raw.Card})
	for _, book := range raw.Books {
		d.Properties = event.Texts(map[string]string{"book": book})
		emit(d)
	}
}

func TestDraftToSeal(t *testing.T) {
	raw := func(partition int32, offset int64, value string, headers ...event.Header) event.Record {
		return event.Record{Position: event.Position{Topic: "raw.loans", Partition: partition, Offset: offset}, Timestamp: opened + offset, Value: []byte(value), Headers: headers}
	}
	records := []event.Record{
		raw(0, 1, `{"card":"7","books":["Emma","Ulysses"]}`),
		raw(1, 1, `{"card":"7","books":["Emma"]}`, event.Header{Key: event.HeaderReceived, Value: []byte("1291190400099")}, event.Header{Key: event.HeaderSource, Value: []byte("desk")}, event.Header{Key: event.HeaderSeq, Value: []byte("3")}),
		raw(1, 2, `{"event_id":"own","time":1291190400000,"properties":{"card":"8","books":["Emma","Emma"]}}`),
		raw(1, 3, `{"books":["Emma"]}`),
		raw(1, 4, "\xff"),
		raw(1, 5, `{"event_id":"`+strings.Repeat("x", 255)+`","properties":{"card":"8","books":["Emma","Emma"]}}`),
		raw(1, 6, `{"time":"soon","card":"9"}`),
	}
	b := newBasket(t)
	collected.records = nil
	run(t, func(s beam.Scope) {
		drafts, unreadable := transforms.Draft(s, library, beam.CreateList(s, records))
		events, refused := transforms.Seal(s, library, beam.ParDo(s, lend, drafts))
		beam.ParDo0(s, collectRecord, events)
		beam.ParDo0(s, &collectFn{Basket: t.Name()}, unreadable)
		beam.ParDo0(s, &collectFn{Basket: t.Name()}, refused)
	})
	var got []string
	for _, r := range collected.records {
		text := fmt.Sprintf("%s %s", r.Key, r.Value)
		for _, h := range r.Headers {
			text += fmt.Sprintf(" %s=%s", h.Key, h.Value)
		}
		got = append(got, strings.ReplaceAll(text, strings.Repeat("x", 255), "long"))
	}
	want := []string{
		`card:7 {"event_id":"raw.loans/0/1/0","table":"loans","time":1291190400001,"identifiers":{"card":"7"},"properties":{"book":"Emma"}} received=1291190400001`,
		`card:7 {"event_id":"raw.loans/0/1/1","table":"loans","time":1291190400001,"identifiers":{"card":"7"},"properties":{"book":"Ulysses"}} received=1291190400001`,
		`card:7 {"event_id":"raw.loans/1/1/0","table":"loans","time":1291190400099,"identifiers":{"card":"7"},"properties":{"book":"Emma"}} received=1291190400099 source=desk seq=3`,
		`card:8 {"event_id":"own","table":"loans","time":1291190400000,"identifiers":{"card":"8"},"properties":{"book":"Emma"}} received=1291190400002`,
		`card:8 {"event_id":"own/1","table":"loans","time":1291190400000,"identifiers":{"card":"8"},"properties":{"book":"Emma"}} received=1291190400002`,
		`card:8 {"event_id":"long","table":"loans","time":1291190400005,"identifiers":{"card":"8"},"properties":{"book":"Emma"}} received=1291190400005`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	var refused []string
	for _, e := range b.take() {
		why, err := event.DecodeRejected(e.Value)
		if err != nil || e.Topic != update.TopicRejected {
			t.Fatal(e, err)
		}
		refused = append(refused, fmt.Sprint(e.ID, " ", why.Topic, "/", why.Partition, "/", why.Offset, " ", why.Reason, " ", why.Field, " ", why.Replayable()))
	}
	slices.Sort(refused)
	if diff := cmp.Diff([]string{
		"raw.loans/1/4 raw.loans/1/4 invalid_utf8  true", "raw.loans/1/5/1 raw.loans/1/5 too_large event_id false", "raw.loans/1/6 raw.loans/1/6 bad_time time true",
	}, refused); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

// A second record without an event ID, and the second event of a record, never share an ID with another, whatever the bundles.
func TestSealNumbersAnewInEachBundle(t *testing.T) {
	d := event.Draft{Table: "loans", Received: opened, Identifiers: event.Texts(map[string]string{"card": "7"}), Origin: event.Position{Topic: "raw", Offset: 4}}
	for range 2 {
		collected.records = nil
		run(t, func(s beam.Scope) {
			events, _ := transforms.Seal(s, library, beam.Create(s, d, d, d))
			beam.ParDo0(s, collectRecord, events)
		})
		for i, r := range collected.records {
			if want := fmt.Sprintf(`{"event_id":"raw/0/4/%d",`, i); !strings.HasPrefix(string(r.Value), want) || len(collected.records) != 3 {
				t.Errorf("%s, want %s", r.Value, want)
			}
		}
	}
}
