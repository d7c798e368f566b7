package ingest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/tidwall/gjson"
)

func zipped(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

func zstandard(t testing.TB, text []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(text, nil)
}

func events(n int) []byte {
	return []byte(`{"events":[` + strings.Repeat(`{},`, n-1) + `{}]}`)
}

func TestRequests(t *testing.T) {
	deep := strings.Repeat("[", 2_000_000)
	bomb := append(append([]byte(`{"events":["`), bytes.Repeat([]byte("a"), 16<<20)...), `"]}`...)
	for name, tc := range map[string]struct {
		path   string
		body   []byte
		header []string
		status int
		code   string
	}{
		"one event":        {"page_view", events(1), nil, 200, ""},
		"500 events":       {"page_view", events(500), nil, 200, ""},
		"gzip":             {"page_view", zipped(t, events(3)), []string{"Content-Encoding", "gzip"}, 200, ""},
		"gzip, odd case":   {"page_view", zipped(t, events(3)), []string{"Content-Encoding", " GZIP"}, 200, ""},
		"zstd":             {"page_view", zstandard(t, events(3)), []string{"Content-Encoding", "zstd"}, 200, ""},
		"identity":         {"page_view", events(3), []string{"Content-Encoding", "identity"}, 200, ""},
		"escaped name":     {"page_view", []byte(`{"\u0065vents":[{}]}`), nil, 200, ""},
		"unknown table":    {"orders", events(1), nil, 404, "unknown_table"},
		"501 events":       {"page_view", events(501), nil, 400, "too_many_events"},
		"no events":        {"page_view", []byte(`{"events":[]}`), nil, 400, "no_events"},
		"no list":          {"page_view", []byte(`{"events":{}}`), nil, 400, "no_events"},
		"bare list":        {"page_view", []byte(`[{}]`), nil, 400, "no_events"},
		"empty":            {"page_view", nil, nil, 400, "malformed_json"},
		"malformed":        {"page_view", []byte(`{"events":[{]}`), nil, 400, "malformed_json"},
		"trailing":         {"page_view", []byte(`{"events":[{}]} x`), nil, 400, "malformed_json"},
		"deep":             {"page_view", []byte(`{"events":[{"a":` + deep), nil, 400, "too_deep"},
		"too large":        {"page_view", bomb[:6<<20], nil, 413, "too_large"},
		"gzip bomb":        {"page_view", zipped(t, bomb), []string{"Content-Encoding", "gzip"}, 413, "too_large"},
		"zstd bomb":        {"page_view", zstandard(t, bomb), []string{"Content-Encoding", "zstd"}, 413, "too_large"},
		"no gzip":          {"page_view", events(1), []string{"Content-Encoding", "gzip"}, 400, "bad_encoding"},
		"cut gzip":         {"page_view", zipped(t, events(3))[:20], []string{"Content-Encoding", "gzip"}, 400, "unreadable_body"},
		"no zstd":          {"page_view", events(1), []string{"Content-Encoding", "zstd"}, 400, ""},
		"unknown encoding": {"page_view", events(1), []string{"Content-Encoding", "br"}, 415, "unknown_encoding"},
		"twice encoded":    {"page_view", zipped(t, zipped(t, events(1))), []string{"Content-Encoding", "gzip", "Content-Encoding", "gzip"}, 415, "unknown_encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			producer := &memory{}
			a := post(t, handler(t, config(), producer), "/v1/events/"+tc.path, tc.body, tc.header...)
			if a.code != tc.status || tc.code != "" && a.Details.Code != tc.code {
				t.Errorf("answer %d %s, want %d %s: %s", a.code, a.Details.Code, tc.status, tc.code, a.Detail)
			}
			if a.code != 200 && len(producer.records) > 0 {
				t.Errorf("%d records of a refused request", len(producer.records))
			}
		})
	}
}

func TestRefusedOneByOne(t *testing.T) {
	producer := &memory{}
	c := config()
	c.EventBytes = 200
	a := post(t, handler(t, c, producer), "/v1/events/page_view", []byte(`{"events":[1,null,[],"x",{"event_id":"ok"},{"event_id":"big","x":"`+strings.Repeat("a", 200)+`"},{"event_id":{"odd":1},"time":[]}]}`))
	var got []string
	for _, r := range a.Results {
		text := fmt.Sprintf("%s %v", r.EventID, r.Accepted)
		if r.Error != nil {
			text += " " + r.Error.Code + " " + r.Error.Field
			if r.Error.Detail == "" {
				t.Errorf("%v without detail", r)
			}
		}
		got = append(got, text)
	}
	want := []string{
		" false not_an_object events[0]", " false not_an_object events[1]", " false not_an_object events[2]", " false not_an_object events[3]",
		"ok true", "big false too_large events[5]", `{"odd":1} true`,
	}
	if diff := cmp.Diff(want, got); diff != "" || a.code != 200 {
		t.Errorf("%d %s", a.code, diff)
	}
	if len(producer.records) != 2 {
		t.Errorf("%d records produced, want 2", len(producer.records))
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"events":[{"event_id":"a","time":1,"identifiers":{"user_id":"7"}}]}`,
		`{"events":[{"event_id":null,"\u0074able":"x","time":""},[],1]}`,
		`{"events":[{"event_id":"\ud800","a":{"a":[{}]}},{"event_id":"\xff"}],"events":[]}`,
		`{"a":1, "events" : [ { } , {"seq":18446744073709551615} ] }`,
	} {
		f.Add([]byte(seed), "")
	}
	f.Add(zipped(f, events(2)), "gzip")
	f.Add(zstandard(f, events(2)), "zstd")
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		producer := &memory{}
		c := config()
		c.RequestBytes, c.EventBytes, c.Events = 1<<16, 1<<12, 10
		a := post(t, handler(t, c, producer), "/v1/events/page_view", body, "Content-Encoding", encoding)
		accepted := 0
		for i, r := range a.Results {
			if r.Accepted == (r.Error != nil) {
				t.Errorf("result %d: %+v", i, r)
			}
			if r.Accepted {
				accepted++
			}
		}
		if accepted != len(producer.records) || len(a.Results) > 10 || a.code == 200 && len(a.Results) == 0 {
			t.Errorf("%d results, %d accepted, %d records, status %d", len(a.Results), accepted, len(producer.records), a.code)
		}
		for _, r := range producer.records {
			event := gjson.ParseBytes(r.Value)
			if !json.Valid(r.Value) || !event.IsObject() || event.Get("table").String() != "page_view" || !event.Get("time").Exists() || !event.Get("event_id").Exists() {
				t.Errorf("record %q", r.Value)
			}
			if len(r.Value) > 1<<12 || len(r.Headers) != 3 {
				t.Errorf("record of %d bytes with headers %v", len(r.Value), r.Headers)
			}
		}
	})
}

func BenchmarkBatchOf100(b *testing.B) {
	_, producer := cluster(b)
	h := handler(b, config(), producer)
	var body bytes.Buffer
	body.WriteString(`{"events":[`)
	for i := range 100 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"event_id":"event-%d","time":1291190400000,"identifiers":{"user_id":"%d","anonymous_id":"c0ffee00-%d"},"properties":{"category":"yoga","sku":"85123A","price":2.55,"quantity":6},"context":{"page":"/products/85123A","agent":"Mozilla/5.0"}}`, i, i, i)
	}
	body.WriteString(`]}`)
	b.SetBytes(int64(body.Len()))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := post(b, h, "/v1/events/page_view", body.Bytes()); a.code != 200 {
				b.Error(errors.New(a.Detail))
			}
		}
	})
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "events/s")
}
