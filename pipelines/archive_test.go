package pipelines_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/testing/require"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) {
	clickhouse.Host()
	os.Exit(m.Run())
}

// warehouse is a ClickHouse with the tables of the stage's segment.
type warehouse struct {
	server *clickhouse.Server
	client clickhouseio.Client
	conn   driver.Conn
}

func newWarehouse(t testing.TB, s *stage) *warehouse {
	t.Helper()
	library, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	w := &warehouse{}
	if w.server, err = clickhouse.Start(t.Context(), clickhouse.Options{Dir: t.TempDir(), Library: library, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.server.Close() })
	w.client = clickhouseio.Client{URL: w.server.URL(clickhouse.UserBraid, schema.DatabaseName(s.segment.Name))}
	if w.conn, err = w.client.In("default").Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.conn.Close() })
	if _, err := schema.Apply(t.Context(), w.conn, schema.Options{Segment: s.segment.Name}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *warehouse) count(t testing.TB, s *stage, query string) (n uint64) {
	t.Helper()
	if err := w.conn.QueryRow(t.Context(), fmt.Sprintf(query, clickhouseio.Quote(schema.DatabaseName(s.segment.Name)))).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (s *stage) mark(t testing.TB, epoch uint64) {
	t.Helper()
	headers, value := event.Marker{Epoch: epoch, Received: time.Now().UnixMilli()}.Record()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.client.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for partition := range int32(4) {
		r := &kgo.Record{Topic: topics.Name(s.segment.Name, topics.Events), Partition: partition, Value: value}
		for _, h := range headers {
			r.Headers = append(r.Headers, kgo.RecordHeader(h))
		}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// records counts what is in the archived topics.
func (s *stage) records(t testing.TB, kind topics.Kind) (n int64) {
	t.Helper()
	ends, err := kadm.NewClient(s.kafka).ListEndOffsets(t.Context(), topics.Name(s.segment.Name, kind))
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// Whatever is killed, and wherever the job begins again, each record is archived once, with its epoch, and the views show each
// profile and each change of identity once.
func TestArchiveHoldsEveryRecordOnce(t *testing.T) {
	s := newStage(t)
	w := newWarehouse(t, s)
	people := shop.NewPeople(shop.PeopleOptions{People: 50, Seed: 2})
	store := "memory:archive-" + uuid.NewString()
	var events uint64
	for round := range 3 {
		s.mark(t, uint64(round+1))
		var some []shop.Event
		for e := range people.Events(1000) {
			some = append(some, e)
		}
		s.send(t, some...)
		if err := s.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topics.Name(s.segment.Name, topics.Events), Value: []byte("broken " + strconv.Itoa(round))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		s.run(t, store, func(r update.Result) bool { return r.Events >= 1000 && r.Skipped >= 1 })
		events += 1000

		p, scope := beam.NewPipelineWithRoot()
		pipelines.Archive(scope, pipelines.ArchiveConfig{Segment: s.file, Name: s.segment.Name, Kafka: s.client, ClickHouse: w.client, MaxRecords: 300, MaxDelay: 20 * time.Millisecond})
		engine, err := direct.Start(context.Background(), p, direct.Options{Backoff: time.Millisecond, OnFailure: func(f direct.Failure) { t.Logf("bundle failed: %v", f.Err) }})
		if err != nil {
			t.Fatal(err)
		}
		total := func() (n int64) {
			for _, kind := range []topics.Kind{topics.Events, topics.Profiles, topics.IdentityChanges, topics.Rejected} {
				n += s.records(t, kind)
			}
			return n
		}
		rows := func() uint64 {
			var n uint64
			_ = w.conn.QueryRow(t.Context(), "SELECT sum(total_rows) FROM system.tables WHERE database = ? AND engine LIKE '%MergeTree' AND name != 'migrations'",
				schema.DatabaseName(s.segment.Name)).Scan(&n)
			return n
		}
		if round == 1 { // in the middle of its work
			for rows() < uint64(total())/3 {
				time.Sleep(time.Millisecond)
			}
			syscall.Kill(w.server.Process(), syscall.SIGKILL)
		}
		deadline := time.Now().Add(2 * time.Minute)
		done := func() bool { // the group's offsets are committed when their rows are there
			offsets, err := kadm.NewClient(s.kafka).FetchOffsets(t.Context(), pipelines.GroupArchive(s.segment.Name))
			if err != nil {
				return false
			}
			var n int64
			offsets.Each(func(o kadm.OffsetResponse) { n += max(0, o.At) })
			return n == total()
		}
		for !done() {
			if time.Now().After(deadline) {
				t.Fatalf("not archived in time; failing %+v", engine.Failing())
			}
			time.Sleep(5 * time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := engine.Drain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]uint64{
		"SELECT count() FROM %s.stream":                                                                               uint64(s.records(t, topics.Events)),
		"SELECT uniqExact(partition, offset) FROM %s.stream":                                                          uint64(s.records(t, topics.Events)),
		"SELECT count() FROM %s.events":                                                                               events,
		"SELECT countIf(kind = 'rejected') FROM %s.stream":                                                            3,
		"SELECT count() FROM %s.rejected WHERE reason = 'malformed_json' AND value LIKE 'broken%%'":                   3,
		"SELECT count() FROM (SELECT epoch FROM %s.stream WHERE kind = 'event' GROUP BY epoch HAVING count() = 1000)": 3,
		"SELECT toUInt64(count() - uniqExact(profile_id) + countIf(event_count = 0)) FROM %s.profiles":                0,
		"SELECT countIf(kind = 'marker') FROM %s.stream":                                                              12,
		"SELECT uniqExact(partition, offset) FROM %s.identity_log":                                                    uint64(s.records(t, topics.IdentityChanges)),
		"SELECT toUInt64(count() - uniqExact(id)) FROM %s.identity_changes":                                           0, // effects come again after a restart
		"SELECT count() FROM %s.events WHERE JSONExtractRaw(raw, 'properties') != '' AND empty(JSONAllPaths(properties)) AND JSONExtractRaw(raw, 'properties') != '{}'": 0,
		"SELECT count() FROM %s.identifiers WHERE profile_id = '' OR key = '' OR value = ''":                                                                            0,
	} {
		if got := w.count(t, s, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}

// BenchmarkArchive is an event through the archive job, with JSON columns.
func BenchmarkArchive(b *testing.B) {
	s := newStage(b)
	w := newWarehouse(b, s)
	people := shop.NewPeople(shop.PeopleOptions{People: 10_000, Seed: 3})
	const total = 100_000
	var all []shop.Event
	for e := range people.Events(total) {
		all = append(all, e)
	}
	s.send(b, all...)
	b.ResetTimer()
	for i := range b.N {
		if err := w.conn.Exec(b.Context(), "TRUNCATE TABLE "+clickhouseio.Quote(schema.DatabaseName(s.segment.Name))+".stream"); err != nil {
			b.Fatal(err)
		}
		p, scope := beam.NewPipelineWithRoot()
		pipelines.Archive(scope, pipelines.ArchiveConfig{Segment: s.file, Name: s.segment.Name, Kafka: s.client, ClickHouse: w.client, Group: fmt.Sprint("bench", i)})
		engine, err := direct.Start(b.Context(), p, direct.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for w.count(b, s, "SELECT count() FROM %s.stream") < total {
			time.Sleep(5 * time.Millisecond)
		}
		engine.Cancel()
		_ = engine.Wait()
	}
	b.ReportMetric(float64(b.N)*total/b.Elapsed().Seconds(), "events/s")
}
