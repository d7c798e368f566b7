package ingest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/transforms/event"
)

// shown is a record in one line.
func shown(r *kgo.Record) string {
	text := fmt.Sprintf("%s %s", r.Key, r.Value)
	for _, h := range r.Headers {
		text += fmt.Sprintf(" %s=%s", h.Key, h.Value)
	}
	return text
}

func TestApply(t *testing.T) {
	const sent = `{"event_id":"e","time":"2010-12-01T08:26:00Z","identifiers":{"user_id":"7"},"properties":{"b":1.50,"lines":[1,2]},"shop":"x"}`
	const headers = " received=1291190400000 source=http seq=0"
	for name, tc := range map[string]struct {
		events  string
		apply   func(d event.Draft) ([]event.Draft, error)
		records []string
		result  string
	}{
		"as it was": {sent, func(d event.Draft) ([]event.Draft, error) { return []event.Draft{d}, nil },
			[]string{`customer_id:7 {"event_id":"e","table":"page_view","time":1291191960000,"identifiers":{"user_id":"7"},"properties":{"b":1.50,"lines":[1,2]},"shop":"x"}` + headers},
			"e accepted"},
		"changed": {sent, func(d event.Draft) ([]event.Draft, error) {
			d.Identifiers, d.Properties, d.Source, d.Seq = event.Texts(map[string]string{"user_id": "8"}), nil, "shop", 5
			return []event.Draft{d}, nil
		}, []string{`customer_id:8 {"event_id":"e","table":"page_view","time":1291191960000,"identifiers":{"user_id":"8"},"shop":"x"} received=1291190400000 source=shop seq=5`},
			"e accepted"},
		"several": {sent, func(d event.Draft) ([]event.Draft, error) {
			a, b, c := d, d, d
			a.Properties, b.Properties, c.Properties = nil, json.RawMessage(`{"n":1}`), json.RawMessage(`{"n":2}`)
			b.ID, c.ID = "", "own"
			return []event.Draft{a, b, c}, nil
		}, []string{
			`customer_id:7 {"event_id":"e","table":"page_view","time":1291191960000,"identifiers":{"user_id":"7"},"shop":"x"}` + headers,
			`customer_id:7 {"event_id":"e/1","table":"page_view","time":1291191960000,"identifiers":{"user_id":"7"},"properties":{"n":1},"shop":"x"}` + headers,
			`customer_id:7 {"event_id":"own/2","table":"page_view","time":1291191960000,"identifiers":{"user_id":"7"},"properties":{"n":2},"shop":"x"}` + headers,
		}, "e accepted"},
		"dropped": {sent, func(event.Draft) ([]event.Draft, error) { return nil, nil }, nil, "e accepted"},
		"refused": {sent, func(event.Draft) ([]event.Draft, error) { return nil, errors.New("vat: no country") }, nil, "e refused: vat: no country"},
		"refused with a reason": {sent, func(event.Draft) ([]event.Draft, error) {
			return nil, fmt.Errorf("vat: %w", &event.Rejection{Reason: event.MissingField, Field: "country", Detail: "is missing"})
		}, nil, "e missing_field: vat: missing_field: country is missing; send a string of 1 to 256 bytes"},
		"panicked": {sent, func(event.Draft) ([]event.Draft, error) { panic("oh") }, nil, "e failed: a function that events pass through failed"},
		"into no event": {sent, func(d event.Draft) ([]event.Draft, error) {
			d.Properties = json.RawMessage(`[]`)
			return []event.Draft{d}, nil
		}, nil, "e bad_event: event 1 of the 1 that this one became: wrong_type: properties is not a JSON object; send the type that the event format names"},
		"into an unknown table": {sent, func(d event.Draft) ([]event.Draft, error) {
			other := d
			other.Table = "orders"
			return []event.Draft{d, other}, nil
		}, nil, `e unknown_table: it became an event of table "orders", which the segment does not have`},
		"too large": {sent, func(d event.Draft) ([]event.Draft, error) {
			d.Properties = json.RawMessage(`{"x":"` + strings.Repeat("a", 1000) + `"}`)
			return []event.Draft{d}, nil
		}, nil, "e too_large: an event may have 1000 bytes, this one has 1120"},
		"no event passes by": {`{"event_id":{"odd":1}}`, func(event.Draft) ([]event.Draft, error) { return nil, nil },
			[]string{` {"event_id":{"odd":1},"table":"page_view","time":1291190400000}` + headers}, `{"odd":1} accepted`},
		"nothing in it": {`{"event_id":"e"}`, func(d event.Draft) ([]event.Draft, error) {
			if len(d.Identifiers)+len(d.Properties)+len(d.Context) > 0 {
				return nil, errors.New("where from?")
			}
			return []event.Draft{d}, nil
		}, []string{` {"event_id":"e","table":"page_view","time":1291190400000}` + headers}, "e accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			producer := &memory{}
			c := config()
			c.Apply, c.EventBytes = tc.apply, 1000
			a := post(t, handler(t, c, producer), "/v1/events/page_view", []byte(`{"events":[`+tc.events+`]}`))
			var records []string
			for _, r := range producer.records {
				records = append(records, shown(r))
			}
			if diff := cmp.Diff(tc.records, records); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			got := a.Results[0].EventID + " accepted"
			if e := a.Results[0].Error; e != nil {
				got = a.Results[0].EventID + " " + e.Code + ": " + e.Detail
				if e.Field != "events[0]" || a.Results[0].Accepted {
					t.Errorf("%+v", a.Results[0])
				}
			}
			if got != tc.result || a.code != 200 {
				t.Errorf("answer %d: %s, want %s", a.code, got, tc.result)
			}
		})
	}
}

