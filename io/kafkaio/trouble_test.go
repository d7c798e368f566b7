package kafkaio

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchesFrom matches fetches that ask for an offset, that is, that went back to it.
func fetchesFrom(offset int64) func(kmsg.Request) bool {
	return func(r kmsg.Request) bool {
		fetch, ok := r.(*kmsg.FetchRequest)
		if !ok {
			return false
		}
		for _, t := range fetch.Topics {
			for _, p := range t.Partitions {
				if p.FetchOffset == offset {
					return true
				}
			}
		}
		return false
	}
}

func TestTruncatedLog(t *testing.T) {
	k, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 1, 0, 100)
	d := newDriver(t, c, []string{"a"}, Group("g"), MaxRecords(10))
	d.until(d.count(30))
	d.fn.Teardown() // the job stops; its group stands at 20 or 30
	if err := k.DeleteRecords("a", 0, 60); err != nil {
		t.Fatal(err)
	}
	d.setup()
	check := func(err error, group bool) {
		t.Helper()
		var oe *OffsetError
		if !errors.As(err, &oe) || oe.Topic != "a" || oe.Start != 60 || oe.End != 100 || oe.Position > 30 || oe.Position < 20 {
			t.Fatalf("got %v", err)
		}
		if group != strings.Contains(err.Error(), `"g"`) {
			t.Errorf("message %v", err)
		}
	}
	check(d.failure(), true)
	check(newDriver(t, c, []string{"a"}, Group("g")).failure(), true)
	check(newDriver(t, c, []string{"a"}, StartAt(Offsets(map[string]map[int32]int64{"a": {0: 25}}))).failure(), false)
	if len(d.got) != 30 {
		t.Errorf("%d records after the error", len(d.got))
	}

	set, err := SetOffsets(t.Context(), c, "g", []string{"a"}, Earliest())
	if err != nil || set["a"][0] != 60 {
		t.Fatalf("SetOffsets: %v, %v", set, err)
	}
	d = newDriver(t, c, []string{"a"}, Group("g"))
	d.until(d.count(40))
	checkSequences(t, d.got, 1, 60, 100)
}

func TestLogEndsBeforePosition(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	cl := kclient(t, c)
	produce(t, cl, "a", 1, 0, 10)
	d := newDriver(t, c, []string{"a"})
	d.until(d.count(10))
	r := d.restriction(0)
	r.Partitions[0].Next, r.Partitions[0].Epoch = 15, -1
	d.work[0].rest = encodeRestriction(r)
	var oe *OffsetError
	if err := d.failure(); !errors.As(err, &oe) || oe.Position != 15 || oe.End != 10 || !strings.Contains(err.Error(), "lost") {
		t.Fatalf("got %v", err)
	}
}

