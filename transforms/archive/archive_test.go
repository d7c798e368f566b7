package archive

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

func config(t testing.TB) *update.Config {
	t.Helper()
	s, err := segment.Parse("segment.yaml", []byte(`
segment: shop
profile_key: customer_id
keys: [{name: customer_id}, {name: email, normalize: email}]
tables: {orders: {keys: {customer_id: user_id, email: email}}}
events:
  bought: {table: orders}
  much:   {table: orders, where: 'double(properties.total) > 100.0'}
attributes: {n: {kind: counter, event: bought}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return s.Config()
}

func stream(c *update.Config, r event.Record, epoch uint64) StreamRow {
	return Stream(c, r, c.Prepare(r), epoch)
}

func TestStreamHoldsWhatWasDecided(t *testing.T) {
	c := config(t)
	const value = `{"event_id":"e1","table":"orders","time":1291190400000,"identifiers":{"user_id":"7","email":" Ann@X.example "},"properties":{"total":120.50},"context":{"ip":"::1"}}`
	r := event.Record{
		Position: event.Position{Topic: "events", Partition: 3, Offset: 9}, TopicID: [16]byte{1}, Timestamp: 1291190400100, Value: []byte(value),
		Headers: []event.Header{{Key: event.HeaderReceived, Value: []byte("1291190400050")}, {Key: event.HeaderSource, Value: []byte("till")}, {Key: event.HeaderSeq, Value: []byte("4")}},
	}
	got := stream(c, r, 5)
	if got.Cell == "" || got.Cell != stream(c, r, 6).Cell {
		t.Errorf("cell %q", got.Cell)
	}
	got.Cell = ""
	want := StreamRow{
		Position: Position{TopicID: [16]byte{1}, Partition: 3, Offset: 9}, Epoch: 5, Kind: "event", Appended: at(1291190400100), Received: at(1291190400050),
		Time: at(1291190400000), OrderTime: at(1291190400000), Seq: 4, EventID: "e1", Table: "orders", Source: "till",
		Identifiers: map[string]string{"customer_id": "7", "email": "ann@x.example"}, Definitions: []string{"bought", "much"},
		Raw: value, Properties: `{"total":120.50}`, Context: `{"ip":"::1"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStreamOfWhatIsNoEvent(t *testing.T) {
	c := config(t)
	marker := func(m event.Marker) event.Record {
		headers, value := m.Record()
		return event.Record{Headers: headers, Value: value}
	}
	for want, r := range map[Kind]event.Record{
		KindMarker:   marker(event.Marker{Epoch: 4, Received: 1000}),
		KindTick:     marker(event.Marker{Tick: true, Received: 1000}),
		KindRejected: {Timestamp: 1000, Value: []byte(`{"event_id":"e9","table":"nowhere","identifiers":{}}`)},
	} {
		row := stream(c, r, 4)
		if Kind(row.Kind) != want || row.Epoch != 4 || row.Received != at(1000) || row.Properties != "{}" || row.Cell != "" {
			t.Errorf("%s: %+v", want, row)
		}
		if want == KindRejected && (row.Reason != string(event.UnknownTable) || row.EventID != "e9") {
			t.Errorf("%+v", row)
		}
	}
	for _, ms := range []int64{math.MinInt64, math.MaxInt64} {
		if got := at(ms); got.Before(earliest) || got.After(latest) {
			t.Errorf("%d: %v", ms, got)
		}
	}
}

func TestLog(t *testing.T) {
	r := event.Record{
		Position: event.Position{Topic: "profiles", Partition: 1, Offset: 2}, Timestamp: 5, Value: []byte(`{}`),
		Headers: []event.Header{{Key: "other", Value: []byte("x")}, {Key: "id", Value: []byte("events/0/1")}},
	}
	want := LogRow{Position: Position{Partition: 1, Offset: 2}, Appended: at(5), ID: "events/0/1", Raw: "{}"}
	if diff := cmp.Diff(want, Log(r, "id")); diff != "" {
		t.Error(diff)
	}
}

func TestNumbersThatReadersWouldRoundAreTexts(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":12345678901234567.89,"b":[-1.5,1e400,"1e400 \"2e999\""],"c":{"d":123456789012345,"e":1234567890123456}}`: `{"a":"12345678901234567.89","b":[-1.5,"1e400","1e400 \"2e999\""],"c":{"d":123456789012345,"e":"1234567890123456"}}`,
		`{"a":1}`: `{"a":1}`,
		`{}`:      `{}`,
		`[1]`:     `{}`,
		`null`:    `{}`,
		``:        `{}`,
		`{"a":"x`: `{"a":"x`,
	} {
		if got := object(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// The object stays JSON that says the same, but that some numbers are texts; and no number in it loses anything in a float.
func TestObjectSaysTheSame(t *testing.T) {
	number := rapid.Custom(func(t *rapid.T) any {
		return json.Number(rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?`).Draw(t, "number"))
	})
	text := rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") })
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		kinds := []*rapid.Generator[any]{number, text, rapid.Just[any](true), rapid.Just[any](nil)}
		if depth > 0 {
			kinds = append(kinds,
				rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "array") }),
				rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.String(), value(depth-1), 0, 3).Draw(t, "object") }))
		}
		return rapid.OneOf(kinds...)
	}
	var same func(t *rapid.T, want, got any)
	same = func(t *rapid.T, want, got any) {
		switch w := want.(type) {
		case map[string]any:
			g, ok := got.(map[string]any)
			if !ok || len(g) != len(w) {
				t.Fatalf("%v became %v", want, got)
			}
			for k := range w {
				same(t, w[k], g[k])
			}
		case []any:
			g, ok := got.([]any)
			if !ok || len(g) != len(w) {
				t.Fatalf("%v became %v", want, got)
			}
			for i := range w {
				same(t, w[i], g[i])
			}
		case json.Number:
			switch g := got.(type) {
			case json.Number:
				f, err := strconv.ParseFloat(string(g), 64)
				if err != nil || g != w || math.IsInf(f, 0) {
					t.Fatalf("%v became %v (%v)", want, got, err)
				}
			case string:
				if g != string(w) {
					t.Fatalf("%v became %v", want, got)
				}
			default:
				t.Fatalf("%v became %v", want, got)
			}
		default:
			if want != got {
				t.Fatalf("%v became %v", want, got)
			}
		}
	}
	decode := func(t *rapid.T, s string) (v any) {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		raw, err := json.Marshal(rapid.MapOfN(rapid.String(), value(3), 0, 4).Draw(t, "object"))
		if err != nil {
			t.Fatal(err)
		}
		same(t, decode(t, string(raw)), decode(t, object(string(raw))))
	})
}

func FuzzObject(f *testing.F) {
	f.Add(`{"a":[1e999,"\"1",{"b":0.1}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		if got := object(raw); json.Valid([]byte(raw)) != json.Valid([]byte(got)) && strings.HasPrefix(raw, "{") {
			t.Errorf("%q became %q", raw, got)
		}
	})
}
