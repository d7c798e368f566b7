package direct_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn2x0[int, func(*int) bool](&seeFn{})
	register.DoFn2x0[int, int](&seeOneFn{})
	register.DoFn2x0[int, []int](&seeSliceFn{})
	register.DoFn2x0[int, func(int) func(*int) bool](&lookUpFn{})
	register.DoFn3x0[beam.Window, int, func(*int) bool](&seeWindowFn{})
	register.DoFn4x1[*sdf.LockRTracker, int, func(*int) bool, func(int), error](&sideRangeFn{})
}

type seeFn struct{ Sandbox string }

func (f *seeFn) ProcessElement(v int, side func(*int) bool) {
	find(f.Sandbox).call("%d: %v", v, drain(side))
}

func drain(next func(*int) bool) (vs []int) {
	for v := 0; next(&v); {
		vs = append(vs, v)
	}
	slices.Sort(vs)
	return vs
}

type seeOneFn struct{ Sandbox string }

func (f *seeOneFn) ProcessElement(v, side int) { find(f.Sandbox).call("%d: %d", v, side) }

type seeSliceFn struct{ Sandbox string }

func (f *seeSliceFn) ProcessElement(v int, side []int) {
	find(f.Sandbox).call("%d: %v", v, slices.Sorted(slices.Values(side)))
}

type lookUpFn struct{ Sandbox string }

func (f *lookUpFn) ProcessElement(v int, side func(int) func(*int) bool) {
	find(f.Sandbox).call("%d: %v", v, drain(side(v)))
}

type seeWindowFn struct{ Sandbox string }

func (f *seeWindowFn) ProcessElement(w beam.Window, v int, side func(*int) bool) {
	find(f.Sandbox).call("%s %d: %v", seconds(w), v, drain(side))
}

// sideRangeFn is a bounded splittable DoFn with a side input.
type sideRangeFn struct{ Total int64 }

func (f *sideRangeFn) CreateInitialRestriction(int) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: f.Total}
}
func (f *sideRangeFn) SplitRestriction(_ int, r offsetrange.Restriction) []offsetrange.Restriction {
	return r.EvenSplits(2)
}
func (f *sideRangeFn) RestrictionSize(_ int, r offsetrange.Restriction) float64 { return r.Size() }
func (f *sideRangeFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}
func (f *sideRangeFn) ProcessElement(rt *sdf.LockRTracker, _ int, side func(*int) bool, emit func(int)) error {
	vs := drain(side)
	for i := rt.GetRestriction().(offsetrange.Restriction).Start; rt.TryClaim(i); i++ {
		for _, v := range vs {
			emit(100*v + int(i))
		}
	}
	return nil
}

