package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/operator/replay"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/event"
)

const segment = "shop"

// stream is an embedded broker with the topics of a segment.
type stream struct {
	t      *testing.T
	client kafkaio.Client
	kafka  *kgo.Client
	admin  *kadm.Client
}

func start(t *testing.T) *stream {
	t.Helper()
	broker, err := embedded.StartBroker(t.Context(), embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	s := &stream{t: t, client: kafkaio.Client{Brokers: broker.Addresses()}}
	options, err := s.client.Options()
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, kgo.ProducerBatchMaxBytes(4<<20), kgo.DisableClientMetrics(), kgo.MetadataMinAge(10*time.Millisecond))
	if s.kafka, err = kgo.NewClient(options...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kafka.Close)
	s.admin = kadm.NewClient(s.kafka)
	s.createTopics()
	return s
}

func (s *stream) createTopics() {
	s.t.Helper()
	specs, err := topics.Plan(segment, topics.Options{Partitions: 2})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := topics.Ensure(s.t.Context(), s.admin, specs); err != nil {
		s.t.Fatal(err)
	}
}

// original is a record as it came in, n-th of its partition.
func original(n int, value string) event.Record {
	return event.Record{
		Position: event.Position{Topic: topics.Name(segment, topics.Events), Partition: 1, Offset: int64(n)}, Timestamp: 5000,
		Key: []byte("user:" + fmt.Sprint(n)), Value: []byte(value),
		Headers: []event.Header{{Key: event.HeaderReceived, Value: []byte("4000")}, {Key: event.HeaderSource, Value: []byte("web")}},
	}
}

// reject writes rejected records.
func (s *stream) reject(reason event.Reason, records ...event.Record) {
	s.t.Helper()
	for _, r := range records {
		value, err := event.Reject(r, &event.Rejection{Reason: reason, Detail: "for the test"}).Encode()
		if err != nil {
			s.t.Fatal(err)
		}
		s.write(topics.Rejected, value)
	}
}

