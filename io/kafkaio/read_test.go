package kafkaio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestReadBounded(t *testing.T) {
	for _, groups := range []int{1, 2, 3, 7} {
		t.Run(fmt.Sprintf("%d groups", groups), func(t *testing.T) {
			k, c := cluster(t, kfake.SeedTopics(4, "a", "b"))
			cl := kclient(t, c)
			produce(t, cl, "a", 4, 0, 500)
			produce(t, cl, "b", 2, 0, 50)
			d := newDriver(t, c, []string{"a", "b"}, Bounded(), PartitionGroups(groups), MaxRecords(300))
			if len(d.work) != groups {
				t.Fatalf("got %d restrictions", len(d.work))
			}
			d.until(func() bool { // what comes later does not belong to it
				ready := true
				for i := range d.work {
					ready = ready && d.restriction(i).Resolved
				}
				return ready
			})
			produce(t, cl, "a", 4, 500, 10)
			d.until(func() bool { return false })
			var a, b []Record
			for _, r := range d.got {
				if r.TopicID != k.TopicInfo(r.Topic).TopicID || r.Timestamp != epoch0+r.Offset {
					t.Fatalf("record %+v", r)
				}
				if r.Topic == "a" {
					a = append(a, r)
				} else {
					b = append(b, r)
				}
			}
			checkSequences(t, a, 4, 0, 500)
			checkSequences(t, b, 2, 0, 50)
		})
	}
}

func TestRecordContent(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c, kgo.ProducerBatchMaxBytes(8<<20), kgo.MaxBufferedBytes(64<<20))
	big := make([]byte, 900_000)
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	sent := []*kgo.Record{
		{Topic: "a", Key: []byte("k"), Value: nil, Timestamp: time.UnixMilli(1)},
		{Topic: "a", Value: []byte{}, Timestamp: time.UnixMilli(2), Headers: []kgo.RecordHeader{{Key: "x", Value: []byte("1")}, {Key: "x", Value: nil}}},
		{Topic: "a", Value: big, Timestamp: time.UnixMilli(3), Headers: []kgo.RecordHeader{{Key: "", Value: []byte{}}}},
	}
	if err := cl.ProduceSync(t.Context(), sent...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, c, []string{"a"}, Bounded())
	d.until(func() bool { return false })
	want := []Record{
		{Offset: 0, Timestamp: 1, Key: []byte("k")},
		{Offset: 1, Timestamp: 2, Value: []byte{}, Headers: []Header{{"x", []byte("1")}, {"x", nil}}},
		{Offset: 2, Timestamp: 3, Value: big, Headers: []Header{{"", []byte{}}}},
	}
	for i := range want {
		want[i].Topic, want[i].TopicID = "a", d.got[i].TopicID
	}
	if diff := cmp.Diff(want, d.got); diff != "" {
		t.Error(diff)
	}
}

