package direct_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn3x1[context.Context, int, func(int), error](&meterFn{})
}

var (
	seen  = beam.NewCounter("test", "seen")
	sizes = beam.NewDistribution("test", "sizes")
	level = beam.NewGauge("test", "level")
)

// meterFn counts what it sees and then asks the hook, so that failed bundles count as well.
type meterFn struct{ Sandbox string }

func (f *meterFn) ProcessElement(ctx context.Context, v int, emit func(int)) error {
	seen.Inc(ctx, 1)
	sizes.Update(ctx, int64(v%1_000_000))
	level.Set(ctx, int64(v%1_000_000))
	emit(v)
	return find(f.Sandbox).hook(ctx, v)
}

func query(r metrics.Results) (count int64, dist metrics.DistributionValue, gauge int64, step string) {
	q := r.Query(func(metrics.SingleResult) bool { return true })
	for _, c := range q.Counters() {
		count, step = c.Result(), c.Transform()
	}
	for _, d := range q.Distributions() {
		dist = d.Result()
	}
	for _, g := range q.Gauges() {
		gauge = g.Result().Value
	}
	return count, dist, gauge, step
}

// TestMetrics: failed bundles do not count, and it does not matter how many plans there were.
func TestMetrics(t *testing.T) {
	name, box := newSandbox(t)
	var n atomic.Int64
	box.hook = func(context.Context, int) error {
		if n.Add(1)%13 == 0 {
			return errFlaky
		}
		return nil
	}
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: 100, PerBundle: 5}, beam.CreateList(s, ints(0, 3)))
	beam.ParDo(s.Scope("Meter"), &meterFn{Sandbox: name}, c)
	res := run(t, p, fast)
	count, dist, gauge, step := query(res.Metrics())
	if count != 300 || step != "Meter/direct_test.meterFn" || gauge != 99 {
		t.Errorf("count %d, gauge %d of %q; want 300, 99", count, gauge, step)
	}
	if want := (metrics.DistributionValue{Count: 300, Sum: 3 * 99 * 100 / 2, Min: 0, Max: 99}); dist != want {
		t.Errorf("distribution %+v, want %+v", dist, want)
	}
	if n.Load() <= 300 {
		t.Error("nothing failed")
	}
}

func TestMetricsWhileRunning(t *testing.T) {
	name, _ := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: math.MaxInt64, PerBundle: 5}, beam.CreateList(s, ints(0, 1)))
	beam.ParDo(s, &meterFn{Sandbox: name}, c)
	e := start(t, p, direct.Options{})
	eventually(t, "metrics of several bundles", func() bool {
		count, _, _, _ := query(e.Metrics())
		if count%5 != 0 {
			t.Fatalf("%d counted: a bundle that has not ended counts", count)
		}
		return count > 20
	})
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}
