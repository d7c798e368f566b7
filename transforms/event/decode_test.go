package event_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/braidhq/braid/transforms/event"
)

const received = 1291190400000 // 2010-12-01T08:00:00Z

func record(value string) event.Record {
	return event.Record{
		Position:  event.Position{Topic: "braid.retail.events", Partition: 3, Offset: 42},
		Timestamp: received,
		Value:     []byte(value),
	}
}

func TestDecode(t *testing.T) {
	r := record(` {"event_id":"e\u0031","table":"page_view","time":"2010-12-01T09:00:00.250+01:00","identifiers":{"user_id":"7"},"x":[1,{"y":null}]} `)
	r.Timestamp = received + 1
	r.Headers = []event.Header{
		{Key: event.HeaderReceived, Value: []byte("1291190400100")},
		{Key: event.HeaderSource, Value: []byte("web")},
		{Key: event.HeaderSeq, Value: []byte("18446744073709551615")},
		{Key: "other", Value: []byte{0xff}},
	}
	e, err := event.Decode(r, event.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %d %d %v %s %v", e.ID, e.Table, e.Time, e.Received, e.Order, e.Source, e.Position)
	want := "e1 page_view 1291190400250 1291190400100 {1291190400250 18446744073709551615 e1} web {braid.retail.events 3 42}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecodeTimes(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	for name, c := range map[string]struct {
		time        string
		time64, ord int64
	}{
		"absent is the receive time":         {``, received, received},
		"null is the receive time":           {`,"time":null`, received, received},
		"milliseconds":                       {`,"time":1291190399999`, received - 1, received - 1},
		"RFC 3339":                           {`,"time":"2010-12-01T07:59:59Z"`, received - 1000, received - 1000},
		"RFC 3339 below a millisecond":       {`,"time":"2010-12-01T07:59:59.9999Z"`, received - 1, received - 1},
		"eight days late is clamped":         {fmt.Sprintf(`,"time":%d`, received-8*day), received - 8*day, received - event.OrderPast},
		"an hour ahead is clamped":           {fmt.Sprintf(`,"time":%d`, received+3600000), received + 3600000, received + event.OrderFuture},
		"the first of two times":             {`,"time":1291190400001,"time":"nonsense"`, received + 1, received + 1},
		"a field name with an escape counts": {`,"t\u0069me":1291190400002`, received + 2, received + 2},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := event.Decode(record(`{"event_id":"a","table":"t"`+c.time+`}`), event.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if e.Time != c.time64 || e.Order.Time != c.ord {
				t.Errorf("time %d, order time %d; want %d, %d", e.Time, e.Order.Time, c.time64, c.ord)
			}
		})
	}
}

