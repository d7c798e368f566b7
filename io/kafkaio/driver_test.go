package kafkaio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreAnyFunction("testing.(*F).Fuzz.func1")); err != nil {
			fmt.Fprintln(os.Stderr, "kafkaio: goroutines left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// driver runs the splittable DoFn like a runner does: initial restriction, split, bundles until each checkpoints
// itself, residuals resumed, failed bundles replayed from the same restriction by a new DoFn.
type driver struct {
	t       testing.TB
	ctx     context.Context
	config  []byte
	fn      *readFn
	work    []work
	got     []Record // of the bundles that succeeded
	bundles int
}

// work is a restriction as the runner keeps it, encoded, and its watermark.
type work struct {
	rest []byte
	wm   int64
}

func newDriver(t testing.TB, c Client, topics []string, opts ...ReadOption) *driver {
	t.Helper()
	cfg, err := newReadConfig(c, topics, append([]ReadOption{PollWait(20 * time.Millisecond), Refresh(50 * time.Millisecond), CommitInterval(time.Millisecond)}, opts...))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(&readFn{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{t: t, ctx: metrics.SetBundleID(t.Context(), "test"), config: b}
	d.setup()
	t.Cleanup(func() { d.fn.Teardown() })
	for _, r := range d.fn.SplitRestriction(nil, d.fn.CreateInitialRestriction(nil)) {
		d.work = append(d.work, work{encodeRestriction(r), d.fn.InitialWatermarkEstimatorState(beam.EventTime(-1<<52), r, nil)})
	}
	return d
}

func (d *driver) setup() {
	d.fn = &readFn{}
	if err := json.Unmarshal(d.config, d.fn); err != nil {
		d.t.Fatal(err)
	}
	if err := d.fn.Setup(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) restriction(i int) restriction {
	r, err := decodeRestriction(d.work[i].rest)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// bundle runs one bundle of restriction i. The error of the source, or of after (the rest of the fused stage), fails it.
func (d *driver) bundle(i int, after func([]Record) error) (n int, err error) {
	d.bundles++
	rt := d.fn.CreateTracker(d.restriction(i))
	we := d.fn.CreateWatermarkEstimator(d.work[i].wm)
	var out []Record
	defer func() {
		if err != nil { // nothing of a failed bundle is kept, its DoFns neither
			d.fn.Teardown()
			d.setup()
		}
	}()
	cont, err := d.fn.ProcessElement(d.ctx, we, rt, nil, func(_ beam.EventTime, r Record) { out = append(out, r) })
	if err != nil {
		return 0, err
	}
	var rest *work
	if cont.ShouldResume() {
		_, residual, err := rt.TrySplit(0)
		if err != nil || residual == nil {
			d.t.Fatalf("self-checkpoint: residual %v, error %v", residual, err)
		}
		rest = &work{encodeRestriction(residual.(restriction)), d.fn.WatermarkEstimatorState(we)}
	}
	if !rt.IsDone() {
		d.t.Fatal("the primary restriction is not done after the bundle")
	}
	if after != nil {
		if err := after(out); err != nil {
			return 0, err
		}
	}
	d.got = append(d.got, out...)
	if rest == nil {
		d.work = append(d.work[:i], d.work[i+1:]...)
	} else {
		if rest.wm < d.work[i].wm {
			d.t.Fatal("the watermark went back")
		}
		d.work[i] = *rest
	}
	return len(out), nil
}

// until runs bundles of all restrictions in turn until done says so or nothing is left.
func (d *driver) until(done func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !done() && len(d.work) > 0 {
		for i := len(d.work) - 1; i >= 0; i-- {
			if _, err := d.bundle(i, nil); err != nil {
				d.t.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("still not done after %d bundles and %d records", d.bundles, len(d.got))
		}
	}
}

// failure runs bundles until one fails.
func (d *driver) failure() error {
	d.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		for i := len(d.work) - 1; i >= 0; i-- {
			if _, err := d.bundle(i, nil); err != nil {
				return err
			}
		}
		if len(d.work) == 0 {
			break
		}
	}
	d.t.Fatalf("no error after %d bundles and %d records", d.bundles, len(d.got))
	return nil
}

func (d *driver) count(n int) func() bool { return func() bool { return len(d.got) >= n } }

// drain ends all restrictions as a runner does in a drain.
func (d *driver) drain() {
	d.t.Helper()
	for i := range d.work {
		rt := d.fn.CreateTracker(d.restriction(i))
		d.work[i].rest = encodeRestriction(d.fn.TruncateRestriction(rt, nil))
	}
	n := d.bundles + len(d.work)
	d.until(func() bool { return false })
	if d.bundles > n {
		d.t.Errorf("drain took %d bundles too many", d.bundles-n)
	}
}

func cluster(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, Client) {
	t.Helper()
	k, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k, Client{Brokers: k.ListenAddrs()}
}

func kclient(t testing.TB, c Client, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := c.connect(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MetadataMinAge(100 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

const epoch0 = 1_700_000_000_000 // ms; record n of a partition is stamped epoch0 + n

// produce appends n records to each of the partitions 0..parts-1; the value is "partition/sequence".
func produce(t testing.TB, cl *kgo.Client, topic string, parts, from, n int) {
	t.Helper()
	var rs []*kgo.Record
	for i := from; i < from+n; i++ {
		for p := range parts {
			rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(p), Key: []byte{byte(i)}, Value: fmt.Appendf(nil, "%d/%d", p, i),
				Timestamp: time.UnixMilli(epoch0 + int64(i))})
		}
	}
	if err := cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// checkSequences fails unless each partition delivered exactly from..to-1, in order.
func checkSequences(t testing.TB, got []Record, parts, from, to int) {
	t.Helper()
	next := map[int32]int{}
	for _, r := range got {
		if _, ok := next[r.Partition]; !ok {
			next[r.Partition] = from
		}
		if want := fmt.Sprintf("%d/%d", r.Partition, next[r.Partition]); string(r.Value) != want {
			t.Fatalf("partition %d offset %d: got %s, want %s", r.Partition, r.Offset, r.Value, want)
		}
		next[r.Partition]++
	}
	for p := range parts {
		if next[int32(p)] != to && to > from {
			t.Fatalf("partition %d: got up to %d, want %d", p, next[int32(p)], to)
		}
	}
}

func groupOffsets(t testing.TB, adm *kadm.Client, group string) map[int32]int64 {
	t.Helper()
	o, err := adm.FetchOffsets(t.Context(), group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	out := map[int32]int64{}
	o.Each(func(r kadm.OffsetResponse) { out[r.Partition] = r.At })
	return out
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
