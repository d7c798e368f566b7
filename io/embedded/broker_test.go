package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/embedded"
)

func start(t testing.TB, options embedded.Options) *embedded.Broker {
	t.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := embedded.StartBroker(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func client(t testing.TB, addresses []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addresses...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.DisableClientMetrics(),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t testing.TB, c *kgo.Client, name string, partitions int32, configs map[string]string) {
	t.Helper()
	settings := map[string]*string{}
	for k, v := range configs {
		settings[k] = &v
	}
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), partitions, 1, settings, name); err != nil {
		t.Fatal(err)
	}
}

func produce(t testing.TB, c *kgo.Client, topic string, partition int32, values ...string) []*kgo.Record {
	t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}
		if key, value, ok := strings.Cut(v, "="); ok {
			r.Key, r.Value = []byte(key), []byte(value)
			if value == "" {
				r.Value = nil
			}
		}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// readAll returns "offset key=value" of all records of a partition.
func readAll(t testing.TB, addresses []string, topic string, partition int32) []string {
	t.Helper()
	c := client(t, addresses, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	starts, err := kadm.NewClient(c).ListStartOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, partition)
	begin, _ := starts.Lookup(topic, partition)
	var got []string
	for next := begin.Offset; next < end.Offset; {
		fetches := c.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			got = append(got, fmt.Sprintf("%d %s=%s", r.Offset, r.Key, r.Value))
		})
	}
	return got
}

