package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/cmd"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/attributetest"
	"github.com/braidhq/braid/transforms/event"
)

func init() { register.Function1x0(printLine) }

func printLine(d event.Draft) { fmt.Printf("%s %s %s\n", d.Table, d.Identifiers, d.Properties) }

func Example_eventFunction() {
	for _, d := range []event.Draft{
		{Table: "page_view", Properties: json.RawMessage(`{"path":"/Books/","n":1}`)},
		{Table: "page_view", Properties: json.RawMessage(`{"path":"/books"}`), Context: json.RawMessage(`{"agent":"Searchbot/2.1"}`)},
		{Table: "page_view"},
	} {
		drafts, err := screen(d)
		for _, d := range drafts {
			fmt.Printf("%s ", d.Properties)
		}
		fmt.Println(len(drafts), err)
	}
	// Output:
	// {"n":1,"path":"/books"} 1 <nil>
	// 0 <nil>
	// 0 a page view needs a text in properties.path
}

func Example_transform() {
	p, s := beam.NewPipelineWithRoot()
	drafts := beam.Create(s,
		event.Draft{Table: "orders", Properties: json.RawMessage(`{"order":"17","customer":"7","lines":[{"sku":"a","amount":1.50},{"sku":"b","amount":2}]}`)},
		event.Draft{Table: "orders", Properties: json.RawMessage(`{"lines":7}`)})
	beam.ParDo0(s, printLine, orderLines(s, drafts))
	if _, err := direct.Run(context.Background(), p, direct.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// order_line {"customer":"7"} {"sku":"a","amount":1.50}
	// order_line {"customer":"7"} {"sku":"b","amount":2}
	// orders  {"lines":7}
}

// A kind of attribute needs no more than this to be safe against any order, split and repetition of events.
func TestWeekdaysKeepTheLaws(t *testing.T) {
	attributetest.Laws(t, weekdays, accumulator.Spec{}, attributetest.Observations(rapid.Just(accumulator.Value{})))
}

// The whole binary: raw topic and HTTP in, profiles out.
func TestBinary(t *testing.T) {
	n := runBinary(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	n.send(t, `{"order":"17","customer":"7","lines":[{"sku":"85123A","quantity":6,"amount":15.30},{"sku":"71053","quantity":6,"amount":20.34}]}`)
	n.send(t, `{"order":"17","customer":"7","lines":[{"sku":"85123A","quantity":6,"amount":15.30},{"sku":"71053","quantity":6,"amount":20.34}]}`) // once more
	n.send(t, `{"order":18}`)
	var results []string
	for _, at := range []time.Time{now, now.Add(-24 * time.Hour)} {
		results = append(results, n.post(t, fmt.Sprintf(`[
			{"event_id":"a%[1]d","time":%[1]d,"identifiers":{"customer":"7"},"properties":{"path":"/Books/"}},
			{"event_id":"b%[1]d","time":%[1]d,"identifiers":{"customer":"7"},"properties":{"path":"/robot"},"context":{"agent":"Bot"}},
			{"event_id":"c%[1]d","time":%[1]d,"identifiers":{"customer":"7"}}]`, at.UnixMilli()))...)
	}
	if diff := cmp.Diff(strings.Fields("accepted accepted refused accepted accepted refused"), results); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	days := []string{now.Weekday().String()[:3], now.Add(-24 * time.Hour).Weekday().String()[:3]}
	if now.Weekday() > now.Add(-24*time.Hour).Weekday() { // Sunday is the first
		days[0], days[1] = days[1], days[0]
	}
	want := fmt.Sprintf(`{"lines":2,"pages":1,"revenue":35.64,"weekdays":"%s"}`, strings.Join(days, " "))
	var got string
	for deadline := time.Now().Add(time.Minute); got != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the profile has %s\nwant %s", got, want)
		}
		got = n.attributes(t)
	}
}

// running is the binary at work.
type running struct {
	endpoints deployment.Endpoints
	kafka     *kgo.Client
}

func runBinary(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile("braid.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "braid.yaml")
	if err := os.WriteFile(file, append(config, "listen: 127.0.0.1:0\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	var log log
	go func() {
		ended <- cmd.Run(ctx, []string{"run", "--config", file, "--data", data}, io.Discard, &log, options()...)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != cmd.ExitDone {
			t.Errorf("exit code %d\n%s", code, log.text())
		}
	})
	n := &running{}
	for ok := false; !ok; time.Sleep(5 * time.Millisecond) {
		select {
		case code := <-ended:
			ended <- code
			t.Fatal("it has ended")
		default:
		}
		if n.endpoints, ok, err = (&deployment.Config{Data: data}).Published(); err != nil {
			t.Fatal(err)
		}
	}
	if n.kafka, err = kgo.NewClient(kgo.SeedBrokers(n.endpoints.Kafka...), kgo.DefaultProduceTopic("raw.orders")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kafka.Close)
	return n
}

func (n *running) send(t *testing.T, order string) {
	t.Helper()
	if err := n.kafka.ProduceSync(t.Context(), kgo.StringRecord(order)).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// post sends page views and returns what became of each.
func (n *running) post(t *testing.T, events string) (results []string) {
	t.Helper()
	response, err := http.Post("http://"+n.endpoints.HTTP+"/v1/events/page_view", "application/json", strings.NewReader(`{"events":`+events+`}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Results []struct {
			Accepted bool
			Error    struct{ Code string }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(response.Status, err)
	}
	for _, r := range answer.Results {
		if r.Accepted {
			r.Error.Code = "accepted"
		}
		results = append(results, r.Error.Code)
	}
	return results
}

// attributes returns those of customer 7.
func (n *running) attributes(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + n.endpoints.HTTP + "/v1/profiles/customer/7")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var profile struct{ Attributes json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&profile); err != nil {
		t.Fatal(response.Status, err)
	}
	return string(profile.Attributes)
}

// log keeps what the binary logs.
type log struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write keeps a line.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
