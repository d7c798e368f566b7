package pipelines_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/transforms/event"
)

func init() {
	register.DoFn2x1[event.Draft, func(event.Draft), error](&basketFn{})
	register.Emitter1[event.Draft]()
}

// flaw is how many more times basketFn fails at the record that it does not like.
var flaw atomic.Int32

const badBasket = "basket-17"

// basketFn makes an event in the table cart of each product of a basket. It fails half way through a bad one.
type basketFn struct{}

// ProcessElement explodes one basket.
func (*basketFn) ProcessElement(d event.Draft, emit func(event.Draft)) error {
	var basket struct {
		Name, User string
		Products   []string
	}
	if err := json.Unmarshal(d.Properties, &basket); err != nil {
		return err
	}
	d.Table, d.Identifiers = "cart", event.Texts(map[string]string{"user_id": basket.User})
	for i, product := range basket.Products {
		if i > 0 && basket.Name == badBasket && flaw.Add(-1) >= 0 {
			return errors.New("this basket stinks")
		}
		d.Properties = event.Texts(map[string]string{"action": "add", "product_id": product})
		emit(d)
	}
	return nil
}

// prepare runs the prepare job until its group stands at the end of the raw topic, and drains it. It returns how often a bundle failed.
func (s *stage) prepare(t *testing.T, group string, raw int64) (failures int64) {
	t.Helper()
	p, scope := beam.NewPipelineWithRoot()
	pipelines.Prepare(scope, pipelines.PrepareConfig{
		Segment: s.file, Name: s.segment.Name, Kafka: s.client, Topics: []string{"raw.baskets"}, Group: group,
		Transforms: []pipelines.Transform{{Name: "explode", Apply: func(s beam.Scope, drafts beam.PCollection) beam.PCollection {
			return beam.ParDo(s, &basketFn{}, drafts)
		}}},
	})
	engine, err := direct.Start(context.Background(), p, direct.Options{Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	admin := s.administrate(t)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		offsets, err := admin.FetchOffsets(context.Background(), group)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			t.Fatal(err)
		}
		var done int64
		offsets.Each(func(o kadm.OffsetResponse) { done += o.At })
		if done == raw {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d baskets; failing: %+v", done, raw, engine.Failing())
		}
	}
	for _, stats := range engine.Stages() {
		failures += stats.Failures
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := engine.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	return failures
}

// administrate returns a client that has not looked before the topics were there.
func (s *stage) administrate(t *testing.T) *kadm.Client {
	t.Helper()
	options, err := s.client.Options()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := kadm.NewOptClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	return admin
}

// end returns how many records a topic holds.
func (s *stage) end(t *testing.T, kind topics.Kind) (n int64) {
	t.Helper()
	ends, err := s.administrate(t).ListEndOffsets(context.Background(), topics.Name(s.segment.Name, kind))
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// read returns the records of a topic in one line each, sorted.
func (s *stage) read(t *testing.T, kind topics.Kind) (lines []string) {
	t.Helper()
	options, err := s.client.Options()
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := kgo.NewClient(append(options, kgo.ConsumeTopics(topics.Name(s.segment.Name, kind)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	for n := s.end(t, kind); int64(len(lines)) < n; {
		fetches := consumer.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			text := fmt.Sprintf("%s %s", r.Key, r.Value)
			for _, h := range r.Headers {
				text += fmt.Sprintf(" %s=%s", h.Key, h.Value)
			}
			lines = append(lines, text)
		}
	}
	slices.Sort(lines)
	return lines
}

// A bundle that fails half way, and a whole topic that is read again, give the same events under the same IDs.
func TestPrepareGivesTheSameEventsAgain(t *testing.T) {
	s := newStage(t)
	if _, err := kadm.NewClient(s.kafka).CreateTopic(context.Background(), 2, 1, nil, "raw.baskets"); err != nil {
		t.Fatal(err)
	}
	const baskets = 40
	records := make([]*kgo.Record, 0, baskets+1)
	for i := range baskets {
		records = append(records, &kgo.Record{
			Topic: "raw.baskets", Key: fmt.Append(nil, i), Timestamp: time.UnixMilli(1291190400000),
			Value: fmt.Appendf(nil, `{"name":"basket-%d","user":"%d","products":["a%d","b%d","c%d"]}`, i, i%7+1, i, i, i),
		})
	}
	records = append(records, &kgo.Record{Topic: "raw.baskets", Key: []byte("x"), Value: []byte(`{"name":`)})
	if err := s.kafka.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	flaw.Store(3)
	group := pipelines.GroupPrepare(s.segment.Name)
	if failures := s.prepare(t, group, baskets+1); failures < 3 {
		t.Errorf("%d bundles failed, want 3 at least", failures)
	}
	first := s.read(t, topics.Events)
	events := slices.Compact(slices.Clone(first)) // what failed bundles had sent comes again, the same
	if len(events) != 3*baskets {
		t.Fatalf("%d different events of %d baskets", len(events), baskets)
	}
	ids := map[string]bool{}
	for _, line := range events {
		_, rest, _ := strings.Cut(line, `"event_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if !strings.HasPrefix(id, "raw.baskets/") || ids[id] || !strings.HasPrefix(line, "customer_id:") || !strings.Contains(line, " received=1291190400000") {
			t.Error(line)
		}
		ids[id] = true
	}
	rejected := slices.Compact(s.read(t, topics.Rejected))
	if len(rejected) != 1 || !strings.Contains(rejected[0], "malformed_json") || !strings.Contains(rejected[0], "id=raw.baskets/") {
		t.Errorf("rejected: %q", rejected)
	}

	// The group has nothing left to do; another one does all of it again.
	s.prepare(t, group, baskets+1)
	if n := len(s.read(t, topics.Events)); n != len(first) {
		t.Errorf("%d events after a restart, %d before", n, len(first))
	}
	s.prepare(t, "another", baskets+1)
	again := s.read(t, topics.Events)
	if diff := cmp.Diff(events, slices.Compact(slices.Clone(again))); diff != "" || len(again) != len(first)+len(events) {
		t.Errorf("%d events, then %d: %s", len(first), len(again), diff)
	}
}