func TestStart(t *testing.T) {
	k, c := cluster(t, kfake.SeedTopics(2, "a"))
	cl := kclient(t, c)
	adm := kadm.NewClient(cl)
	produce(t, cl, "a", 2, 0, 100)
	if err := k.DeleteRecords("a", 1, 10); err != nil {
		t.Fatal(err)
	}
	o := kadm.Offsets{}
	o.AddOffset("a", 0, 70, -1)
	tests := []struct {
		name string
		opts []ReadOption
		want map[int32]int64 // first offsets
	}{
		{"default", nil, map[int32]int64{0: 0, 1: 10}},
		{"earliest", []ReadOption{StartAt(Earliest())}, map[int32]int64{0: 0, 1: 10}},
		{"latest", []ReadOption{StartAt(Latest())}, map[int32]int64{0: 100, 1: 100}},
		{"timestamp", []ReadOption{StartAt(Timestamp(time.UnixMilli(epoch0 + 40)))}, map[int32]int64{0: 40, 1: 40}},
		{"timestamp in the future", []ReadOption{StartAt(Timestamp(time.UnixMilli(epoch0 + 400)))}, map[int32]int64{0: 100, 1: 100}},
		{"offsets", []ReadOption{StartAt(Offsets(map[string]map[int32]int64{"a": {0: 30, 1: 50}}))}, map[int32]int64{0: 30, 1: 50}},
		{"offsets with fallback", []ReadOption{StartAt(Offsets(map[string]map[int32]int64{"a": {1: 50}})), Fallback(Latest())}, map[int32]int64{0: 100, 1: 50}},
		{"group", []ReadOption{Group("half")}, map[int32]int64{0: 70, 1: 10}},
		{"group with fallback", []ReadOption{Group("half"), Fallback(Timestamp(time.UnixMilli(epoch0 + 90)))}, map[int32]int64{0: 70, 1: 90}},
		{"group unknown", []ReadOption{Group("other"), Fallback(Latest())}, map[int32]int64{0: 100, 1: 100}},
		{"earliest in spite of the group", []ReadOption{Group("half"), StartAt(Earliest())}, map[int32]int64{0: 0, 1: 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := adm.DeleteGroups(t.Context(), "half", "other"); err != nil {
				t.Fatal(err)
			}
			if err := adm.CommitAllOffsets(t.Context(), "half", o); err != nil {
				t.Fatal(err)
			}
			d := newDriver(t, c, []string{"a"}, append(tt.opts, Bounded())...)
			d.until(func() bool { return d.restriction(0).Resolved })
			got := map[int32]int64{}
			total := 0
			for _, p := range d.restriction(0).Partitions {
				got[p.Num] = p.Next
				total += int(100 - p.Next)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
			d.until(func() bool { return false })
			if len(d.got) != total {
				t.Errorf("got %d records, want %d", len(d.got), total)
			}
			for _, r := range d.got {
				if r.Offset < tt.want[r.Partition] {
					t.Fatalf("partition %d: offset %d", r.Partition, r.Offset)
				}
			}
		})
	}
}

func TestFailedBundlesAreReplayedAndCommitsNeverAhead(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(3, "a"))
	cl := kclient(t, c)
	adm := kadm.NewClient(cl)
	produce(t, cl, "a", 3, 0, 2000)
	rnd := rand.New(rand.NewPCG(1, 2))
	d := newDriver(t, c, []string{"a"}, Group("g"), PartitionGroups(2), MaxRecords(150))
	applied := map[int32]int64{}
	for round := 0; len(d.got) < 6000; round++ {
		if round > 5000 {
			t.Fatalf("only %d records", len(d.got))
		}
		for i := range d.work {
			if rnd.IntN(20) == 0 { // the stage panics in the middle of a poll, as emitters do
				rt := d.fn.CreateTracker(d.restriction(i))
				n := 0
				func() {
					defer func() { recover() }()
					d.fn.ProcessElement(d.ctx, d.fn.CreateWatermarkEstimator(0), rt, nil, func(beam.EventTime, Record) {
						if n++; n > rnd.IntN(200) {
							panic("downstream")
						}
					})
				}()
				if rnd.IntN(2) == 0 {
					d.fn.Teardown()
					d.setup()
				}
			}
			fail := rnd.IntN(4) == 0
			d.bundle(i, func(rs []Record) error {
				if fail {
					return errors.New("sink")
				}
				for _, r := range rs {
					applied[r.Partition] = r.Offset + 1
				}
				return nil
			})
		}
		if round%5 == 0 {
			for p, o := range groupOffsets(t, adm, "g") {
				if o > applied[p] {
					t.Fatalf("partition %d: committed %d, but only %d applied", p, o, applied[p])
				}
			}
		}
	}
	checkSequences(t, d.got, 3, 0, 2000)
	d.drain()
	if diff := cmp.Diff(map[int32]int64{0: 2000, 1: 2000, 2: 2000}, groupOffsets(t, adm, "g")); diff != "" {
		t.Errorf("committed after drain: %s", diff)
	}
	next := newDriver(t, c, []string{"a"}, Group("g"), Bounded())
	next.until(func() bool { return false })
	if len(next.got) > 0 {
		t.Errorf("the next job read %d records again", len(next.got))
	}
}

func TestLatestIsKeptWhenTheFirstBundleFails(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 1, 0, 10)
	d := newDriver(t, c, []string{"a"}, StartAt(Latest()))
	d.until(func() bool { return d.restriction(0).Resolved })
	produce(t, cl, "a", 1, 10, 10)
	for n := 0; n == 0; {
		d.bundle(0, func(rs []Record) error { n = len(rs); return errors.New("sink") })
	}
	d.until(d.count(10))
	checkSequences(t, d.got, 1, 10, 20)
}

