package direct_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/pipelines/direct"
)

// TestExactlyOnceUnderFailures: whatever fails, by error or panic, each element reaches the collector in exactly one bundle
// that succeeds.
func TestExactlyOnceUnderFailures(t *testing.T) {
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		name := fmt.Sprintf("%s/%d", t.Name(), round)
		box := &sandbox{}
		sandboxes.Store(name, box)
		defer sandboxes.Delete(name)
		var mu sync.Mutex
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		every := rapid.IntRange(5, 200).Draw(rt, "one failure in")
		left := rapid.IntRange(0, 60).Draw(rt, "failures")
		box.hook = func(context.Context, int) error {
			mu.Lock()
			defer mu.Unlock()
			if n := rnd.IntN(every); n > 1 || left == 0 {
				return nil
			}
			if left--; left%2 == 0 {
				panic("flaky")
			}
			return errFlaky
		}
		keys := rapid.IntRange(1, 4).Draw(rt, "keys")
		total := rapid.IntRange(0, 60).Draw(rt, "total")
		per := rapid.IntRange(1, 5).Draw(rt, "per bundle")
		opts := fast
		opts.Workers = rapid.IntRange(1, 3).Draw(rt, "workers")
		opts.QueueBytes = rapid.SampledFrom([]int{1, 1 << 20}).Draw(rt, "queue bytes")

		p, s := beam.NewPipelineWithRoot()
		c := beam.CreateList(s, ints(0, keys))
		c = beam.ParDo(s, &streamFn{Total: int64(total), PerBundle: int64(per)}, c)
		c = beam.ParDo(s, &hookFn{Sandbox: name}, c)
		for range rapid.IntRange(0, 2).Draw(rt, "more stages") {
			c = beam.ParDo(s, &hookFn{Sandbox: name}, beam.Reshuffle(s, c))
		}
		beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
		if _, err := direct.Run(t.Context(), p, opts); err != nil {
			rt.Fatal(err)
		}
		want := streams(keys, total)
		if diff := cmp.Diff(want, box.values()); diff != "" {
			rt.Fatalf("collected (-want +got):\n%s", diff)
		}
	})
}

// TestInstanceIsNotUsedAfterItsBundleFailed: StartBundle is called again only on an instance whose last bundle succeeded, also
// when it was a DoFn further down that failed.
func TestInstanceIsNotUsedAfterItsBundleFailed(t *testing.T) {
	name, box := newSandbox(t)
	var n atomic.Int64
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: 200, PerBundle: 5}, beam.CreateList(s, []int{0}))
	c = beam.ParDo(s, &hookFn{Sandbox: name, Name: "up"}, c)
	box.hook = func(context.Context, int) error {
		if n.Add(1)%21 == 0 {
			return errFlaky
		}
		return nil
	}
	beam.ParDo(s, &hookFn{Sandbox: name, Name: "down"}, c)
	run(t, p, fast)
	life := map[string]string{} // instance -> last call of note
	for _, c := range box.called() {
		id, what, _ := strings.Cut(c, " ")
		last := life[id]
		switch what {
		case "setup":
			if last != "" {
				t.Fatalf("%s set up twice", id)
			}
		case "start":
			if last != "setup" && last != "finish" {
				t.Fatalf("%s started after %q", id, last)
			}
		case "teardown":
			if last == "teardown" {
				t.Fatalf("%s torn down twice", id)
			}
		}
		life[id] = what
	}
	if len(life) < 6 {
		t.Errorf("only %d instances: nothing failed", len(life))
	}
	for id, last := range life {
		if last != "teardown" {
			t.Errorf("%s was left after %q", id, last)
		}
	}
}

// TestFailingBundleIsSeen: a bundle that fails is visible while it does, and holds nobody else up.
func TestFailingBundleIsSeen(t *testing.T) {
	name, box := newSandbox(t)
	var healed atomic.Bool
	box.hook = func(_ context.Context, v int) error {
		if v/1_000_000 == 1 && !healed.Load() {
			return errFlaky
		}
		return nil
	}
	var reported atomic.Int64
	opts := fast
	opts.OnFailure = func(f direct.Failure) { reported.Store(int64(f.Attempts)) }
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: 50, PerBundle: 5}, beam.CreateList(s, []int{0, 1, 2}))
	c = beam.ParDo(s.Scope("Flaky"), &hookFn{Sandbox: name}, c)
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
	before := time.Now()
	e := start(t, p, opts)
	eventually(t, "the others finish", func() bool { return len(box.values()) == 100 })
	eventually(t, "three attempts", func() bool { fs := e.Failing(); return len(fs) == 1 && fs[0].Attempts >= 3 })
	f := e.Failing()[0]
	if f.Step != "Flaky/direct_test.hookFn" || !errors.Is(f.Err, errFlaky) || f.Since.Before(before) || f.Next.Before(f.Since) {
		t.Errorf("failure %+v", f)
	}
	if reported.Load() < 3 {
		t.Errorf("%d attempts reported", reported.Load())
	}
	healed.Store(true)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if fs := e.Failing(); len(fs) > 0 {
		t.Errorf("still failing: %+v", fs)
	}
	if diff := cmp.Diff(streams(3, 50), box.values()); diff != "" {
		t.Error(diff)
	}
}

