package runner

import (
	"context"
	"math"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn3x1[*sdf.LockRTracker, int, func(int), sdf.ProcessContinuation](&tickFn{})
	register.DoFn2x0[int, func(int)](&sameFn{})
	register.DoFn2x0[int, func(int, int)](&keyFn{})
	register.DoFn2x0[int, func(int)](&rangeFn{})
	register.DoFn1x0[int](&sinkFn{})
	register.DoFn2x0[int, int](&pairFn{})
	register.DoFn2x0[int, func(*int) bool](&groupFn{})
	register.Emitter1[int]()
	register.Emitter2[int, int]()
	register.Iter1[int]()
}

// How many there are of each in a measurement.
const (
	bundles  = 50_000
	elements = 1_000_000
	keys     = 100
)

// micro measures single things on the direct runner, each as the best of three, for others only ever make it slower.
func (r *run) micro(ctx context.Context) error {
	r.say("single things on the direct runner")
	for _, m := range []struct {
		to    *float64
		n     int
		build func(beam.Scope)
	}{
		{&r.report.Micro.Bundle, bundles, func(s beam.Scope) {
			c := beam.ParDo(s, &tickFn{Total: bundles}, beam.CreateList(s, []int{0}))
			for range 3 {
				c = beam.ParDo(s, &sameFn{}, c)
			}
			beam.ParDo0(s, &sinkFn{}, c)
		}},
		{&r.report.Micro.GroupByKey, elements, func(s beam.Scope) {
			c := beam.ParDo(s, &keyFn{}, beam.ParDo(s, &rangeFn{}, beam.CreateList(s, []int{elements})))
			beam.ParDo0(s, &groupFn{}, beam.GroupByKey(s, c))
		}},
		{&r.report.Micro.CombinePerKey, elements, func(s beam.Scope) {
			c := beam.ParDo(s, &keyFn{}, beam.ParDo(s, &rangeFn{}, beam.CreateList(s, []int{elements})))
			beam.ParDo0(s, &pairFn{}, stats.SumPerKey(s, c))
		}},
	} {
		best := math.Inf(1)
		for range 3 {
			p, s := beam.NewPipelineWithRoot()
			m.build(s)
			began := time.Now()
			if _, err := direct.Run(ctx, p, direct.Options{}); err != nil {
				return err
			}
			best = min(best, float64(time.Since(began).Microseconds())/float64(m.n))
		}
		*m.to = best
	}
	r.say("  bundle of one %.1f us, GroupByKey %.2f us, CombinePerKey %.2f us", r.report.Micro.Bundle, r.report.Micro.GroupByKey, r.report.Micro.CombinePerKey)
	return nil
}

// tickFn is a source that yields after each element.
type tickFn struct{ Total int64 }

// CreateInitialRestriction returns the whole range.
func (f *tickFn) CreateInitialRestriction(int) offsetrange.Restriction {
	return offsetrange.Restriction{End: f.Total}
}

// SplitRestriction does not split.
func (*tickFn) SplitRestriction(_ int, r offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{r}
}

// RestrictionSize returns how many elements are left.
func (*tickFn) RestrictionSize(_ int, r offsetrange.Restriction) float64 { return r.Size() }

// CreateTracker returns a tracker.
func (*tickFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}

// ProcessElement emits one element.
func (*tickFn) ProcessElement(rt *sdf.LockRTracker, _ int, emit func(int)) sdf.ProcessContinuation {
	at := rt.GetRestriction().(offsetrange.Restriction).Start
	if !rt.TryClaim(at) {
		return sdf.StopProcessing()
	}
	emit(int(at))
	return sdf.ResumeProcessingIn(0)
}

type sameFn struct{}

// ProcessElement passes a number on.
func (*sameFn) ProcessElement(v int, emit func(int)) { emit(v) }

type keyFn struct{}

// ProcessElement gives a number a key.
func (*keyFn) ProcessElement(v int, emit func(int, int)) { emit(v%keys, v) }

type rangeFn struct{}

// ProcessElement emits the numbers below.
func (*rangeFn) ProcessElement(n int, emit func(int)) {
	for i := range n {
		emit(i)
	}
}

type sinkFn struct{}

// ProcessElement does nothing.
func (*sinkFn) ProcessElement(int) {}

type pairFn struct{}

// ProcessElement does nothing.
func (*pairFn) ProcessElement(int, int) {}

type groupFn struct{}

// ProcessElement looks at a group.
func (*groupFn) ProcessElement(_ int, values func(*int) bool) {
	for v := 0; values(&v); {
	}
}
