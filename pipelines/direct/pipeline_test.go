package direct_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/pipelines/direct"
)

// TestPipelines runs whole pipelines; each ends in a Reshuffle, so that the collector sees committed elements only.
func TestPipelines(t *testing.T) {
	tests := []struct {
		name  string
		build func(s beam.Scope) beam.PCollection
		want  []int
	}{
		{"create", func(s beam.Scope) beam.PCollection { return beam.CreateList(s, ints(0, 5)) }, ints(0, 5)},
		{"create nothing", func(s beam.Scope) beam.PCollection { return beam.CreateList(s, []int{}) }, nil},
		{"fused chain", func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &tripleFn{}, beam.ParDo(s, &tripleFn{}, beam.CreateList(s, ints(0, 10))))
		}, ints(0, 90)},
		{"chain across reshuffles", func(s beam.Scope) beam.PCollection {
			c := beam.CreateList(s, ints(0, 10))
			for range 4 {
				c = beam.Reshuffle(s, beam.ParDo(s, &tripleFn{}, c))
			}
			return c
		}, ints(0, 810)},
		{"many blocks", func(s beam.Scope) beam.PCollection {
			c := beam.CreateList(s, ints(0, 100))
			for range 6 {
				c = beam.ParDo(s, &tripleFn{}, c)
			}
			return beam.ParDo(s, &tripleFn{}, beam.Reshuffle(s, c))
		}, ints(0, 218_700)},
		{"several outputs", func(s beam.Scope) beam.PCollection {
			even, odd := beam.ParDo2(s, &partFn{}, beam.CreateList(s, ints(0, 10)))
			beam.ParDo(s, &tripleFn{}, odd)
			return even
		}, []int{0, 2, 4, 6, 8}},
		{"several outputs, each used twice", func(s beam.Scope) beam.PCollection {
			even, odd := beam.ParDo2(s, &partFn{}, beam.CreateList(s, ints(0, 4)))
			return beam.Flatten(s, odd, beam.Reshuffle(s, even), even, beam.ParDo(s, &tripleFn{}, odd))
		}, []int{0, 0, 1, 2, 2, 3, 3, 4, 5, 9, 10, 11}},
		{"flatten of a collection with itself", func(s beam.Scope) beam.PCollection {
			c := beam.CreateList(s, ints(0, 3))
			return beam.Flatten(s, c, c)
		}, []int{0, 0, 1, 1, 2, 2}},
		{"flatten of flatten", func(s beam.Scope) beam.PCollection {
			a, b, c := beam.CreateList(s, ints(0, 3)), beam.CreateList(s, ints(3, 6)), beam.CreateList(s, ints(6, 9))
			return beam.Flatten(s, beam.Reshuffle(s, beam.Flatten(s, a, b)), c)
		}, ints(0, 9)},
		{"windows", func(s beam.Scope) beam.PCollection {
			return beam.WindowInto(s, window.NewSlidingWindows(time.Second, 2*time.Second), beam.CreateList(s, ints(0, 5)))
		}, ints(0, 5)},
		{"bounded splittable", func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &rangeFn{Total: 1000}, beam.CreateList(s, ints(0, 20)))
		}, streams(20, 1000)},
		{"unbounded splittable that ends", func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &streamFn{Total: 500, PerBundle: 7}, beam.CreateList(s, ints(0, 20)))
		}, streams(20, 500)},
		{"splittable with resume delay", func(s beam.Scope) beam.PCollection {
			return beam.ParDo(s, &streamFn{Total: 10, PerBundle: 3, Delay: time.Millisecond}, beam.CreateList(s, ints(0, 3)))
		}, streams(3, 10)},
		{"splittable in fixed windows", func(s beam.Scope) beam.PCollection {
			c := beam.WindowInto(s, window.NewFixedWindows(time.Second), beam.CreateList(s, ints(0, 3)))
			return beam.ParDo(s, &streamFn{Total: 50, PerBundle: 3}, c)
		}, streams(3, 50)},
		{"splittable behind splittable", func(s beam.Scope) beam.PCollection {
			c := beam.ParDo(s, &rangeFn{Total: 2}, beam.CreateList(s, []int{0}))
			return beam.ParDo(s, &streamFn{Total: 20, PerBundle: 3}, c)
		}, streams(2, 20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, box := newSandbox(t)
			p, s := beam.NewPipelineWithRoot()
			beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, tt.build(s)))
			run(t, p, direct.Options{})
			if diff := cmp.Diff(tt.want, box.values()); diff != "" {
				t.Errorf("collected (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunsUnderItsNameInBeam(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.CreateList(s, ints(0, 5)))
	if _, err := beam.Run(t.Context(), direct.Name, p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ints(0, 5), box.values()); diff != "" {
		t.Error(diff)
	}
}

// TestLifecycle follows two fused DoFns through their calls: FinishBundle of the first comes before that of the second,
// which still gets what the first emits there.
func TestLifecycle(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.Reshuffle(s, beam.CreateList(s, []int{5}))
	c = beam.ParDo(s, &hookFn{Sandbox: name, Name: "a", AtFinish: 99}, c)
	c = beam.ParDo(s, &hookFn{Sandbox: name, Name: "b"}, c)
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
	run(t, p, direct.Options{})
	if diff := cmp.Diff([]int{5, 99}, box.values()); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, c := range box.called() {
		got = append(got, strings.NewReplacer("1", "", "2", "").Replace(c))
	}
	// Which of the two is set up and torn down first is the executor's affair.
	slices.Sort(got[:2])
	slices.Sort(got[len(got)-2:])
	want := []string{"a setup", "b setup", "b start", "a start", "a process 5", "b process 5",
		"a finish", "b process 99", "b finish", "a teardown", "b teardown"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestInstanceStaysWithRestriction: a DoFn fused behind a source sees one key for as long as it lives. (Trap: there is one
// instance per partition, so clients must be shared.)
func TestInstanceStaysWithRestriction(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: 50, PerBundle: 5, Delay: time.Microsecond}, beam.CreateList(s, ints(0, 8)))
	// The restrictions overlap: none ends before all have begun.
	began := make(chan struct{}, 8)
	box.hook = func(_ context.Context, v int) error {
		if v%1_000_000 == 0 {
			began <- struct{}{}
			for len(began) < cap(began) {
				time.Sleep(time.Millisecond)
			}
		}
		return nil
	}
	beam.ParDo(s, &hookFn{Sandbox: name, Name: "x"}, c)
	run(t, p, direct.Options{Workers: 1, Restrictions: 1})
	starts := 0
	instances := map[string]string{} // key -> instance
	for _, c := range box.called() {
		id, what, _ := strings.Cut(c, " ")
		switch {
		case what == "start":
			starts++
		case strings.HasPrefix(what, "process "):
			v := strings.TrimPrefix(what, "process ")
			key := "0"
			if len(v) > 6 {
				key = v[:len(v)-6]
			}
			if instances[key] == "" {
				instances[key] = id
			}
			if instances[key] != id {
				t.Fatalf("key %s moved from %s to %s", key, instances[key], id)
			}
		}
	}
	if len(instances) != 8 || box.instance.Load() != 8 || starts < 8*10 {
		t.Errorf("%d keys on %d instances in %d bundles, want 8 on 8 in at least 80", len(instances), box.instance.Load(), starts)
	}
}

// TestBackPressure runs a slow stage behind a fast one through a queue that holds next to nothing.
func TestBackPressure(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	a := beam.ParDo(s, &streamFn{Total: 3000, PerBundle: 10}, beam.CreateList(s, ints(0, 4)))
	even, odd := beam.ParDo2(s, &partFn{}, beam.Reshuffle(s, a))
	// A diamond: both ways meet again.
	c := beam.Flatten(s, beam.Reshuffle(s, even), beam.ParDo(s, &hookFn{Sandbox: name}, beam.Reshuffle(s, odd)))
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, c)
	e := start(t, p, direct.Options{QueueBytes: 1, Workers: 1})
	most := 0
	for done := false; !done; {
		select {
		case <-e.Done():
			done = true
		case <-time.After(100 * time.Microsecond):
		}
		for _, st := range e.Stages() {
			most = max(most, st.Queued)
		}
	}
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(streams(4, 3000), box.values()); diff != "" {
		t.Error(diff)
	}
	if most > 64<<10 {
		t.Errorf("%d bytes were queued where 1 was allowed", most)
	}
}

// TestCancelledBundleIsNoSuccess: the executor reports success for a bundle whose context has ended.
func TestCancelledBundleIsNoSuccess(t *testing.T) {
	name, box := newSandbox(t)
	ctx, cancel := context.WithCancel(t.Context())
	cause := context.Canceled
	box.hook = func(context.Context, int) error { cancel(); return nil }
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo(s, &hookFn{Sandbox: name}, beam.CreateList(s, ints(0, 100)))
	if _, err := direct.Run(ctx, p, direct.Options{}); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
}

func TestCancel(t *testing.T) {
	name, _ := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: math.MaxInt64, PerBundle: 10, Delay: time.Hour}, beam.CreateList(s, ints(0, 4)))
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
	e := start(t, p, direct.Options{})
	e.Cancel()
	if err := e.Wait(); !errors.Is(err, direct.ErrCancelled) {
		t.Errorf("error %v, want %v", err, direct.ErrCancelled)
	}
}
