package pipelines_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stage is a broker with the topics of the shop's segment.
type stage struct {
	segment *segment.Segment
	client  kafkaio.Client
	kafka   *kgo.Client
	file    transforms.Segment
}

func newStage(t testing.TB) *stage {
	t.Helper()
	broker, err := embedded.StartBroker(context.Background(), embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	s := &stage{client: kafkaio.Client{Brokers: broker.Addresses()}, file: transforms.Segment{File: "segment.yaml", Text: string(shop.Segment)}}
	if s.segment, err = segment.Parse("segment.yaml", shop.Segment); err != nil {
		t.Fatal(err)
	}
	if s.kafka, err = kgo.NewClient(kgo.SeedBrokers(broker.Addresses()...), kgo.ProducerLinger(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kafka.Close)
	specs, err := topics.Plan(s.segment.Name, topics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Ensure(context.Background(), kadm.NewClient(s.kafka), specs); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) send(t testing.TB, events ...shop.Event) {
	t.Helper()
	records := make([]*kgo.Record, len(events))
	for i, e := range events {
		records[i] = &kgo.Record{Topic: topics.Name(s.segment.Name, topics.Events), Key: []byte(e.Key), Value: e.Value}
		for _, h := range e.Headers() {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader(h))
		}
	}
	if err := s.kafka.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// run runs the real-time job until cond holds, and drains it.
func (s *stage) run(t testing.TB, store string, cond func(update.Result) bool) {
	t.Helper()
	p, scope := beam.NewPipelineWithRoot()
	pipelines.Realtime(scope, pipelines.RealtimeConfig{Segment: s.file, Name: s.segment.Name, Kafka: s.client, Store: store})
	done := make(chan struct{})
	var mu sync.Mutex // the job has several workers
	var total update.Result
	stop := transforms.Observe(func(a transforms.Applied) {
		mu.Lock()
		defer mu.Unlock()
		total.Events += a.Result.Events
		total.Duplicates += a.Result.Duplicates
		for _, n := range a.Result.Rejected {
			total.Skipped += n
		}
		select {
		case <-done:
		default:
			if cond(total) {
				close(done)
			}
		}
	})
	defer stop()
	engine, err := direct.Start(context.Background(), p, direct.Options{OnFailure: func(f direct.Failure) { t.Logf("bundle failed: %+v", f) }})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		mu.Lock()
		t.Errorf("not applied in time: %+v; failing %+v", total, engine.Failing())
		mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := engine.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

// Events of many people, taken in two runs of the job, come out as the totals that are known of them.
func TestRealtimeAppliesEveryEventOnce(t *testing.T) {
	s := newStage(t)
	people := shop.NewPeople(shop.PeopleOptions{People: 200, Seed: 1})
	name := "realtime-" + uuid.NewString() // stores in memory live as long as the process, also under -count
	for round := range 2 {
		var events []shop.Event
		for e := range people.Events(3000) {
			events = append(events, e)
		}
		s.send(t, events...)
		s.run(t, "memory:"+name, func(r update.Result) bool { return r.Events >= 3000 })
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	reader := update.NewReader(s.segment.Config(), memory.Named(name))
	for want := range people.Totals() {
		doc, err := reader.Find(context.Background(), want.Key, want.Value)
		if err != nil || doc == nil {
			t.Fatalf("%s %s: %v, %v", want.Key, want.Value, doc, err)
		}
		view, err := reader.Folder().Fold(doc, 0)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(view)
		var got struct {
			Events     int
			Attributes struct{ Revenue json.Number }
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Events != want.Events {
			t.Errorf("%s %s: %d events, want %d\n%s", want.Key, want.Value, got.Events, want.Events, text)
		}
	}
}
