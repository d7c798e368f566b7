package event_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms/event"
)

func TestMarkerRoundTrip(t *testing.T) {
	for _, m := range []event.Marker{{Epoch: 7, Oldest: 5, Received: received}, {Epoch: 1<<64 - 1, Oldest: 0}, {Tick: true, Received: received}} {
		headers, value := m.Record()
		got, ok, err := event.ParseMarker(event.Record{Headers: headers, Value: value})
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestParseMarker(t *testing.T) {
	for name, c := range map[string]struct{ header, value, want string }{
		"negative":       {"-1", `{"v":1}`, `bad_marker: marker is "-1", neither "tick" nor a decimal epoch; only the marker controller may write markers`},
		"no JSON":        {"1", ``, "bad_marker: event has no readable value"},
		"version":        {"1", `{"v":2,"epoch":1}`, "bad_marker: v is 2, only 1 is known here"},
		"another epoch":  {"1", `{"v":1,"epoch":2}`, "bad_marker: epoch differs from the header's 1"},
		"oldest is late": {"1", `{"v":1,"epoch":1,"oldest":2}`, "bad_marker: oldest is later than the epoch itself"},
	} {
		t.Run(name, func(t *testing.T) {
			_, ok, err := event.ParseMarker(event.Record{Headers: []event.Header{{Key: event.HeaderMarker, Value: []byte(c.header)}}, Value: []byte(c.value)})
			if !ok || err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v %v\nwant %s", ok, err, c.want)
			}
		})
	}
	if _, ok, err := event.ParseMarker(record(`{}`)); ok || err != nil {
		t.Error("an event is no marker", ok, err)
	}
}

func TestNew(t *testing.T) {
	r, err := event.New(event.Draft{
		ID: "e<1>", Table: "orders", Time: received, Key: "user_id:7", Received: received + 5, Source: "web", Seq: 9,
		Identifiers: event.Texts(map[string]string{"user_id": "7", "anonymous_id": "a\"b"}),
		Properties:  json.RawMessage(` {"total": 12.50} `),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event_id":"e\u003c1\u003e","table":"orders","time":1291190400000,"identifiers":{"anonymous_id":"a\"b","user_id":"7"},"properties":{"total": 12.50}}`
	if string(r.Value) != want {
		t.Errorf("got  %s\nwant %s", r.Value, want)
	}
	e, err := event.Decode(r, event.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if e.ID != "e<1>" || e.Source != "web" || e.Order.Seq != 9 || e.Received != received+5 || e.KeyField("anonymous_id").Str != `a"b` {
		t.Errorf("got %+v", e)
	}
	for name, d := range map[string]event.Draft{
		"missing_field: event_id":     {Table: "t"},
		"missing_field: table":        {ID: "a"},
		"invalid_utf8: table":         {ID: "a", Table: "\xff"},
		"too_large: event_id":         {ID: strings.Repeat("x", 300), Table: "t"},
		"wrong_type: properties":      {ID: "a", Table: "t", Properties: json.RawMessage(`[]`)},
		"malformed_json: identifiers": {ID: "a", Table: "t", Identifiers: json.RawMessage(`{"a":}`)},
		"malformed_json: context":     {ID: "a", Table: "t", Context: json.RawMessage(`{},"table":"x"`)},
		"invalid_utf8: context":       {ID: "a", Table: "t", Context: json.RawMessage("{\"a\":\"\xff\"}")},
	} {
		if _, err := event.New(d); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestRejectedRecord(t *testing.T) {
	original := record("{\"event_id\":\"e1\",\"table\":\xff}")
	original.Key = []byte("user_id:7")
	original.Headers = []event.Header{{Key: event.HeaderReceived, Value: []byte("soon")}, {Key: "source", Value: []byte("web")}}
	_, err := event.Decode(original, event.Limits{})
	b, err := event.Reject(original, err.(*event.Rejection)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.DecodeRejected(b)
	if err != nil {
		t.Fatal(err)
	}
	want := event.RejectedRecord{
		Version: 1, Trace: "e1", Reason: event.BadHeader, Field: "received", Detail: `is "soon", not epoch milliseconds in decimal`,
		Fix: "let ingest set the headers, or send decimal numbers", Topic: "braid.retail.events", Partition: 3, Offset: 42, Received: received,
		Key: original.Key, Value: original.Value, Bytes: len(original.Value),
		Headers: []event.RejectedHeader{{Key: "received", Value: []byte("soon")}, {Key: "source", Value: []byte("web")}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again := original
	again.Headers = []event.Header{{Key: "source", Value: []byte("web")}, {Key: event.HeaderReceived, Value: []byte("1291190400000")}}
	if diff := cmp.Diff(again, got.Original()); diff != "" || !got.Replayable() {
		t.Errorf("original (-want +got):\n%s", diff)
	}

	large := event.Reject(record(strings.Repeat("x", event.RejectedBytes+1)), &event.Rejection{Reason: event.TooLarge})
	if len(large.Value) != event.RejectedBytes || large.Replayable() || large.Trace != "braid.retail.events/3/42" {
		t.Errorf("kept %d bytes, replayable %v, trace %s", len(large.Value), large.Replayable(), large.Trace)
	}
	// Whatever a record of 4 MiB holds, a topic that takes 4 MiB takes what is kept of it, once more with its key as the record's.
	stuffed := record("{")
	for name, fill := range map[string]func(){
		"a key":        func() { stuffed.Key = []byte(strings.Repeat("\x00", 4<<20)) },
		"a header":     func() { stuffed.Headers = []event.Header{{Key: strings.Repeat("\x00", 4<<20)}} },
		"many headers": func() { stuffed.Headers = make([]event.Header, 1<<20) },
		"just enough":  func() { stuffed.Key = []byte(strings.Repeat("\x00", event.RejectedHeadBytes)) },
	} {
		stuffed.Key, stuffed.Headers = nil, nil
		fill()
		stuffed.Value = []byte(strings.Repeat("x", event.RejectedBytes))
		kept := event.Reject(stuffed, &event.Rejection{Reason: event.TooLarge})
		b, err := kept.Encode()
		if size := len(b) + len(kept.Key); err != nil || size > 2<<20 || kept.Replayable() != (name == "just enough") {
			t.Errorf("%s: %d bytes, replayable %v, %v", name, size, kept.Replayable(), err)
		}
	}
	for _, bad := range []string{``, `{"v":2}`} {
		if _, err := event.DecodeRejected([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"event_id":"e","table":"t","time":1291190400000,"identifiers":{"a":"1"},"properties":{"a":[1.5e3,{"b":null}]},"context":{}}`), "1291190400000", "7")
	f.Add([]byte(`{"event_id":"\ud800\u0000","table":"t","time":"2010-12-01T08:00:00Z","properties":null}`), "", "")
	f.Add([]byte("{\"a\":\"\xff\"}"), "x", "-1")
	f.Add([]byte(strings.Repeat(`{"a":[`, 40)), "1", "1")
	f.Fuzz(func(t *testing.T, value []byte, receivedHeader, seq string) {
		r := record(string(value))
		if receivedHeader != "" {
			r.Headers = append(r.Headers, event.Header{Key: event.HeaderReceived, Value: []byte(receivedHeader)})
		}
		if seq != "" {
			r.Headers = append(r.Headers, event.Header{Key: event.HeaderSeq, Value: []byte(seq)})
		}
		e, err := event.Decode(r, event.Limits{})
		if err != nil {
			why := err.(*event.Rejection)
			if why.Reason == "" || why.Fix() == "" {
				t.Fatalf("rejection without reason or fix: %v", err)
			}
			if _, err := event.Reject(r, why).Encode(); err != nil {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(value) || !utf8.Valid(value) {
			t.Fatalf("accepted %q", value)
		}
		if e.ID == "" || len(e.ID) > event.MaxID || e.Table == "" || len(e.Table) > event.MaxID || !utf8.ValidString(e.ID) {
			t.Fatalf("ID %q, table %q", e.ID, e.Table)
		}
		if e.Order.Time < e.Received-event.OrderPast || e.Order.Time > e.Received+event.OrderFuture || e.Order.ID != e.ID {
			t.Fatalf("order %v at receive time %d", e.Order, e.Received)
		}
		if got := e.Field("event_id").Str; got != e.ID {
			t.Fatalf("field event_id is %q, ID %q", got, e.ID)
		}
		literal := event.Event{Raw: e.Raw}
		for _, path := range []string{"properties.a.0", "identifiers.a", "context.a.b", "table", "a"} {
			v := e.Field(path)
			if v.Raw != literal.Field(path).Raw || v.Exists() && !json.Valid([]byte(v.Raw)) {
				t.Fatalf("%s is %q, searched from the top %q", path, v.Raw, literal.Field(path).Raw)
			}
		}
		e.KeyField("a")
	})
}

var sample = []byte(`{"event_id":"0190163d-8694-739b-aea5-966c26f8ad91","table":"page_view","time":1291190400000,"identifiers":{"user_id":"17850","anonymous_id":"c0ffee00-1234"},` +
	`"properties":{"type":"product","category":"yoga","sku":"85123A","total":15.30,"quantity":6},"context":{"page":{"url":"https://shop.example/p/85123A"}}}`)

func BenchmarkDecode(b *testing.B) {
	r := record(string(sample))
	r.Headers = []event.Header{{Key: event.HeaderReceived, Value: []byte("1291190400000")}, {Key: event.HeaderSeq, Value: []byte("12")}}
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode(r, event.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyField(b *testing.B) {
	e, err := event.Decode(record(string(sample)), event.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if e.KeyField("anonymous_id").Str == "" {
			b.Fatal("absent")
		}
	}
}
