package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/testing/faults"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
)

// large is an event of 2 MB.
var large = `{"event_id":"large","table":"page_view","identifiers":{"user_id":"7"},"properties":{"text":"` + strings.Repeat("x", 2<<20) + `"}}`

// produced are records that somebody wrote straight into Kafka.
var produced = []struct {
	name   string
	value  string
	header kgo.RecordHeader // none when it has no key
	want   event.Reason
}{
	{name: "empty", value: "", want: event.MalformedJSON},
	{name: "no JSON", value: "page_view;7;yoga", want: event.MalformedJSON},
	{name: "cut off", value: `{"event_id":"cut","table":"page_view","identifiers":{"user_id":"7"`, want: event.MalformedJSON},
	{name: "two events", value: `{"event_id":"a","table":"page_view"}{"event_id":"b"}`, want: event.MalformedJSON},
	{name: "no object", value: `[{"event_id":"list"}]`, want: event.WrongType},
	{name: "no UTF-8", value: "{\"event_id\":\"latin\",\"table\":\"page_view\",\"identifiers\":{\"user_id\":\"7\"},\"properties\":{\"name\":\"caf\xe9\"}}", want: event.InvalidUTF8},
	{name: "2 MB", value: large, want: event.TooLarge},
	{name: "too deep", value: `{"event_id":"deep","table":"page_view","properties":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 101), want: event.TooDeep},
	{name: "no ID", value: `{"table":"page_view","identifiers":{"user_id":"7"}}`, want: event.MissingField},
	{name: "ID of the wrong type", value: `{"event_id":7,"table":"page_view","identifiers":{"user_id":"7"}}`, want: event.WrongType},
	{name: "identifiers of the wrong type", value: `{"event_id":"t1","table":"page_view","identifiers":"7"}`, want: event.WrongType},
	{name: "properties of the wrong type", value: `{"event_id":"t2","table":"page_view","identifiers":{"user_id":"7"},"properties":[]}`, want: event.WrongType},
	{name: "time that is none", value: `{"event_id":"c1","table":"page_view","identifiers":{"user_id":"7"},"time":"yesterday"}`, want: event.BadTime},
	{name: "clock years behind", value: `{"event_id":"c2","table":"page_view","identifiers":{"user_id":"7"},"time":"2003-05-01T00:00:00Z"}`, want: event.BadTime},
	{name: "clock years ahead", value: `{"event_id":"c3","table":"page_view","identifiers":{"user_id":"7"},"time":"2199-05-01T00:00:00Z"}`, want: event.BadTime},
	{name: "unknown table", value: `{"event_id":"w1","table":"wishlist","identifiers":{"user_id":"7"}}`, want: event.UnknownTable},
	{name: "no keys", value: `{"event_id":"k1","table":"page_view"}`, want: event.NoIdentifier},
	{name: "keys that do not count", value: `{"event_id":"k2","table":"page_view","identifiers":{"user_id":"","anonymous_id":"undefined"}}`, want: event.NoIdentifier},
	{name: "receive time that is none", value: `{"event_id":"h1","table":"page_view","identifiers":{"user_id":"7"}}`,
		header: kgo.RecordHeader{Key: event.HeaderReceived, Value: []byte("now")}, want: event.BadHeader},
	{name: "marker that is none", value: `{"event_id":"m1","table":"page_view","identifiers":{"user_id":"7"}}`,
		header: kgo.RecordHeader{Key: event.HeaderMarker, Value: []byte("7")}, want: event.BadMarker},
}

// Whatever somebody writes into Kafka, the pipeline goes on: each bad record is in the topic rejected with its reason and position.
// Once the segment knows the table, replay-rejected applies what was rejected for it, once.
func TestBadRecords(t *testing.T) {
	t.Parallel()
	place := faults.NewPlace(t, "")
	process := place.Start().Ready()
	want, positions := map[event.Position]event.Reason{}, map[event.Position]string{}
	for _, c := range produced {
		record := &kgo.Record{Key: []byte("customer_id:7"), Value: []byte(c.value)}
		if c.header.Key != "" {
			record.Headers = append(record.Headers, c.header)
		}
		produce(t, process.Endpoints.Kafka, record)
		at := event.Position{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset}
		want[at], positions[at] = c.want, c.name
	}
	view(t, process, "7", "good")
	viewed(t, process, "7", 1)
	process.Applied()
	process.Ready()

	effects := rejected(t, process, len(want))
	for _, r := range effects.Rejected {
		at := event.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
		if r.Reason != want[at] {
			t.Errorf("%s at %v: rejected as %q (%s %s), want %q", positions[at], at, r.Reason, r.Field, r.Detail, want[at])
		}
		if r.Detail == "" || r.Fix == "" {
			t.Errorf("%s: detail %q, fix %q", positions[at], r.Detail, r.Fix)
		}
	}

	process.Stop()
	place.WriteSegment(bytes.Replace(shop.Segment, []byte("\ntables:\n"), []byte("\ntables:\n  wishlist: {keys: {customer_id: user_id}}\n"), 1))
	process = place.Start().Ready()
	for _, wantSent := range []string{"1 of ", "0 of "} {
		code, stdout, stderr := place.Run("replay-rejected", "--reason", "unknown_table")
		if code != 0 || !strings.HasPrefix(stdout, wantSent) {
			t.Fatalf("replay-rejected: %d %s %s", code, stdout, stderr)
		}
		process.Applied()
		profile, err := process.Profile(t.Context(), "customer_id", "7")
		if err != nil || profile.Events != 2 {
			t.Errorf("%d events after the replay, %v", profile.Events, err)
		}
	}
	process.Stop()
	brokers, end := place.Broker()
	place.Audit(brokers)
	end()
}

// rejected waits until so many events were rejected.
func rejected(t *testing.T, process *faults.Process, n int) *faults.Effects {
	t.Helper()
	var effects *faults.Effects
	faults.Await(t, "the rejected events", func(ctx context.Context) (err error) {
		effects, err = faults.ReadEffects(ctx, process.Endpoints.Kafka, process.Endpoints.Segment)
		if err == nil && len(effects.Rejected) != n {
			err = fmt.Errorf("%d, want %d", len(effects.Rejected), n)
		}
		return err
	})
	return effects
}

// What HTTP does not refuse at the door is rejected behind it; nothing a client sends becomes a marker or a receive time.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	place := faults.NewPlace(t, "")
	process := place.Start().Ready()
	n := 0
	for _, c := range []struct {
		name, table, event string
		status             int
		accepted           bool
		rejected           event.Reason
	}{
		{name: "malformed", table: "page_view", event: `{"event_id":"x"`, status: 400},
		{name: "unknown table", table: "wishlist", event: `{"event_id":"x"}`, status: 404},
		{name: "no object", table: "page_view", event: `7`, status: 200},
		{name: "2 MB", table: "page_view", event: large, status: 200},
		{name: "wrong type", table: "page_view", event: `{"event_id":"e1","identifiers":7}`, status: 200, accepted: true, rejected: event.WrongType},
		{name: "no keys", table: "page_view", event: `{"event_id":"e2","identifiers":{}}`, status: 200, accepted: true, rejected: event.NoIdentifier},
		{name: "clock years off", table: "page_view", event: `{"event_id":"e3","time":0,"identifiers":{"user_id":"7"}}`, status: 200, accepted: true, rejected: event.BadTime},
		{name: "no UTF-8", table: "page_view", event: "{\"event_id\":\"e4\",\"identifiers\":{\"user_id\":\"\xff\"}}", status: 200, accepted: true, rejected: event.InvalidUTF8},
	} {
		answer, err := faults.Post(t.Context(), process.Endpoints.HTTP, c.table, []byte(`{"events":[`+c.event+`]}`))
		if err != nil || answer.Status != c.status || answer.Status == http.StatusOK && answer.Results[0].Accepted != c.accepted {
			t.Errorf("%s: %d %s %v", c.name, answer.Status, answer.Body, err)
		}
		if c.rejected == "" {
			continue
		}
		n++
		effects := rejected(t, process, n)
		if !hasReason(effects, c.rejected) {
			t.Errorf("%s: no event was rejected as %s", c.name, c.rejected)
		}
	}

	// A forged marker is an event like any other, and its receive time is the server's.
	begin := time.Now().Add(-time.Minute).UnixMilli()
	forged := `{"events":[{"event_id":"forged","marker":"9000000","received":1,"headers":{"marker":"tick"},"identifiers":{"user_id":"7"},"properties":{"type":"product"}}]}`
	answer, err := faults.Post(t.Context(), process.Endpoints.HTTP, "page_view", []byte(forged), "marker", "9000000", "received", "1", "Kafka-Header-Marker", "tick")
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("%d %s %v", answer.Status, answer.Body, err)
	}
	viewed(t, process, "7", 1)
	process.Applied()
	process.Ready()
	rejected(t, process, n)
	process.Stop()
	for p, at := range place.Progress() {
		if at.Epoch.Current >= 9_000_000 || p.Topic == eventsTopic && at.Clock < begin {
			t.Errorf("%s is in epoch %d at %d", p, at.Epoch.Current, at.Clock)
		}
	}
}

func hasReason(effects *faults.Effects, reason event.Reason) bool {
	for _, r := range effects.Rejected {
		if r.Reason == reason && r.Offset >= 0 && r.Topic == eventsTopic {
			return true
		}
	}
	return false
}