// An event that became several is accepted only when the broker has all of them, and a retry makes the same ones.
func TestApplyWaitsForAllItMade(t *testing.T) {
	twice := func(d event.Draft) ([]event.Draft, error) { return []event.Draft{d, d}, nil }
	for name, tc := range map[string]struct {
		err      func(n int) error
		status   int
		accepted []bool
	}{
		"all there":      {nil, 200, []bool{true, true}},
		"one is missing": {func(n int) error { return []error{nil, kgo.ErrRecordTimeout, nil, nil}[n] }, 503, []bool{false, true}},
		"one too large":  {func(n int) error { return []error{nil, nil, kerr.MessageTooLarge, nil}[n] }, 200, []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			c, registry := config(), prometheus.NewRegistry()
			c.Apply, c.Metrics = twice, registry
			var ids [2][]string
			for try := range ids {
				producer := &memory{err: tc.err}
				if try == 1 {
					c.Metrics = nil
				}
				a := post(t, handler(t, c, producer), "/v1/events/page_view", []byte(`{"events":[{"event_id":"a"},{"event_id":"b"}]}`))
				var accepted []bool
				for _, r := range a.Results {
					accepted = append(accepted, r.Accepted)
					if r.Accepted == (r.Error != nil) {
						t.Errorf("%+v", r)
					}
				}
				if a.code != tc.status || !cmp.Equal(tc.accepted, accepted) {
					t.Errorf("answer %d %v, want %d %v", a.code, accepted, tc.status, tc.accepted)
				}
				for _, r := range producer.records {
					ids[try] = append(ids[try], gjson.GetBytes(r.Value, "event_id").String())
				}
			}
			if diff := cmp.Diff([]string{"a", "a/1", "b", "b/1"}, ids[0]); diff != "" || !cmp.Equal(ids[0], ids[1]) {
				t.Errorf("%s %v", diff, ids)
			}
		})
	}
}

// Whatever a function makes of whatever is sent, each event has one result, and what is sent on is an event.
func FuzzApply(f *testing.F) {
	f.Add(`{"event_id":"a","time":1,"identifiers":{"user_id":"7"}}`, "b", "page_view", `{"n":1}`, 2)
	f.Add(`{"event_id":"a","identifiers":{"identifiers":1},"identifiers":{}}`, "", "orders", ``, 3)
	f.Add(`{"\u0070roperties":{"<":"\ud800"},"x":1,"x":2}`, "\xff", "page_view", `{"a":}`, 1)
	f.Fuzz(func(t *testing.T, sent, id, table, properties string, n int) {
		producer := &memory{}
		c := config()
		c.Apply = func(d event.Draft) ([]event.Draft, error) {
			out := []event.Draft{d}
			for range uint(n) % 4 {
				made := d
				made.ID, made.Table, made.Properties = id, table, json.RawMessage(properties)
				out = append(out, made)
			}
			return out[uint(n)%2:], nil
		}
		a := post(t, handler(t, c, producer), "/v1/events/page_view", []byte(`{"events":[`+sent+`]}`))
		refused := len(a.Results) == 0
		for _, r := range a.Results {
			refused = refused || !r.Accepted
			if r.Accepted == (r.Error != nil) {
				t.Errorf("%+v", r)
			}
		}
		for _, r := range producer.records {
			if refused && len(a.Results) < 2 {
				t.Errorf("record %q of a refused event", r.Value)
			}
			if value := gjson.ParseBytes(r.Value); !json.Valid(r.Value) || value.Get("table").String() != "page_view" || !value.Get("event_id").Exists() || len(r.Headers) != 3 {
				t.Errorf("record %q with headers %v", r.Value, r.Headers)
			}
		}
	})
}
