package direct_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/kafkaio"
)

func init() {
	register.DoFn3x1[context.Context, kafkaio.Record, func(kafkaio.Message), error](&copyFn{})
	register.Emitter1[kafkaio.Message]()
}

// copyFn sends what it reads to another topic, and asks the hook first.
type copyFn struct{ Sandbox, To string }

func (f *copyFn) ProcessElement(ctx context.Context, r kafkaio.Record, emit func(kafkaio.Message)) error {
	if err := find(f.Sandbox).hook(ctx, int(r.Offset)); err != nil {
		return err
	}
	emit(kafkaio.Message{Topic: f.To, Key: r.Key, Value: r.Value})
	return nil
}

// TestKafka copies a topic through kafkaio.Read, a DoFn that fails now and then, and kafkaio.Write, all fused; drains; and
// goes on in a second job where the first stopped.
func TestKafka(t *testing.T) {
	const perRound = 3000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "in", "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	name, box := newSandbox(t)
	var n atomic.Int64
	box.hook = func(context.Context, int) error {
		if n.Add(1)%1001 == 0 {
			return errFlaky
		}
		return nil
	}
	client := kafkaio.Client{Brokers: cluster.ListenAddrs()}
	var want []string
	for round := range 2 {
		p, s := beam.NewPipelineWithRoot()
		records := kafkaio.Read(s, client, []string{"in"}, kafkaio.Group("copy"), kafkaio.PartitionGroups(2),
			kafkaio.MaxRecords(200), kafkaio.IdleClose(100*time.Millisecond))
		kafkaio.Write(s, client, beam.ParDo(s, &copyFn{Sandbox: name, To: "out"}, records))
		e := start(t, p, fast)
		for i := range perRound {
			v := fmt.Sprintf("%d/%04d", round, i)
			want = append(want, v)
			producer.Produce(t.Context(), &kgo.Record{Key: []byte(v), Value: []byte(v)}, nil)
		}
		if err := producer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "everything is copied", func() bool { return len(slices.Compact(readAll(t, cluster, "out"))) == len(want) })
		began := n.Load()
		if err := e.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round == 1 && began > 3*perRound {
			t.Errorf("%d records passed for %d: the second job began from the start", began, 2*perRound)
		}
	}
	if diff := cmp.Diff(want, slices.Compact(readAll(t, cluster, "out"))); diff != "" {
		t.Errorf("copied (-want +got):\n%s", diff)
	}
}

// readAll returns the values in a topic, sorted. Bundles that were run again wrote theirs again.
func readAll(t *testing.T, cluster *kfake.Cluster, topic string) []string {
	t.Helper()
	var out []string
	for part := range int32(4) {
		info := cluster.PartitionInfo(topic, part)
		cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.FetchMaxWait(50*time.Millisecond),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {part: kgo.NewOffset().AtStart()}}))
		if err != nil {
			t.Fatal(err)
		}
		for n := int64(0); n < info.HighWatermark; {
			fs := cl.PollFetches(t.Context())
			if err := fs.Err(); err != nil {
				t.Fatal(err)
			}
			fs.EachRecord(func(r *kgo.Record) { out = append(out, string(r.Value)); n = r.Offset + 1 })
		}
		cl.Close()
	}
	slices.Sort(out)
	return out
}