func TestTopicCreatedAgain(t *testing.T) {
	again := func(t *testing.T, k *kfake.Cluster) {
		t.Helper()
		if err := k.DeleteTopic("a"); err != nil {
			t.Fatal(err)
		}
		if err := k.CreateTopic("a", 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	start := func(t *testing.T) (*kfake.Cluster, Client, *driver) {
		k, c := cluster(t, kfake.SeedTopics(1, "a"))
		produce(t, kclient(t, c), "a", 1, 0, 20)
		d := newDriver(t, c, []string{"a"}, Group("g"), MaxRecords(5))
		d.until(d.count(20))
		return k, c, d
	}
	check := func(t *testing.T, err error) {
		t.Helper()
		var te *TopicError
		if !errors.As(err, &te) || te.Topic != "a" || te.Want == te.Got || te.Group != "g" || !strings.Contains(err.Error(), "SetOffsets") {
			t.Fatalf("got %v", err)
		}
	}
	t.Run("while running", func(t *testing.T) {
		k, c, d := start(t)
		again(t, k)
		produce(t, kclient(t, c), "a", 1, 100, 50)
		check(t, d.failure())
		checkSequences(t, d.got, 1, 0, 20)
	})
	t.Run("while the consumer was closed", func(t *testing.T) {
		k, c, d := start(t)
		d.fn.Teardown()
		again(t, k)
		produce(t, kclient(t, c), "a", 1, 100, 50)
		d.setup()
		check(t, d.failure())
		checkSequences(t, d.got, 1, 0, 20)
	})
	t.Run("between jobs", func(t *testing.T) {
		k, c, d := start(t)
		adm := kadm.NewClient(kclient(t, c))
		d.drain()
		d.fn.Teardown()
		saved, err := adm.FetchOffsets(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		again(t, k)
		produce(t, kclient(t, c), "a", 1, 100, 50)
		// Some brokers keep the offsets of deleted topics, by name.
		o := saved.Offsets()
		for _, ps := range o {
			for n, p := range ps {
				p.TopicID = kadm.TopicID{}
				ps[n] = p
			}
		}
		if err := kadm.NewClient(kclient(t, c)).CommitAllOffsets(t.Context(), "g", o); err != nil {
			t.Fatal(err)
		}
		check(t, newDriver(t, c, []string{"a"}, Group("g")).failure())
	})
}

func TestNewPartitionsWhileRunning(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(2, "a"))
	cl := kclient(t, c)
	adm := kadm.NewClient(cl)
	produce(t, cl, "a", 2, 0, 50)
	d := newDriver(t, c, []string{"a"}, PartitionGroups(2), StartAt(Latest()), Group("g"))
	for i := range d.work {
		for !d.restriction(i).Resolved {
			if _, err := d.bundle(i, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if resp, err := adm.CreatePartitions(t.Context(), 3, "a"); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	produce(t, kclient(t, c), "a", 5, 50, 50)
	d.until(d.count(250))
	checkSequences(t, d.got, 5, 50, 100)
	d.drain()
	if diff := cmp.Diff(map[int32]int64{0: 100, 1: 100, 2: 50, 3: 50, 4: 50}, groupOffsets(t, adm, "g")); diff != "" {
		t.Error(diff)
	}
}

func TestBrokerRestart(t *testing.T) {
	dir := t.TempDir()
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.SeedTopics(2, "a"))
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Brokers: k.ListenAddrs()}
	port := portOf(t, c.Brokers[0])
	produce(t, kclient(t, c), "a", 2, 0, 500)
	d := newDriver(t, c, []string{"a"}, Group("g"), MaxRecords(100))
	d.until(d.count(600))
	k.Close()
	got := len(d.got)
	for range 10 { // yields, without an error
		if _, err := d.bundle(0, nil); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records were still buffered", len(d.got)-got)
	k, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	produce(t, kclient(t, c), "a", 2, 500, 100)
	d.until(d.count(1200))
	checkSequences(t, d.got, 2, 0, 600)
	d.drain()
	if diff := cmp.Diff(map[int32]int64{0: 600, 1: 600}, groupOffsets(t, kadm.NewClient(kclient(t, c)), "g")); diff != "" {
		t.Error(diff)
	}
}

func TestBrokerGoneAtTheStart(t *testing.T) {
	dir := t.TempDir()
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	c := Client{Brokers: k.ListenAddrs()}
	port := portOf(t, c.Brokers[0])
	produce(t, kclient(t, c), "a", 1, 0, 10)
	k.Close()
	d := newDriver(t, c, []string{"a"})
	up := make(chan *kfake.Cluster)
	go func() {
		time.Sleep(300 * time.Millisecond)
		k, _ := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port))
		up <- k
	}()
	defer func() { (<-up).Close() }()
	d.until(d.count(10))
	checkSequences(t, d.got, 1, 0, 10)
}

func TestTopicThatComesLater(t *testing.T) {
	k, c := cluster(t)
	d := newDriver(t, c, []string{"a"})
	for range 3 {
		if _, err := d.bundle(0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, kclient(t, c), "a", 1, 0, 10)
	d.until(d.count(10))
}

func TestLeaderMoves(t *testing.T) {
	k, c := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(4, "a"))
	cl := kclient(t, c)
	d := newDriver(t, c, []string{"a"}, Group("g"), MaxRecords(100))
	for round := range 6 {
		produce(t, cl, "a", 4, round*100, 100)
		d.until(d.count(round*400 + 150))
		k.ShufflePartitionLeaders()
		k.RehashCoordinators()
		d.until(d.count((round + 1) * 400))
	}
	checkSequences(t, d.got, 4, 0, 600)
	d.drain()
	if diff := cmp.Diff(map[int32]int64{0: 600, 1: 600, 2: 600, 3: 600}, groupOffsets(t, kadm.NewClient(cl), "g")); diff != "" {
		t.Error(diff)
	}
}

func TestSlowAndFailedFetches(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition,
		kerr.ReplicaNotAvailable, kerr.OffsetOutOfRange, kerr.CorruptMessage, kerr.UnknownLeaderEpoch, kerr.FencedLeaderEpoch} {
		t.Run(e.Message, func(t *testing.T) {
			k, c := cluster(t, kfake.SeedTopics(2, "a"))
			cl := kclient(t, c)
			produce(t, cl, "a", 2, 0, 200)
			d := newDriver(t, c, []string{"a"}, MaxRecords(50))
			d.until(d.count(100))
			fault := k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "a", Partitions: []int32{1}, Err: e, Count: 3})
			produce(t, cl, "a", 2, 200, 200)
			d.until(d.count(800))
			checkSequences(t, d.got, 2, 0, 400)
			fault.Remove()
		})
	}
	t.Run("slow", func(t *testing.T) {
		k, c := cluster(t, kfake.SeedTopics(2, "a"))
		var n atomic.Int32
		k.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			k.KeepControl()
			if n.Add(1)%3 == 0 {
				time.Sleep(30 * time.Millisecond)
			}
			if n.Load()%5 == 0 {
				return nil, errors.New("cut off"), true
			}
			return nil, nil, false
		})
		cl := kclient(t, c)
		d := newDriver(t, c, []string{"a"}, MaxRecords(50))
		for i := range 5 {
			produce(t, cl, "a", 2, i*100, 100)
			d.until(d.count((i + 1) * 200))
		}
		checkSequences(t, d.got, 2, 0, 500)
	})
}

