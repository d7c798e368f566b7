package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/serving/ingest"
	"github.com/braidhq/braid/serving/problem"
)

const topic = "braid.retail.events"

func config() ingest.Config {
	return ingest.Config{
		Topic: topic,
		Table: func(name string) bool { return name == "page_view" },
		Route: func(_ string, event []byte) string {
			if id := gjson.GetBytes(event, "identifiers.user_id").String(); id != "" {
				return "customer_id:" + id
			}
			return ""
		},
		Now:    func() time.Time { return time.UnixMilli(1291190400000) },
		Logger: slog.New(slog.DiscardHandler),
	}
}

func handler(t testing.TB, c ingest.Config, producer ingest.Producer) http.Handler {
	t.Helper()
	h, err := ingest.New(c, producer)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, pattern := range ingest.Patterns {
		mux.Handle(pattern, h)
	}
	return mux
}

// memory is a producer that keeps what it is given and answers with err.
type memory struct {
	mu      sync.Mutex
	records []*kgo.Record
	err     func(n int) error // by the record's number
	hold    bool              // answer when released
	held    []func()
}

func (m *memory) TryProduce(_ context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if m.err != nil {
		err = m.err(len(m.records))
	}
	m.records = append(m.records, r)
	if m.hold {
		m.held = append(m.held, func() { promise(r, err) })
		return
	}
	go promise(r, err)
}

func (m *memory) release() {
	m.mu.Lock()
	held := m.held
	m.held = nil
	m.mu.Unlock()
	for _, f := range held {
		f()
	}
}

type answer struct {
	problem.Details
	Results []ingest.Result `json:"results"`
	code    int
	header  http.Header
}

func post(t testing.TB, h http.Handler, path string, body []byte, header ...string) answer {
	t.Helper()
	r := httptest.NewRequest("POST", path, bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{code: w.Code, header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%d: %v: %s", w.Code, err, w.Body)
	}
	if problems := a.header.Get("Content-Type") == problem.ContentType; problems != (w.Code != 200) || problems && (a.Details.Status != w.Code || a.Details.Code == "") {
		t.Errorf("status %d with %s: %+v", w.Code, a.header.Get("Content-Type"), a.Details)
	}
	return a
}

func cluster(t testing.TB) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	producer, err := ingest.NewProducer(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	return c, producer
}

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestEventsReachTheTopic(t *testing.T) {
	c, producer := cluster(t)
	h := handler(t, config(), producer)
	a := post(t, h, "/v1/events/page_view/", []byte(`{"sent":1,"events":[
		{"event_id":"e1","time":"2010-12-01T08:26:00Z","identifiers":{"user_id":"7"},"properties":{"b":1.50,"a":[1, 2]}},
		{"identifiers":{"anonymous_id":"ab"},"table":"orders","event_id":null,"time":null},
		{"event_id":"","identifiers":{"user_id":"7"},"seq":99,"event_id":"late"}
	]}`), "marker", "12", "received", "1", "Content-Type", "text/plain")
	if a.code != 200 || len(a.Results) != 3 {
		t.Fatalf("%+v", a)
	}
	assigned := a.Results[1].EventID
	if !uuid7.MatchString(assigned) {
		t.Errorf("assigned ID %q is no UUIDv7", assigned)
	}
	want := []ingest.Result{{EventID: "e1", Accepted: true}, {EventID: assigned, Accepted: true}, {EventID: "late", Accepted: true}}
	if diff := cmp.Diff(want, a.Results); diff != "" {
		t.Error(diff)
	}

	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	type record struct{ Key, Value, Headers string }
	got := map[string]record{}
	partitions := map[string]int32{}
	for len(got) < 3 {
		fetches := consumer.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			headers := ""
			for _, h := range r.Headers {
				headers += h.Key + "=" + string(h.Value) + " "
			}
			id := gjson.GetBytes(r.Value, "event_id").String()
			got[id] = record{string(r.Key), string(r.Value), headers}
			partitions[id] = r.Partition
		})
	}
	wantRecords := map[string]record{
		"e1":     {"customer_id:7", `{"event_id":"e1","table":"page_view","time":"2010-12-01T08:26:00Z","identifiers":{"user_id":"7"},"properties":{"b":1.50,"a":[1, 2]}}`, "received=1291190400000 source=http seq=0 "},
		assigned: {"", `{"event_id":"` + assigned + `","table":"page_view","time":1291190400000,"identifiers":{"anonymous_id":"ab"}}`, "received=1291190400000 source=http seq=1 "},
		"late":   {"customer_id:7", `{"event_id":"late","table":"page_view","time":1291190400000,"identifiers":{"user_id":"7"},"seq":99}`, "received=1291190400000 source=http seq=99 "},
	}
	if diff := cmp.Diff(wantRecords, got); diff != "" {
		t.Error(diff)
	}
	if partitions["e1"] != partitions["late"] {
		t.Error("one identifier in two partitions")
	}
}

func TestBrokerFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		producer *memory
		status   int
		accepted []bool
		codes    []string
	}{
		"away":             {&memory{err: func(int) error { return kgo.ErrRecordTimeout }}, 503, []bool{false, false}, []string{"unavailable", "unavailable"}},
		"half":             {&memory{err: func(n int) error { return []error{nil, io.ErrUnexpectedEOF}[n] }}, 503, []bool{true, false}, []string{"", "unavailable"}},
		"buffer full":      {&memory{err: func(int) error { return kgo.ErrMaxBuffered }}, 429, []bool{false, false}, []string{"unavailable", "unavailable"}},
		"too large for it": {&memory{err: func(n int) error { return []error{kerr.MessageTooLarge, nil}[n] }}, 200, []bool{false, true}, []string{"too_large", ""}},
		"silent":           {&memory{hold: true}, 503, []bool{false, false}, []string{"unavailable", "unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			if tc.producer.hold {
				c.Timeout = time.Millisecond
			}
			a := post(t, handler(t, c, tc.producer), "/v1/events/page_view", events(2))
			tc.producer.release()
			var accepted []bool
			var codes []string
			for _, r := range a.Results {
				if r.EventID == "" {
					t.Error("an assigned ID is not returned")
				}
				accepted = append(accepted, r.Accepted)
				code := ""
				if r.Error != nil {
					code = r.Error.Code
				}
				codes = append(codes, code)
			}
			if a.code != tc.status || !cmp.Equal(tc.accepted, accepted) || !cmp.Equal(tc.codes, codes) {
				t.Errorf("answer %d %v %v, want %d %v %v", a.code, accepted, codes, tc.status, tc.accepted, tc.codes)
			}
			if (a.header.Get("Retry-After") != "") != (tc.status != 200) {
				t.Errorf("Retry-After %q with %d", a.header.Get("Retry-After"), a.code)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	producer := &memory{hold: true}
	c := config()
	c.BufferBytes = 100
	h := handler(t, c, producer)
	body := []byte(`{"events":[{"x":"` + strings.Repeat("a", 50) + `"}]}`)
	first := make(chan answer)
	go func() { first <- post(t, h, "/v1/events/page_view", body) }()
	for {
		producer.mu.Lock()
		n := len(producer.held)
		producer.mu.Unlock()
		if n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if a := post(t, h, "/v1/events/page_view", body); a.code != 429 || a.Details.Code != "busy" || a.header.Get("Retry-After") == "" {
		t.Errorf("second request: %+v", a)
	}
	producer.release()
	if a := <-first; a.code != 200 {
		t.Errorf("first request: %+v", a)
	}
	producer.mu.Lock()
	producer.hold = false
	producer.mu.Unlock()
	for range 5 { // refused requests give back what they took
		if a := post(t, h, "/v1/events/page_view", body); a.code != 200 {
			t.Errorf("later: %+v", a)
		}
		if a := post(t, h, "/v1/events/page_view", []byte(`{"events":[{"x":"`+strings.Repeat("a", 50))); a.code != 400 {
			t.Errorf("malformed: %+v", a)
		}
	}
}

func TestBrokerGoesAway(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	producer, err := ingest.NewProducer(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordDeliveryTimeout(time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	short := config()
	short.Timeout = time.Second
	h := handler(t, short, producer)
	if a := post(t, h, "/v1/events/page_view", events(1)); a.code != 200 {
		t.Fatalf("%+v", a)
	}
	c.Close()
	if a := post(t, h, "/v1/events/page_view", events(1)); a.code != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%+v", a)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	c := config()
	c.Metrics = registry
	h := handler(t, c, &memory{})
	post(t, h, "/v1/events/page_view", []byte(`{"events":[{},{},1]}`))
	post(t, h, "/v1/events/nope", events(1))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels := ""
			for _, l := range m.Label {
				labels += " " + l.GetValue()
			}
			if m.Counter != nil {
				got[f.GetName()+labels] = m.Counter.GetValue()
			} else {
				got[f.GetName()+labels] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	want := map[string]float64{
		"braid_ingest_events_total accepted page_view":      2,
		"braid_ingest_events_total not_an_object page_view": 1,
		"braid_ingest_request_seconds 200":                  1,
		"braid_ingest_request_seconds 404":                  1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ingest.New(c, &memory{}); err == nil {
		t.Error("registered its metrics twice")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*ingest.Config){
		"topic":  func(c *ingest.Config) { c.Topic = "" },
		"table":  func(c *ingest.Config) { c.Table = nil },
		"route":  func(c *ingest.Config) { c.Route = nil },
		"limit":  func(c *ingest.Config) { c.Events = -1 },
		"events": func(c *ingest.Config) { c.EventBytes = 2 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			change(&c)
			if _, err := ingest.New(c, &memory{}); err == nil {
				t.Error("accepted")
			}
		})
	}
}