func TestDecodeRejects(t *testing.T) {
	header := func(key, value string) event.Record {
		r := record(`{"event_id":"a","table":"t"}`)
		r.Headers = []event.Header{{Key: key, Value: []byte(value)}}
		return r
	}
	deep := strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64)
	for name, c := range map[string]struct {
		record event.Record
		want   string
	}{
		"empty":           {record(``), "malformed_json: event the value is empty; send one JSON object per record"},
		"cut":             {record(`{"event_id":"a"`), "malformed_json: event at byte 15: a comma or the end of the object should be here; send one JSON object per record"},
		"two events":      {record(`{} {}`), "malformed_json: event at byte 3: text follows the event; one record holds one event; send one JSON object per record"},
		"array":           {record(`[1]`), "wrong_type: event the value is an array, not an object; send the type that the event format names"},
		"NaN":             {record(`{"a":NaN}`), `malformed_json: event at byte 5: a value should be here, found "N"; send one JSON object per record`},
		"leading zero":    {record(`{"a":01}`), "malformed_json: event at byte 6: a comma or the end of the object should be here; send one JSON object per record"},
		"control":         {record("{\"a\":\"\n\"}"), "malformed_json: event at byte 6: a control character must be escaped inside a string; send one JSON object per record"},
		"bad escape":      {record(`{"a":"\x"}`), `malformed_json: event at byte 7: unknown escape "x"; send one JSON object per record`},
		"UTF-8":           {record("{\"\u00e9\":\"\xff\"}"), "invalid_utf8: event at byte 7; encode the event as UTF-8"},
		"too deep":        {record(`{"event_id":"a","table":"t","properties":` + deep + `}`), "too_deep: event at byte 104: nested deeper than 64 levels; flatten the event"},
		"too large":       {record(strings.Repeat(" ", 2<<20)), "too_large: event has 2097152 bytes, the limit is 1048576; send less, or raise the limit on purpose"},
		"no event_id":     {record(`{"table":"t"}`), "missing_field: event_id is missing; send a string of 1 to 256 bytes"},
		"empty event_id":  {record(`{"event_id":"","table":"t"}`), "missing_field: event_id is empty; send a string of 1 to 256 bytes"},
		"number event_id": {record(`{"event_id":7,"table":"t"}`), "wrong_type: event_id is a number, not a string; send the type that the event format names"},
		"long event_id":   {record(`{"event_id":"` + strings.Repeat("x", 257) + `","table":"t"}`), "too_large: event_id has 257 bytes, the limit is 256; send less, or raise the limit on purpose"},
		"no table":        {record(`{"event_id":"a"}`), "missing_field: table is missing; send a string of 1 to 256 bytes"},
		"identifiers":     {record(`{"event_id":"a","table":"t","identifiers":"7"}`), "wrong_type: identifiers is a string, not an object; send the type that the event format names"},
		"properties":      {record(`{"event_id":"a","table":"t","properties":[]}`), "wrong_type: properties is an array, not an object; send the type that the event format names"},
		"boolean time":    {record(`{"event_id":"a","table":"t","time":true}`), "wrong_type: time is a boolean, not a number or a string; send the type that the event format names"},
		"fraction":        {record(`{"event_id":"a","table":"t","time":1.5}`), "is not an integer of epoch milliseconds"},
		"text time":       {record(`{"event_id":"a","table":"t","time":"yesterday"}`), `bad_time: time "\"yesterday\"" is not a time of RFC 3339`},
		"seconds":         {record(`{"event_id":"a","table":"t","time":1291190400}`), "is more than 365 days away from the receive time 2010-12-01T08:00:00Z"},
		"year 12000":      {record(`{"event_id":"a","table":"t","time":316516204800000}`), "is not within the years 1 to 9999"},
		"received":        {header("received", "soon"), `bad_header: received is "soon", not epoch milliseconds in decimal; let ingest set the headers, or send decimal numbers`},
		"seq":             {header("seq", "-1"), `bad_header: seq is "-1", not an unsigned decimal number`},
		"source":          {header("source", "\xff"), `bad_header: source is "\xff", not UTF-8`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := event.Decode(c.record, event.Limits{})
			if !errors.As(err, new(*event.Rejection)) {
				t.Fatalf("error %v is not a rejection", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
}

func TestField(t *testing.T) {
	decoded, err := event.Decode(record(`{"event_id":"a","table":"t","properties":{"total":1.10,"total":2,"a.b":"dot","items":[{"sku":"x"},{"s\u006bu":"y"}],"n":null,"id":"p"},`+
		`"context":{"page":{"url":"/"},"id":"c","empty":""},"identifiers":{"user_id":"","big":123456789012345678901234567890},"extra":{"z":true}}`), event.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]event.Event{"decoded": decoded, "literal": {Raw: decoded.Raw}} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for _, path := range []string{"properties.total", `properties.a\.b`, "properties.items.1.sku", "properties.items.2.sku", "properties.items.x",
				"properties.n", "properties.nothing", "context.page.url", "context.page.url.deeper", "extra.z", "identifiers.big", "nothing.x", "table", ""} {
				if v := e.Field(path); v.Exists() {
					got[path] = v.Raw
				}
			}
			want := map[string]string{"properties.total": "1.10", `properties.a\.b`: `"dot"`, "properties.items.1.sku": `"y"`, "properties.n": "null",
				"context.page.url": `"/"`, "extra.z": "true", "identifiers.big": "123456789012345678901234567890", "table": `"t"`}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Field (-want +got):\n%s", diff)
			}
			for field, want := range map[string]string{"user_id": "", "id": "p", "n": "", "empty": "", "page.url": "/", "total": "1.10", "nothing": ""} {
				if got := e.KeyField(field).String(); got != want && e.KeyField(field).Raw != want {
					t.Errorf("KeyField(%s) = %q, want %q", field, got, want)
				}
			}
		})
	}
}

func TestOrderCompare(t *testing.T) {
	ascending := []event.Order{{}, {Time: 1, ID: "z"}, {Time: 1, Seq: 1, ID: "a"}, {Time: 1, Seq: 1, ID: "b"}, {Time: 2}}
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := a.Compare(b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestCursor(t *testing.T) {
	for source, want := range map[string]string{
		` [1, "a,]", {"b":[2]} , [] ]`:         `="1" ="\"a,]\"" ="{\"b\":[2]}" ="[]" `,
		` {"a" : 1 , "b\u0063":"}", "a":null}`: `a="1" bc="\"}\"" a="null" `,
		`[]`:                                   ``,
		`{ }`:                                  ``,
		`"text"`:                               ``,
		``:                                     ``,
		`[1`:                                   `="1" `,
		`{"a`:                                  ``,
		`{"a"x`:                                ``,
	} {
		got := ""
		for c := event.NewCursor(gjson.Result{Raw: source}); ; {
			name, value, ok := c.Next()
			if !ok {
				break
			}
			got += fmt.Sprintf("%s=%q ", name, value.Raw)
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", source, got, want)
		}
	}
}

// Receive time moves the stream's clock, so one from the future is no receive time.
func TestDecodeRefusesAReceiveTimeAheadOfTheRecord(t *testing.T) {
	const stamp = 1_700_000_000_000
	for ahead, want := range map[int64]bool{-stamp + 1: true, 0: true, event.ReceivedAhead: true, event.ReceivedAhead + 1: false} {
		r := event.Record{
			Value: []byte(`{"event_id":"e","table":"t"}`), Timestamp: stamp,
			Headers: []event.Header{{Key: event.HeaderReceived, Value: strconv.AppendInt(nil, stamp+ahead, 10)}},
		}
		_, err := event.Decode(r, event.Limits{})
		var rejection *event.Rejection
		if ok := err == nil; ok != want || !ok && (!errors.As(err, &rejection) || rejection.Reason != event.BadHeader) {
			t.Errorf("%d ms ahead: %v", ahead, err)
		}
	}
}