func (s *stream) write(kind topics.Kind, value []byte) {
	s.t.Helper()
	if err := s.kafka.ProduceSync(s.t.Context(), &kgo.Record{Topic: topics.Name(segment, kind), Value: value}).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// events returns all records of the topic events as "key value header=value...", sorted.
func (s *stream) events() (out []string) {
	s.t.Helper()
	topic := topics.Name(segment, topics.Events)
	ends, err := s.admin.ListEndOffsets(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	options, err := s.client.Options()
	if err != nil {
		s.t.Fatal(err)
	}
	reader, err := kgo.NewClient(append(options, kgo.ConsumeTopics(topic), kgo.DisableClientMetrics())...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reader.Close()
	for left > 0 {
		fetches := reader.PollFetches(s.t.Context())
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			left--
			line := string(r.Key) + " " + string(r.Value[:min(20, len(r.Value))])
			for _, h := range r.Headers {
				line += " " + h.Key + "=" + string(h.Value)
			}
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func (s *stream) replay(o replay.Options) replay.Summary {
	s.t.Helper()
	o.Client, o.Segment = s.client, segment
	summary, err := replay.Run(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return summary
}

func TestReplayKeepsWhatTheEventWas(t *testing.T) {
	s := start(t)
	s.reject(event.UnknownTable, original(0, `{"a":1}`))
	summary := s.replay(replay.Options{})
	want := replay.Summary{Total: 1, Seen: 1, Sent: 1, ByReason: map[event.Reason]int{event.UnknownTable: 1}}
	if diff := cmp.Diff(want, summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	wantEvents := []string{`user:0 {"a":1} source=web received=4000 replay_of=braid.shop.events/1/0`}
	if diff := cmp.Diff(wantEvents, s.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestReplayRoutesByTodaysRules(t *testing.T) {
	s := start(t)
	s.reject(event.NoIdentifier, original(0, `{"table":"orders"}`), original(1, `{"table":"visits"}`))
	s.replay(replay.Options{Route: func(table string, _ []byte) string {
		if table == "orders" {
			return "email:ann"
		}
		return ""
	}})
	for i, prefix := range []string{"email:ann ", "user:1 "} {
		if got := s.events()[i]; !strings.HasPrefix(got, prefix) {
			t.Errorf("%s does not begin with %s", got, prefix)
		}
	}
}

func TestReplaySendsNothingTwice(t *testing.T) {
	s := start(t)
	var records []event.Record
	for n := range 30 {
		records = append(records, original(n, fmt.Sprintf(`{"n":%d}`, n)))
	}
	s.reject(event.UnknownTable, records[:10]...)
	s.reject(event.NoIdentifier, records[10:20]...)
	if got := s.replay(replay.Options{DryRun: true}); got.Sent != 20 || len(s.events()) != 0 {
		t.Fatalf("dry run: %+v", got)
	}
	if got := s.replay(replay.Options{Reasons: []event.Reason{event.UnknownTable}}); got.Sent != 10 || got.Filtered != 10 {
		t.Fatalf("one reason: %+v", got)
	}
	if got := s.replay(replay.Options{Reasons: []event.Reason{event.UnknownTable}}); got.Sent != 0 || got.Before != 10 {
		t.Fatalf("the same reason again: %+v", got)
	}
	s.reject(event.UnknownTable, records[20:]...)
	if got := s.replay(replay.Options{}); got.Sent != 20 || got.Before != 10 {
		t.Fatalf("all: %+v", got)
	}
	if got := s.replay(replay.Options{}); got.Sent != 0 || got.Total != 0 {
		t.Fatalf("all again: %+v", got)
	}
	if got := len(s.events()); got != 30 {
		t.Errorf("%d events", got)
	}
}

func TestReplaySinceLeavesTheRestForLater(t *testing.T) {
	s := start(t)
	s.reject(event.UnknownTable, original(0, `{}`))
	time.Sleep(5 * time.Millisecond)
	since := time.Now()
	s.reject(event.UnknownTable, original(1, `{}`))
	for _, step := range []struct {
		since        time.Time
		sent, before int64
	}{{since, 1, 0}, {since, 0, 1}, {time.Time{}, 1, 1}, {time.Time{}, 0, 0}} {
		if got := s.replay(replay.Options{Since: step.since}); got.Sent != step.sent || got.Before != step.before {
			t.Fatalf("%+v, want %+v", got, step)
		}
	}
}

func TestReplayTellsWhatCannotBeSent(t *testing.T) {
	s := start(t)
	s.reject(event.TooLarge, original(0, strings.Repeat("x", event.RejectedBytes+1)), original(1, strings.Repeat("x", event.RejectedBytes)))
	s.write(topics.Rejected, []byte("{"))
	got := s.replay(replay.Options{})
	if got.Cut != 1 || got.Damaged != 1 || got.Sent != 1 || len(got.Positions) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestReplayOfATopicCreatedAgain(t *testing.T) {
	s := start(t)
	s.reject(event.UnknownTable, original(0, `{}`), original(1, `{}`))
	s.replay(replay.Options{})
	topic := topics.Name(segment, topics.Rejected)
	if _, err := s.admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	s.createTopics()
	s.kafka.PurgeTopicsFromClient(topic)
	s.reject(event.UnknownTable, original(2, `{}`))
	if got := s.replay(replay.Options{}); got.Sent != 1 {
		t.Errorf("%+v", got)
	}
}

func TestReplayFailures(t *testing.T) {
	s := start(t)
	if _, err := replay.Run(t.Context(), replay.Options{Client: s.client, Segment: "other"}); err == nil || !strings.Contains(err.Error(), "braid.other.rejected") {
		t.Errorf("a missing topic: %v", err)
	}
	elsewhere := original(0, `{}`)
	elsewhere.Topic = "gone"
	s.reject(event.UnknownTable, elsewhere)
	limited, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	summary, err := replay.Run(limited, replay.Options{Client: s.client, Segment: segment})
	if err == nil || !strings.Contains(err.Error(), "sending to gone") || summary.Sent != 0 {
		t.Errorf("a topic that is gone: %+v, %v", summary, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := replay.Run(ended, replay.Options{Client: s.client, Segment: segment}); err == nil {
		t.Error("it ran though it was cancelled")
	}
}

func TestSummaryJSON(t *testing.T) {
	b, err := json.Marshal(replay.Summary{Sent: 1, ByReason: map[event.Reason]int{event.UnknownTable: 1}})
	want := `{"total":0,"seen":0,"sent":1,"by_reason":{"unknown_table":1},"before":0,"filtered":0,"cut":0,"damaged":0,"dry_run":false}`
	if err != nil || string(b) != want {
		t.Errorf("%s %v", b, err)
	}
}
