package kafkaio

import (
	"context"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const backlog = 400_000

func benchCluster(b *testing.B) Client {
	b.Helper()
	_, c := cluster(b, kfake.SeedTopics(4, "a"))
	cl := kclient(b, c, kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(1<<20))
	value := make([]byte, 200)
	for i := range backlog {
		cl.Produce(b.Context(), &kgo.Record{Topic: "a", Partition: int32(i % 4), Key: []byte("user_id:7"), Value: value,
			Headers: []kgo.RecordHeader{{Key: "received", Value: []byte("1700000000000")}}}, nil)
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkDrain reads a backlog through the source alone, bundle by bundle.
func BenchmarkDrain(b *testing.B) {
	c := benchCluster(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		d := newDriver(b, c, []string{"a"}, Group("g"), StartAt(Earliest()), MaxRecords(2000), Refresh(5*time.Second))
		var n int
		var sum int
		var sink any
		for n < backlog {
			rt := d.fn.CreateTracker(d.restriction(0))
			we := d.fn.CreateWatermarkEstimator(d.work[0].wm)
			if _, err := d.fn.ProcessElement(d.ctx, we, rt, nil, func(_ beam.EventTime, r Record) {
				n++
				sum += len(r.Value)
				sink = r // what an emitter does
			}); err != nil {
				b.Fatal(err)
			}
			_, residual, _ := rt.TrySplit(0)
			d.work[0].rest = encodeRestriction(residual.(restriction))
			d.bundles++
		}
		_, _ = sum, sink
		d.fn.Teardown()
		d.setup()
	}
	b.ReportMetric(float64(backlog)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkBare reads the same with a franz-go loop.
func BenchmarkBare(b *testing.B) {
	c := benchCluster(b)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		cl, err := c.connect(kgo.ConsumeTopics("a"), kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(4<<20))
		if err != nil {
			b.Fatal(err)
		}
		var n, sum int
		for n < backlog {
			fs := cl.PollRecords(context.Background(), 2000)
			fs.EachRecord(func(r *kgo.Record) {
				n++
				sum += len(r.Value)
			})
		}
		_ = sum
		cl.Close()
	}
	b.ReportMetric(float64(backlog)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