func TestRestartGoesOn(t *testing.T) {
	for _, durability := range []embedded.Durability{embedded.DurabilityProcess, embedded.DurabilityFsync} {
		t.Run(string(durability), func(t *testing.T) {
			options := embedded.Options{Dir: t.TempDir(), Durability: durability}
			b := start(t, options)
			c := client(t, b.Addresses())
			createTopic(t, c, "events", 2, nil)
			produce(t, c, "events", 1, "a=1", "b=2")
			before, err := kadm.NewClient(c).ListTopics(t.Context(), "events")
			if err != nil {
				t.Fatal(err)
			}
			offsets := kadm.Offsets{}
			offsets.AddOffset("events", 1, 2, -1)
			if _, err := kadm.NewClient(c).CommitOffsets(t.Context(), "realtime", offsets); err != nil {
				t.Fatal(err)
			}
			c.Close()
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}

			b = start(t, options)
			if err := b.Close(); err != nil { // once more without any traffic
				t.Fatal(err)
			}
			b = start(t, options)
			c = client(t, b.Addresses())
			produce(t, c, "events", 1, "c=3")
			if diff := cmp.Diff([]string{"0 a=1", "1 b=2", "2 c=3"}, readAll(t, b.Addresses(), "events", 1)); diff != "" {
				t.Error(diff)
			}
			after, err := kadm.NewClient(c).ListTopics(t.Context(), "events")
			if err != nil {
				t.Fatal(err)
			}
			if before["events"].ID != after["events"].ID {
				t.Error("the topic's ID changed across the restart")
			}
			got, err := kadm.NewClient(c).FetchOffsets(t.Context(), "realtime")
			if err != nil {
				t.Fatal(err)
			}
			if o, _ := got.Lookup("events", 1); o.At != 2 {
				t.Errorf("committed offset %d after the restart, want 2", o.At)
			}
			if n, err := b.DiskBytes(); err != nil || n == 0 {
				t.Errorf("DiskBytes: %d, %v", n, err)
			}
		})
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	b := start(t, embedded.Options{Dir: t.TempDir(), Port: port})
	if want := []string{"127.0.0.1:" + strconv.Itoa(port)}; !cmp.Equal(want, b.Addresses()) {
		t.Errorf("addresses %v, want %v", b.Addresses(), want)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	options := embedded.Options{Dir: dir, Port: taken.Addr().(*net.TCPAddr).Port}
	if _, err := embedded.StartBroker(t.Context(), options); err == nil {
		t.Fatal("started on a port in use")
	}
	options.Port = 0
	start(t, options) // the failed start left no lock
}

func TestSecondHolderIsToldWhoHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	b := start(t, embedded.Options{Dir: dir})
	_, err := embedded.StartBroker(t.Context(), embedded.Options{Dir: dir})
	if !errors.Is(err, embedded.ErrLocked) {
		t.Fatalf("error %v, want ErrLocked", err)
	}
	for _, part := range []string{dir, "process " + strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	b.Close()
	b.Close()
	start(t, embedded.Options{Dir: dir})
}

func TestOptionsAreChecked(t *testing.T) {
	for name, options := range map[string]embedded.Options{
		"no directory":        {},
		"port":                {Dir: "x", Port: 70000},
		"durability":          {Dir: "x", Durability: "often"},
		"retention bytes":     {Dir: "x", RetentionBytes: -2},
		"retention age":       {Dir: "x", RetentionAge: -time.Hour},
		"retention interval":  {Dir: "x", RetentionInterval: -time.Second},
		"directory is a file": {Dir: filepath.Join(os.Args[0], "x")},
	} {
		t.Run(name, func(t *testing.T) {
			if b, err := embedded.StartBroker(t.Context(), options); err == nil {
				b.Close()
				t.Error("started")
			}
		})
	}
}

func TestRetention(t *testing.T) {
	now := time.Now()
	options := embedded.Options{
		Dir: t.TempDir(), RetentionBytes: 4000, RetentionAge: time.Hour, RetentionInterval: time.Hour,
		Now: func() time.Time { return now },
	}
	b := start(t, options)
	c := client(t, b.Addresses())
	small := func(more map[string]string) map[string]string {
		configs := map[string]string{"segment.bytes": "1000"}
		for k, v := range more {
			configs[k] = v
		}
		return configs
	}
	createTopic(t, c, "defaults", 1, small(nil))
	createTopic(t, c, "bytes", 1, small(map[string]string{"retention.bytes": "2000", "retention.ms": "-1"}))
	createTopic(t, c, "all", 1, small(map[string]string{"retention.bytes": "-1", "retention.ms": "-1"}))
	createTopic(t, c, "compacted", 1, small(map[string]string{"cleanup.policy": "compact"}))
	topics := []string{"all", "bytes", "compacted", "defaults"}
	for _, topic := range topics {
		for i := range 20 {
			r := &kgo.Record{Topic: topic, Key: []byte{byte(i)}, Value: make([]byte, 430), Timestamp: time.Unix(1e9, 0)} // an old event, replayed now
			if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	starts := func() map[string]int64 {
		t.Helper()
		offsets, err := kadm.NewClient(c).ListStartOffsets(t.Context(), topics...)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		offsets.Each(func(o kadm.ListedOffset) { got[o.Topic] = o.Offset })
		return got
	}
	if err := b.ApplyRetention(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Batches have about 500 bytes, segments roll once they reach 1000: two batches each.
	if diff := cmp.Diff(map[string]int64{"all": 0, "bytes": 18, "compacted": 0, "defaults": 14}, starts()); diff != "" {
		t.Errorf("by bytes (-want +got):\n%s", diff)
	}
	now = now.Add(2 * time.Hour)
	if err := b.ApplyRetention(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"all": 0, "bytes": 18, "compacted": 0, "defaults": 18}, starts()); diff != "" {
		t.Errorf("by age (-want +got):\n%s", diff)
	}
	c.Close()
	b.Close()
	b = start(t, options)
	c = client(t, b.Addresses())
	if r := produce(t, c, "defaults", 0, "next"); r[0].Offset != 20 {
		t.Errorf("next offset %d after retention and a restart, want 20", r[0].Offset)
	}
}

func TestCompactedTopicsAreCompactedAtTheStart(t *testing.T) {
	options := embedded.Options{Dir: t.TempDir()}
	b := start(t, options)
	c := client(t, b.Addresses())
	createTopic(t, c, "epochs", 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "500"})
	for i := range 30 {
		produce(t, c, "epochs", 0, fmt.Sprintf("a=%d", i), fmt.Sprintf("b=%d", i))
	}
	produce(t, c, "epochs", 0, "gone=1", "gone=", "a=last")
	c.Close()
	b.Close()

	for range 2 { // the second start finds nothing more to do
		b = start(t, options)
		if diff := cmp.Diff([]string{"63 b=29", "64 a=last"}, readAll(t, b.Addresses(), "epochs", 0)); diff != "" {
			t.Error(diff)
		}
		b.Close()
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if b, err := embedded.StartBroker(ctx, embedded.Options{Dir: dir}); err == nil {
		b.Close()
		t.Fatal("started with a context that had ended")
	}
	start(t, embedded.Options{Dir: dir})
}

func BenchmarkIndexMemory(b *testing.B) {
	broker := start(b, embedded.Options{Dir: b.TempDir()})
	c := client(b, broker.Addresses(), kgo.ProducerLinger(0), kgo.MaxProduceRequestsInflightPerBroker(1))
	createTopic(b, c, "events", 1, nil)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for b.Loop() {
		if err := c.ProduceSync(b.Context(), &kgo.Record{Topic: "events", Value: make([]byte, 300)}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((float64(heap())-float64(before))/float64(b.N), "heap-B/batch")
}
