package flink_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/pipelines/flink"
	"github.com/braidhq/braid/testing/exact"
	"github.com/braidhq/braid/testing/faults"
	cluster "github.com/braidhq/braid/testing/flink"
	"github.com/braidhq/braid/testing/kafka"
	"github.com/braidhq/braid/testing/postgres"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

func TestMain(m *testing.M) { faults.Main(m) }

const (
	events = 100_000
	people = 10_000
	job    = "braid realtime test"
)

// The real-time job as it is everywhere, on Flink, Kafka and PostgreSQL: a worker is killed with SIGKILL in the middle of the backlog, and
// in the end every event counts exactly once, and no effect is missing or there twice.
func TestRealtime(t *testing.T) {
	began := time.Now()
	cluster.Jars.Require(t) // before anything is started
	broker := kafka.Start(t)
	server := postgres.Start(t)
	flinks := cluster.Start(t, 2)
	place := faults.NewPlace(t, fmt.Sprintf("kafka: {brokers: [%q]}\nstore: %q", broker.Addresses()[0], server.NewURL()))
	if code, _, stderr := place.Run("topics", "--create"); code != 0 {
		t.Fatalf("topics: %d %s", code, stderr)
	}
	crowd := shop.NewPeople(shop.PeopleOptions{People: people, Seed: 1, Start: time.Now().Add(-10 * time.Minute).UnixMilli()})
	fill(t, broker.Addresses(), place.Segment().Name, crowd)
	t.Logf("Kafka, PostgreSQL and Flink run, and %d events are in the topic, after %.1f s", events, time.Since(began).Seconds())

	pool := place.StartCommand("worker", "--listen=127.0.0.1:0")
	pool.Logs("worker pool is ready")
	submit(t, place, flinks, find(t, pool, `address=(\S+)`))
	began = time.Now()

	w := watch(t, place)
	w.until(t, events*2/5)
	killed := time.Now()
	worker, err := strconv.Atoi(find(t, pool, `msg="worker started".* pid=(\d+)`))
	if err != nil {
		t.Fatal(err)
	}
	kill(t, worker)
	left := events - w.applied()
	w.until(t, events)
	w.stop()
	pool.Logs("worker died")
	begin, end := w.moments[0].at, w.moments[len(w.moments)-1].at
	gap := w.gap(killed)
	t.Logf("the first event was applied %.1f s after the submission; then %d events in %.1f s: %.0f events/s, without the gap %.0f events/s",
		begin.Sub(began).Seconds(), events, end.Sub(begin).Seconds(), events/end.Sub(begin).Seconds(), events/(end.Sub(begin)-gap).Seconds())
	t.Logf("the worker was killed with %d events left; nothing was applied for %.2f s", left, gap.Seconds())

	store := place.Store()
	reader := update.NewReader(place.Segment().Config(), store)
	profiles, err := exact.Check(t.Context(), crowd, reader, time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	published(t, broker.Addresses(), place.Segment().Name, profiles)

	if err := flinks.REST.Cancel(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	pool.Stop()
	effects := place.Audit(broker.Addresses())
	if len(effects.Rejected) > 0 {
		t.Errorf("%d events were rejected, all were good", len(effects.Rejected))
	}
	if err := effects.People(len(profiles)); err != nil {
		t.Error(err)
	}
	t.Logf("%d profiles are exact; %d effects, %d of them sent twice under one ID", len(profiles), effects.Records, effects.Repeated)
	flinks.JobServer.Kill()
	flinks.TaskManager.Kill()
	flinks.JobManager.Kill()
	broker.Kill()
	server.Down()
	t.Logf("processor time: workers %.1f s, task manager %.1f s, job manager %.1f s, job server %.1f s, Kafka %.1f s, PostgreSQL %.1f s",
		pool.Used().Seconds(), flinks.TaskManager.Used().Seconds(), flinks.JobManager.Used().Seconds(), flinks.JobServer.Used().Seconds(),
		broker.Used().Seconds(), server.Used().Seconds())
}

// kill ends a process as kill -9 does.
func kill(t *testing.T, id int) {
	t.Helper()
	process, err := os.FindProcess(id)
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fill sends all events, and a tick into each partition, by which what was held back until later becomes due.
func fill(t *testing.T, brokers []string, segment string, crowd *shop.People) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topics.Name(segment, topics.Events)), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var mu sync.Mutex
	var failed error
	partitions := map[int32]bool{}
	send := func(r *kgo.Record) {
		client.Produce(t.Context(), r, func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			partitions[r.Partition] = true
		})
	}
	for e := range crowd.Events(events) {
		send(&kgo.Record{Key: []byte(e.Key), Value: e.Value, Headers: headers(e.Headers())})
	}
	if err := errors.Join(client.Flush(t.Context()), failed); err != nil {
		t.Fatal(err)
	}
	ticks, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer ticks.Close()
	for p := range partitions {
		h, value := event.Marker{Tick: true, Received: time.Now().UnixMilli()}.Record()
		r := &kgo.Record{Topic: topics.Name(segment, topics.Events), Partition: p, Value: value, Headers: headers(h)}
		if err := ticks.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func headers(all []event.Header) []kgo.RecordHeader {
	out := make([]kgo.RecordHeader, len(all))
	for i, h := range all {
		out[i] = kgo.RecordHeader(h)
	}
	return out
}

// submit hands the job to Flink. The test fails when the job does.
func submit(t *testing.T, place *faults.Place, c *cluster.Cluster, pool string) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	d := place.Deployment()
	pipelines.Realtime(s, pipelines.RealtimeConfig{
		Segment: transforms.Segment{File: "segment.yaml", Text: string(shop.Segment)}, Name: place.Segment().Name, Kafka: d.Client(), Store: d.StoreURL(),
	})
	submitted, err := flink.Submit(t.Context(), p, flink.Options{JobServer: c.Address, Pool: pool, Name: job})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { submitted.Close() })
}