type permanentError struct{}

func (permanentError) Error() string   { return "beyond repair" }
func (permanentError) Permanent() bool { return true }

// TestJobFails: what ends a job, and that its error names the step and keeps the cause.
func TestJobFails(t *testing.T) {
	tests := []struct {
		name     string
		opts     direct.Options
		hook     func(context.Context, int) error
		attempts int
		is       error
		text     string
	}{
		{"poison with a limit", direct.Options{MaxAttempts: 3, Backoff: 1, MaxBackoff: 1},
			func(context.Context, int) error { return errFlaky }, 3, errFlaky, "flaky"},
		{"poison that panics", direct.Options{MaxAttempts: 2, Backoff: 1, MaxBackoff: 1},
			func(context.Context, int) error { panic("out of range") }, 2, nil, "panic: out of range"},
		{"permanent", direct.Options{MaxAttempts: 5},
			func(context.Context, int) error { return permanentError{} }, 1, permanentError{}, "beyond repair"},
		{"permanent, wrapped", direct.Options{MaxAttempts: 5},
			func(context.Context, int) error { return fmt.Errorf("write: %w", permanentError{}) }, 1, permanentError{}, "write: beyond repair"},
	}
	for _, tt := range tests {
		for _, where := range []string{"first", "fused"} {
			t.Run(tt.name+", "+where, func(t *testing.T) {
				name, box := newSandbox(t)
				box.hook = tt.hook
				p, s := beam.NewPipelineWithRoot()
				c := beam.CreateList(s, ints(0, 3))
				if where == "first" {
					c = beam.Reshuffle(s, c)
				}
				beam.ParDo(s.Scope("Bad"), &hookFn{Sandbox: name}, c)
				_, err := direct.Run(t.Context(), p, tt.opts)
				var b *direct.BundleError
				if !errors.As(err, &b) {
					t.Fatalf("error %v, want a BundleError", err)
				}
				if b.Attempts != tt.attempts || !strings.Contains(b.Step, "Bad/direct_test.hookFn") || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v after %d attempts in %q, want %q after %d", err, b.Attempts, b.Step, tt.text, tt.attempts)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("error %v does not wrap %v", err, tt.is)
				}
			})
		}
	}
}

// TestPermanentErrorOfSplit: errors of a splittable DoFn's own methods keep their meaning, too.
func TestPermanentErrorOfSplit(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo(s, &badSplitFn{}, beam.CreateList(s, ints(0, 3)))
	_, err := direct.Run(t.Context(), p, direct.Options{MaxAttempts: 5})
	var b *direct.BundleError
	if !errors.Is(err, permanentError{}) || !errors.As(err, &b) || b.Attempts != 1 {
		t.Errorf("error %v, want %v after one attempt", err, permanentError{})
	}
}

// TestSetupIsRetried: a Setup that fails is a failed bundle like any other.
func TestSetupIsRetried(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &badSetupFn{Sandbox: name, Failures: 3}, beam.CreateList(s, ints(0, 3)))
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
	run(t, p, fast)
	if diff := cmp.Diff(ints(0, 3), box.values()); diff != "" {
		t.Error(diff)
	}
}

// TestCancelAtRandomPoints: a job that is cancelled says so, whenever that is, and its goroutines end (goleak).
func TestCancelAtRandomPoints(t *testing.T) {
	for i := range 40 {
		name, box := newSandbox(t)
		ctx, cancel := context.WithCancel(context.Background())
		at := int64(1 + i*7)
		var n atomic.Int64
		box.hook = func(context.Context, int) error {
			if n.Add(1) == at {
				cancel()
			}
			return nil
		}
		p, s := beam.NewPipelineWithRoot()
		c := beam.ParDo(s, &streamFn{Total: 1000, PerBundle: 10}, beam.CreateList(s, ints(0, 3)))
		c = beam.ParDo(s, &hookFn{Sandbox: name}, c)
		beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.ParDo(s, &hookFn{Sandbox: name}, beam.Reshuffle(s, c)))
		_, err := direct.Run(ctx, p, direct.Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at element %d: error %v", at, err)
		}
		cancel()
	}
}