func TestSideInputs(t *testing.T) {
	tests := []struct {
		name  string
		build func(s beam.Scope, name string, main, side beam.PCollection)
		want  []string
	}{
		{"iterable", func(s beam.Scope, name string, main, side beam.PCollection) {
			beam.ParDo0(s, &seeFn{name}, main, beam.SideInput{Input: side})
		}, []string{"0: [10 11 12]", "1: [10 11 12]", "2: [10 11 12]"}},
		{"slice", func(s beam.Scope, name string, main, side beam.PCollection) {
			beam.ParDo0(s, &seeSliceFn{name}, main, beam.SideInput{Input: side})
		}, []string{"0: [10 11 12]", "1: [10 11 12]", "2: [10 11 12]"}},
		{"empty", func(s beam.Scope, name string, main, side beam.PCollection) {
			beam.ParDo0(s, &seeFn{name}, main, beam.SideInput{Input: beam.CreateList(s, []int{})})
		}, []string{"0: []", "1: []", "2: []"}},
		{"singleton", func(s beam.Scope, name string, main, side beam.PCollection) {
			beam.ParDo0(s, &seeOneFn{name}, main, beam.SideInput{Input: stats.Sum(s, side)})
		}, []string{"0: 33", "1: 33", "2: 33"}},
		{"multimap", func(s beam.Scope, name string, main, side beam.PCollection) {
			beam.ParDo0(s, &lookUpFn{name}, main, beam.SideInput{Input: beam.ParDo(s, &keyFn{2}, side)})
		}, []string{"0: [10 12]", "1: [11]", "2: []"}},
		{"of itself", func(s beam.Scope, name string, main, _ beam.PCollection) {
			beam.ParDo0(s, &seeFn{name}, main, beam.SideInput{Input: main})
		}, []string{"0: [0 1 2]", "1: [0 1 2]", "2: [0 1 2]"}},
		{"flattened and reshuffled", func(s beam.Scope, name string, main, side beam.PCollection) {
			beam.ParDo0(s, &seeFn{name}, beam.Reshuffle(s, main), beam.SideInput{Input: beam.Reshuffle(s, beam.Flatten(s, side, main))})
		}, []string{"0: [0 1 2 10 11 12]", "1: [0 1 2 10 11 12]", "2: [0 1 2 10 11 12]"}},
		{"of a splittable DoFn", func(s beam.Scope, name string, main, side beam.PCollection) {
			c := beam.ParDo(s, &sideRangeFn{4}, beam.CreateList(s, []int{0}), beam.SideInput{Input: side})
			beam.ParDo0(s, &seeOneFn{name}, beam.CreateList(s, []int{0}), beam.SideInput{Input: stats.Sum(s, c)})
		}, []string{fmt.Sprintf("0: %d", 4*3300+3*6)}},
		{"windowed", func(s beam.Scope, name string, main, side beam.PCollection) {
			w := window.NewFixedWindows(2 * time.Second)
			m := beam.WindowInto(s, w, beam.ParDo(s, &stampFn{}, beam.Flatten(s, main, side)))
			big := beam.WindowInto(s, window.NewFixedWindows(12*time.Second), beam.ParDo(s, &stampFn{}, beam.Flatten(s, main, side)))
			beam.ParDo0(s, &seeWindowFn{name}, m, beam.SideInput{Input: big})
		}, []string{"0-2 0: [0 1 2 10 11]", "0-2 1: [0 1 2 10 11]", "10-12 10: [0 1 2 10 11]", "10-12 11: [0 1 2 10 11]",
			"12-14 12: [12]", "2-4 2: [0 1 2 10 11]"}},
		{"windowed by sliding windows", func(s beam.Scope, name string, main, side beam.PCollection) {
			m := beam.WindowInto(s, window.NewSlidingWindows(2*time.Second, 4*time.Second), beam.ParDo(s, &stampFn{}, main))
			beam.ParDo0(s, &seeWindowFn{name}, m, beam.SideInput{Input: m})
		}, []string{"-2-2 0: [0 1]", "-2-2 1: [0 1]", "0-4 0: [0 1 2]", "0-4 1: [0 1 2]", "0-4 2: [0 1 2]", "2-6 2: [2]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, box := newSandbox(t)
			p, s := beam.NewPipelineWithRoot()
			tt.build(s, name, beam.CreateList(s, ints(0, 3)), beam.CreateList(s, ints(10, 13)))
			run(t, p, direct.Options{})
			if diff := cmp.Diff(tt.want, sorted(box.called())); diff != "" {
				t.Errorf("seen (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnboundedSideInput: an element waits until the watermark of the side input has passed its window, not for ever.
func TestUnboundedSideInput(t *testing.T) {
	name, box := newSandbox(t)
	asked := make(chan struct{}, 1)
	open := make(chan struct{})
	box.hook = func(ctx context.Context, _ int) error {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-open:
		case <-ctx.Done():
		}
		return nil
	}
	w := window.NewFixedWindows(10 * time.Second)
	p, s := beam.NewPipelineWithRoot()
	main := beam.WindowInto(s, w, beam.ParDo(s, &stampFn{}, beam.CreateList(s, []int{3, 14})))
	side := beam.WindowInto(s, w, script(s, name, "1 11 2 gate w10 stop"))
	beam.ParDo0(s, &seeWindowFn{name}, main, beam.SideInput{Input: side})
	e := start(t, p, direct.Options{})
	<-asked
	if got := box.called(); len(got) > 0 {
		t.Errorf("%v before the side input is complete", got)
	}
	close(open)
	eventually(t, "the first window is complete", func() bool { return len(box.called()) > 0 })
	if diff := cmp.Diff([]string{"0-10 3: [1 2]"}, box.called()); diff != "" {
		t.Error(diff)
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0-10 3: [1 2]", "10-20 14: [11]"}, box.called()); diff != "" {
		t.Error(diff)
	}
}

// TestSideInputDoesNotBlockItsOwnSource: main and side input come from the same source, and the main input does not fit
// into its queue.
func TestSideInputDoesNotBlockItsOwnSource(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &rangeFn{Total: 300}, beam.CreateList(s, ints(0, 2)))
	beam.ParDo0(s, &seeOneFn{name}, c, beam.SideInput{Input: stats.Sum(s, beam.ParDo(s, &parityFn{}, c))})
	run(t, p, direct.Options{QueueBytes: 1, Workers: 1})
	if got := len(box.called()); got != 600 {
		t.Errorf("%d elements came through, want 600", got)
	}
}

func init() { register.DoFn2x0[int, func(int)](&parityFn{}) }

type parityFn struct{}

func (*parityFn) ProcessElement(v int, emit func(int)) { emit(v % 2) }
