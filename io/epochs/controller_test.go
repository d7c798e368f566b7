package epochs_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/epochs"
	"github.com/braidhq/braid/transforms/event"
)

const (
	eventsTopic = "braid.retail.events"
	epochsTopic = "braid.retail.epochs"
)

// bench is a cluster with the two topics and a clock.
type bench struct {
	cluster *kfake.Cluster
	client  *kgo.Client
	now     time.Time
}

func newBench(t *testing.T, partitions int32) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, eventsTopic), kfake.SeedTopics(1, epochsTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &bench{cluster: cluster, now: time.UnixMilli(1_000_000)}
	if b.client, err = kgo.NewClient(append(b.options(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(20*time.Millisecond))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	return b
}

func (b *bench) options() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.DisableClientMetrics()}
}

func (b *bench) controller(t *testing.T, change func(*epochs.Config)) *epochs.Controller {
	t.Helper()
	config := epochs.Config{
		Events: eventsTopic, Epochs: epochsTopic, Interval: time.Minute,
		Now: func() time.Time { return b.now }, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&config)
	}
	c, err := epochs.New(config, b.options()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (b *bench) produce(t *testing.T, partition int32, n int) {
	t.Helper()
	for range n {
		if err := b.client.ProduceSync(t.Context(), &kgo.Record{Topic: eventsTopic, Partition: partition, Value: []byte(`{}`)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// placed is a marker where it stands.
type placed struct {
	event.Marker
	Offset int64
}

// markers reads the markers of every partition.
func (b *bench) markers(t *testing.T) map[int32][]placed {
	t.Helper()
	c, err := kgo.NewClient(append(b.options(), kgo.ConsumeTopics(eventsTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(t.Context(), eventsTopic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	found := map[int32][]placed{}
	for left > 0 {
		fetches := c.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			record := event.Record{Value: r.Value}
			for _, h := range r.Headers {
				record.Headers = append(record.Headers, event.Header{Key: h.Key, Value: h.Value})
			}
			m, ok, err := event.ParseMarker(record)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				found[r.Partition] = append(found[r.Partition], placed{m, r.Offset})
			}
		})
	}
	return found
}

// check compares the topic of epochs with what a reader of the stream sees: a complete epoch begins at the first marker that is not lower.
func (b *bench) check(t *testing.T) epochs.Log {
	t.Helper()
	log, err := epochs.ReadLog(t.Context(), epochsTopic, b.options()...)
	if err != nil {
		t.Fatal(err)
	}
	markers := b.markers(t)
	for _, e := range log.Complete {
		for partition, offset := range e.Positions {
			i := slices.IndexFunc(markers[partition], func(m placed) bool { return !m.Tick && m.Epoch >= e.Epoch })
			if i < 0 || markers[partition][i].Offset != offset {
				t.Errorf("epoch %d is recorded at offset %d of partition %d, the stream has %v", e.Epoch, offset, partition, markers[partition])
			}
		}
	}
	// A batch that begins before an epoch is complete, or after one that never was, begins at the last complete one before it.
	for partition, all := range markers {
		for _, m := range all {
			last := uint64(0)
			for _, e := range log.Complete {
				if e.Epoch < m.Epoch {
					last = e.Epoch
				}
			}
			known := m.Epoch <= log.Highest && last > 0 // begun when the log was read, and what was before it is still recorded
			if known && m.Oldest > last {
				t.Errorf("marker %d in partition %d lets go of what is below %d, a batch may begin at %d", m.Epoch, partition, m.Oldest, last)
			}
		}
	}
	return log
}

func TestFirstEpochAndNext(t *testing.T) {
	b := newBench(t, 3)
	c := b.controller(t, nil)
	if _, ok := c.Latest(); ok {
		t.Error("an epoch before the first")
	}
	b.produce(t, 1, 2)
	first, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := epochs.Epoch{Epoch: 1, Oldest: 0, Time: 1_000_000, Positions: map[int32]int64{0: 0, 1: 2, 2: 0}}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	again, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("started again: %s", diff)
	}
	b.now = b.now.Add(59 * time.Second)
	if err := c.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e, _ := c.Latest(); e.Epoch != 1 {
		t.Errorf("epoch %d before the interval passed", e.Epoch)
	}
	b.produce(t, 0, 1)
	b.now = b.now.Add(time.Second)
	if err := c.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = epochs.Epoch{Epoch: 2, Oldest: 1, Time: 1_060_000, Positions: map[int32]int64{0: 2, 1: 3, 2: 1}}
	if e, _ := c.Latest(); !cmp.Equal(want, e) {
		t.Error(cmp.Diff(want, e))
	}
	log := b.check(t)
	if len(log.Complete) != 2 || log.Highest != 2 {
		t.Errorf("log %+v", log)
	}
	if m := b.markers(t)[1][0]; m.Received != 1_000_000 || m.Oldest != 0 {
		t.Errorf("marker %+v", m)
	}

	// Another process takes over where this one was.
	c.Close()
	c = b.controller(t, nil)
	if e, err := c.Start(t.Context()); err != nil || !cmp.Equal(want, e) {
		t.Errorf("after a restart: %v, %v", e, err)
	}
	if e, err := c.Advance(t.Context()); err != nil || e.Epoch != 3 {
		t.Errorf("next: %v, %v", e, err)
	}
}

func TestOldestIsCarriedAndNeverGoesBack(t *testing.T) {
	b := newBench(t, 1)
	used, ok := uint64(0), false
	c := b.controller(t, func(config *epochs.Config) {
		config.Oldest = func(context.Context) (uint64, bool, error) { return used, ok, nil }
	})
	var got []uint64
	for _, step := range []struct {
		used uint64
		ok   bool
	}{{0, false}, {1, true}, {2, true}, {2, true}, {1, true}, {99, true}, {0, false}} {
		used, ok = step.used, step.ok
		e, err := c.Advance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Oldest)
	}
	if diff := cmp.Diff([]uint64{0, 1, 2, 2, 2, 5, 6}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOldRecordsAreRemoved(t *testing.T) {
	b := newBench(t, 1)
	c := b.controller(t, func(config *epochs.Config) { config.Keep = 3 })
	for range 10 {
		if _, err := c.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var numbers []uint64
	for _, e := range b.check(t).Complete {
		numbers = append(numbers, e.Epoch)
	}
	if diff := cmp.Diff([]uint64{6, 7, 8, 9, 10}, numbers); diff != "" {
		t.Error(diff)
	}
}

func TestNewPartitions(t *testing.T) {
	b := newBench(t, 2)
	c := b.controller(t, nil)
	if _, err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := c.AddPartitions(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(epochs.Epoch{Epoch: 2, Oldest: 1, Time: 1_000_000, Positions: map[int32]int64{0: 1, 1: 1, 2: 0}}, e); diff != "" {
		t.Error(diff)
	}
	if e, err := c.AddPartitions(t.Context(), 3); err != nil || e.Epoch != 3 {
		t.Errorf("adding none: %v, %v", e, err)
	}
	if _, err := kadm.NewClient(b.client).UpdatePartitions(t.Context(), 4, eventsTopic); err != nil { // somebody else adds one
		t.Fatal(err)
	}
	for range 1000 {
		if err := c.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, _ := c.Latest(); len(e.Positions) == 4 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if e, _ := c.Latest(); e.Epoch != 4 || len(e.Positions) != 4 {
		t.Errorf("after a foreign partition: %v", e)
	}
	b.check(t)
}

func TestTicks(t *testing.T) {
	b := newBench(t, 3)
	due, ok := int64(0), false
	clocks := map[int32]int64{}
	c := b.controller(t, func(config *epochs.Config) {
		config.Interval = time.Hour
		config.NextDue = func(context.Context) (int64, bool, error) { return due, ok, nil }
		config.Clocks = func(context.Context) (map[int32]int64, error) { return clocks, nil }
	})
	ticks := func() map[int32][]int64 {
		t.Helper()
		if err := c.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[int32][]int64{}
		for partition, markers := range b.markers(t) {
			for _, m := range markers {
				if m.Tick {
					got[partition] = append(got[partition], m.Received)
				}
			}
		}
		return got
	}
	steps := []struct {
		name string
		do   func()
		want map[int32][]int64
	}{
		{"no timer", func() {}, map[int32][]int64{}},
		{"not yet", func() { due, ok = 1_000_500, true }, map[int32][]int64{}},
		{"due, one partition is past it", func() { b.now = time.UnixMilli(1_000_500); clocks[1] = 1_000_600 }, map[int32][]int64{0: {1_000_500}, 2: {1_000_500}}},
		{"on its way", func() { b.now = time.UnixMilli(1_001_000) }, map[int32][]int64{0: {1_000_500}, 2: {1_000_500}}},
		{"applied", func() { clocks[0], clocks[2] = 1_000_500, 1_000_500 }, map[int32][]int64{0: {1_000_500}, 2: {1_000_500}}},
		{"the next timer", func() { due = 1_000_900 }, map[int32][]int64{0: {1_000_500, 1_001_000}, 1: {1_001_000}, 2: {1_000_500, 1_001_000}}},
		{"done", func() { ok = false; b.now = time.UnixMilli(1_100_000) }, map[int32][]int64{0: {1_000_500, 1_001_000}, 1: {1_001_000}, 2: {1_000_500, 1_001_000}}},
	}
	for _, step := range steps {
		step.do()
		if diff := cmp.Diff(step.want, ticks()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	b.check(t)
}

func TestRunWorksUntilItsContextEnds(t *testing.T) {
	b := newBench(t, 2)
	c := b.controller(t, func(config *epochs.Config) { config.Poll = time.Millisecond; config.Interval = time.Nanosecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	for len(b.check(t).Complete) < 3 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, config := range map[string]epochs.Config{
		"no topics":        {},
		"negative":         {Events: "a", Epochs: "b", Interval: -1},
		"due needs clocks": {Events: "a", Epochs: "b", NextDue: func(context.Context) (int64, bool, error) { return 0, false, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := epochs.New(config); err == nil {
				t.Error("accepted")
			}
		})
	}
	b := newBench(t, 1)
	c := b.controller(t, func(config *epochs.Config) { config.Epochs = "missing" })
	if _, err := c.Start(t.Context()); err == nil {
		t.Error("started without a topic of epochs")
	}
}