func TestBundleLimits(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 1, 0, 3000)
	t.Run("records", func(t *testing.T) {
		d := newDriver(t, c, []string{"a"}, MaxRecords(70), MaxDelay(time.Hour))
		for len(d.got) < 3000 {
			n, err := d.bundle(0, nil)
			if err != nil || n > 70 {
				t.Fatalf("bundle of %d, %v", n, err)
			}
		}
	})
	t.Run("delay", func(t *testing.T) {
		d := newDriver(t, c, []string{"a"}, MaxRecords(1<<30), MaxDelay(time.Nanosecond))
		for len(d.got) < 3000 {
			n, err := d.bundle(0, nil)
			if err != nil || n > 2*pollRecords {
				t.Fatalf("bundle of %d, %v", n, err)
			}
		}
	})
}

func TestResumeReadsOnFromTheBuffer(t *testing.T) {
	k, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 1, 0, 1000)
	d := newDriver(t, c, []string{"a"}, MaxRecords(50), Refresh(time.Hour))
	d.until(d.count(100))
	con := d.fn.shared[0]
	session := con.s
	seen := k.Fault(kfake.Fault{Observe: true, Count: -1, When: fetchesFrom(0)})
	d.until(d.count(900))
	if con.s != session || seen.Hits() > 0 {
		t.Errorf("the client was changed (%v) or fetched %d times again", con.s != session, seen.Hits())
	}
	checkSequences(t, d.got, 1, 0, 900)
}

func TestIdleConsumerIsClosedAndOpenedAgain(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 1, 0, 10)
	d := newDriver(t, c, []string{"a"}, IdleClose(30*time.Millisecond), Refresh(10*time.Millisecond), MaxRecords(3), Group("g"))
	d.until(d.count(6))
	con := d.fn.shared[0]
	for open := true; open; time.Sleep(5 * time.Millisecond) {
		con.turn <- struct{}{}
		open = con.s != nil
		<-con.turn
	}
	d.until(d.count(10))
	checkSequences(t, d.got, 1, 0, 10)
}

func TestSplitWhileRunningYields(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	d := newDriver(t, c, []string{"a"}, PollWait(time.Hour))
	d.until(func() bool { return d.restriction(0).Resolved })
	rt := d.fn.CreateTracker(d.restriction(0))
	done := make(chan error)
	go func() {
		cont, err := d.fn.ProcessElement(d.ctx, d.fn.CreateWatermarkEstimator(0), rt, nil, func(beam.EventTime, Record) {})
		if err == nil && !cont.ShouldResume() {
			err = errors.New("no resumption")
		}
		done <- err
	}()
	for {
		if _, residual, err := rt.TrySplit(0.5); residual != nil || err != nil {
			t.Errorf("split at 0.5: %v, %v", residual, err)
		}
		rt.mu.Lock()
		running := rt.running
		rt.mu.Unlock()
		if running {
			break
		}
	}
	if _, residual, err := rt.TrySplit(0); residual != nil || err != nil {
		t.Errorf("split at 0 in a running bundle: %v, %v", residual, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, residual, err := rt.TrySplit(0); residual == nil || err != nil {
		t.Errorf("self-checkpoint: %v, %v", residual, err)
	}
}

func TestWatermark(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(2, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 2, 0, 100)
	d := newDriver(t, c, []string{"a"}, MaxRecords(20), OutOfOrder(time.Second), Refresh(10*time.Millisecond))
	for len(d.got) < 200 {
		if _, err := d.bundle(0, nil); err != nil {
			t.Fatal(err)
		}
		low := int64(1 << 62)
		for _, p := range d.restriction(0).Partitions {
			if p.Next < 100 {
				low = min(low, p.Time)
			}
		}
		if low < 1<<62 && d.work[0].wm > max(low-1000, -1<<52) {
			t.Fatalf("watermark %d, but a partition stands at %d", d.work[0].wm, low)
		}
	}
	before := time.Now().UnixMilli()
	d.until(func() bool { return d.work[0].wm >= before-1000 }) // idle: goes with the clock
}

func TestEmptyGroupOfPartitions(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 1, 0, 10)
	d := newDriver(t, c, []string{"a"}, PartitionGroups(2), OutOfOrder(0))
	d.until(d.count(10))
	d.until(func() bool { return min(d.work[0].wm, d.work[1].wm) > epoch0 })
	d.drain()
}
