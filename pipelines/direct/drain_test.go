package direct_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/pipelines/direct"
)

// TestDrain: what the sources emitted before the drain arrives, all of it, and the job ends without an error.
func TestDrain(t *testing.T) {
	tests := []struct {
		name   string
		source *streamFn
	}{
		{"busy source", &streamFn{Total: math.MaxInt64, PerBundle: 3}},
		{"short resume delay", &streamFn{Total: math.MaxInt64, PerBundle: 3, Delay: time.Millisecond}},
		{"idle: asleep in a long resume delay", &streamFn{Total: math.MaxInt64, PerBundle: 3, Delay: time.Hour}},
		{"truncation keeps some", &streamFn{Total: math.MaxInt64, PerBundle: 3, KeepMore: 10}},
		{"truncation keeps a bounded rest", &streamFn{Total: 300, PerBundle: 3, Keep: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, box := newSandbox(t)
			var emitted atomic.Int64
			box.hook = func(context.Context, int) error { emitted.Add(1); return nil }
			p, s := beam.NewPipelineWithRoot()
			c := beam.ParDo(s, tt.source, beam.Reshuffle(s, beam.CreateList(s, ints(0, 4))))
			c = beam.ParDo(s, &hookFn{Sandbox: name, Name: "h"}, c)
			beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
			e := start(t, p, direct.Options{QueueBytes: 1 << 10})
			eventually(t, "every source emits", func() bool { return emitted.Load() >= 12 })
			if err := e.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := box.values()
			// Each key has all numbers from 0 to where its source stopped.
			perKey := map[int]int{}
			for _, v := range got {
				if v%1_000_000 != perKey[v/1_000_000] {
					t.Fatalf("key %d has %d where %d is due", v/1_000_000, v%1_000_000, perKey[v/1_000_000])
				}
				perKey[v/1_000_000]++
			}
			if int64(len(got)) != emitted.Load() || len(got) < 12 {
				t.Errorf("%d collected of %d emitted", len(got), emitted.Load())
			}
			if tt.source.Keep && len(got) != 4*300 {
				t.Errorf("%d collected, want the whole bounded range, 1200", len(got))
			}
			calls := box.called()
			torn := 0
			for _, c := range calls {
				if strings.HasSuffix(c, " teardown") {
					torn++
				}
			}
			if int64(torn) != box.instance.Load() {
				t.Errorf("%d instances torn down of %d", torn, box.instance.Load())
			}
		})
	}
}

// TestDrainBeforeRestrictionsBegin: a source that has not begun is truncated all the same.
func TestDrainBeforeRestrictionsBegin(t *testing.T) {
	name, box := newSandbox(t)
	gate := make(chan struct{})
	box.hook = func(context.Context, int) error { <-gate; return nil }
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &hookFn{Sandbox: name}, beam.CreateList(s, ints(0, 4)))
	c = beam.ParDo(s, &streamFn{Total: math.MaxInt64, PerBundle: 3}, beam.Reshuffle(s, c))
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
	e := start(t, p, direct.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("drain with an ended context: %v", err)
	}
	close(gate)
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := box.values(); len(got) > 0 {
		t.Errorf("collected %v", got)
	}
}

// TestDrainThatCannotEnd: the SDK's default truncation keeps [0, MaxInt64) as it is. Drain then says which step is to blame.
func TestDrainThatCannotEnd(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo(s.Scope("Endless"), &streamFn{Total: math.MaxInt64, PerBundle: 3, Delay: time.Hour, Keep: true}, beam.CreateList(s, ints(0, 1)))
	e := start(t, p, direct.Options{})
	eventually(t, "the source runs", func() bool {
		return slices.ContainsFunc(e.Stages(), func(st direct.StageStats) bool {
			return st.Bundles > 0 && strings.HasSuffix(st.Steps[0], "streamFn") && st.Running == 1
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := e.Drain(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Endless/direct_test.streamFn") {
		t.Fatalf("error %v, want one that names the step", err)
	}
	e.Cancel()
	if err := e.Wait(); !errors.Is(err, direct.ErrCancelled) {
		t.Errorf("error %v after Cancel", err)
	}
}

// TestDrainWaitsForRetries: a bundle that is failing when the drain begins is not given up.
func TestDrainWaitsForRetries(t *testing.T) {
	name, box := newSandbox(t)
	var healed atomic.Bool
	box.hook = func(context.Context, int) error {
		if !healed.Load() {
			return errFlaky
		}
		return nil
	}
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: math.MaxInt64, PerBundle: 3}, beam.CreateList(s, ints(0, 1)))
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, beam.ParDo(s, &hookFn{Sandbox: name}, c)))
	e := start(t, p, fast)
	eventually(t, "it fails", func() bool { return len(e.Failing()) == 1 })
	drained := make(chan error)
	go func() { drained <- e.Drain(t.Context()) }()
	seen := e.Failing()[0].Attempts
	eventually(t, "it is still tried", func() bool { fs := e.Failing(); return len(fs) == 1 && fs[0].Attempts > seen+1 })
	healed.Store(true)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ints(0, 3), box.values()); diff != "" {
		t.Error(diff)
	}
}

// TestResumeDelayIsKept: a source that asks for an hour is not asked again at once.
func TestResumeDelayIsKept(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo(s, &streamFn{Total: math.MaxInt64, PerBundle: 3, Delay: time.Hour}, beam.CreateList(s, ints(0, 1)))
	e := start(t, p, direct.Options{})
	source := func() direct.StageStats {
		st := e.Stages()
		return st[slices.IndexFunc(st, func(s direct.StageStats) bool { return s.Running > 0 })]
	}
	eventually(t, "the source is asleep", func() bool {
		n := 0
		for _, st := range e.Stages() {
			if st.Running > 0 && st.Bundles == 1 && st.Steps[0] == "direct_test.streamFn" {
				n++
			}
		}
		return n == 1
	})
	time.Sleep(20 * time.Millisecond)
	if n := source().Bundles; n != 1 {
		t.Errorf("%d bundles, want 1", n)
	}
}