func TestCoordinatorNotAvailableIsNotOffsetZero(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnstableOffsetCommit} {
		t.Run(e.Message, func(t *testing.T) {
			k, c := cluster(t, kfake.SeedTopics(2, "a"))
			cl := kclient(t, c)
			produce(t, cl, "a", 2, 0, 100)
			if _, err := SetOffsets(t.Context(), c, "g", []string{"a"}, Offsets(map[string]map[int32]int64{"a": {0: 90, 1: 90}})); err != nil {
				t.Fatal(err)
			}
			k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, TopLevel: true, Err: e, Count: 2}, kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: e, Count: 2})
			k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: e, Count: 3})
			d := newDriver(t, c, []string{"a"}, Group("g"))
			d.until(d.count(20))
			checkSequences(t, d.got, 2, 90, 100)
			d.drain()
			if diff := cmp.Diff(map[int32]int64{0: 100, 1: 100}, groupOffsets(t, kadm.NewClient(cl), "g")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBoundedReadOverControlRecords(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(1, "a"))
	for _, tt := range []struct {
		name   string
		opts   []ReadOption
		commit kgo.TransactionEndTry
		want   int
	}{
		{"committed", []ReadOption{ReadCommitted()}, kgo.TryCommit, 10},
		{"aborted, hidden", []ReadOption{ReadCommitted()}, kgo.TryAbort, 10},
		{"aborted, seen", nil, kgo.TryAbort, 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tx := kclient(t, c, kgo.TransactionalID(tt.name))
			if err := tx.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			produce(t, tx, "a", 1, 0, 10)
			if err := tx.EndTransaction(t.Context(), tt.commit); err != nil {
				t.Fatal(err)
			}
			d := newDriver(t, c, []string{"a"}, append(tt.opts, Bounded())...)
			d.until(func() bool { return false })
			if len(d.got) != tt.want {
				t.Errorf("got %d records, want %d", len(d.got), tt.want)
			}
		})
	}
}

func TestBoundedReadOverCompactedEnd(t *testing.T) {
	k, c := cluster(t)
	if err := k.CreateTopic("a", 1, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "0", "min.cleanable.dirty.ratio": "0", "segment.bytes": "200"}); err != nil {
		t.Fatal(err)
	}
	cl := kclient(t, c)
	for i := range 20 {
		key := []byte("k")
		if i == 0 {
			key = []byte("keep")
		}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Key: key, Value: []byte{byte(i)}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	d := newDriver(t, c, []string{"a"}, Bounded())
	d.until(func() bool { return d.restriction(0).Resolved })
	for range 3 { // a tombstone behind the end takes the place of the records before it
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Key: []byte("k")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		k.Compact()
	}
	d.until(func() bool { return false })
	if len(d.got) != 1 || d.got[0].Offset != 0 {
		t.Errorf("got %v", d.got)
	}
}