// find returns what the last match of a pattern has in its group.
func find(t *testing.T, p *faults.Process, pattern string) string {
	t.Helper()
	all := regexp.MustCompile(pattern).FindAllStringSubmatch(p.Log(), -1)
	if len(all) == 0 {
		t.Fatalf("there is no %s in\n%s", pattern, p.Log())
	}
	return all[len(all)-1][1]
}

// watched looks at the progress of the stream all the time.
type watched struct {
	mu      sync.Mutex
	moments []moment
	stop    func()
}

// moment is when so many records had been applied, and before were fewer.
type moment struct {
	at      time.Time
	applied int
}

func watch(t *testing.T, place *faults.Place) *watched {
	t.Helper()
	store, segment := place.Store(), place.Segment().Name
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{}
	var looking sync.WaitGroup
	w.stop = func() { cancel(); looking.Wait() }
	looking.Go(func() {
		for ctx.Err() == nil {
			if progress, err := update.ReadProgress(ctx, store, segment); err == nil {
				w.saw(progress)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *watched) saw(progress map[update.Partition]update.Progress) {
	n := 0
	for p, at := range progress {
		if p.Topic != update.TopicDue {
			n += int(at.NextOffset)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && (len(w.moments) == 0 || w.moments[len(w.moments)-1].applied < n) {
		w.moments = append(w.moments, moment{time.Now(), n})
	}
}

func (w *watched) applied() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.moments) == 0 {
		return 0
	}
	return w.moments[len(w.moments)-1].applied
}

// patience is how long nothing at all may be applied. Flink takes its time to get going when the machine is busy.
const patience = 5 * time.Minute

// until waits until so many records have been applied.
func (w *watched) until(t *testing.T, n int) {
	t.Helper()
	for have, last := w.applied(), time.Now(); have < n; time.Sleep(time.Millisecond) {
		if now := w.applied(); now > have {
			have, last = now, time.Now()
		}
		if time.Since(last) > patience {
			t.Fatalf("%d of %d records are applied, and for %v it has not been one more", have, n, patience)
		}
	}
}

// gap is the longest time without progress, from a moment on.
func (w *watched) gap(from time.Time) (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range w.moments[1:] {
		if before := w.moments[i]; m.at.After(from) {
			longest = max(longest, m.at.Sub(before.at))
		}
	}
	return longest
}

// published waits until each profile was published with all of its events, and no effect is missing.
func published(t *testing.T, brokers []string, segment string, profiles map[string]int) {
	t.Helper()
	faults.Await(t, "the profiles' publication", func(ctx context.Context) error {
		effects, err := faults.ReadEffects(ctx, brokers, segment)
		if err != nil {
			return err
		}
		if gaps := effects.Gaps(); len(gaps) > 0 {
			return fmt.Errorf("%d effects are missing, among them %s", len(gaps), gaps[0])
		}
		for id, events := range profiles {
			if have := effects.Published[id]; have != events {
				return fmt.Errorf("profile %s was published with %d events, it has %d", id, have, events)
			}
		}
		return nil
	})
}
