package direct_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn3x1[context.Context, int, func(int), error](&faultyFn{})
	register.DoFn2x0[int, func(int)](&dropKeyFn{})
}

// dropKeyFn makes one number of an element and nothing else of it.
type dropKeyFn struct{}

func (*dropKeyFn) ProcessElement(v int, emit func(int)) { emit(v % 1_000_000) }

// faultyFn passes elements on, and fails as a schedule says: at the start of a bundle, at an element, or at the end.
type faultyFn struct {
	Sandbox string
	Place   int
}

func (f *faultyFn) StartBundle(ctx context.Context, _ func(int)) error {
	return find(f.Sandbox).hook(ctx, 3*f.Place)
}
func (f *faultyFn) ProcessElement(ctx context.Context, v int, emit func(int)) error {
	emit(v) // first, so that a failed bundle has outputs to lose
	return find(f.Sandbox).hook(ctx, 3*f.Place+1)
}
func (f *faultyFn) FinishBundle(ctx context.Context, _ func(int)) error {
	return find(f.Sandbox).hook(ctx, 3*f.Place+2)
}

// TestFaultSchedules runs a pipeline with all that the runner has, restrictions, groupings, a combine, side inputs and windows,
// under random faults: every call of a DoFn may fail, panic, dawdle, or end the job. A job that was not ended has exactly
// the right result, and one that was says so. Nothing stays behind (TestMain checks the goroutines).
func TestFaultSchedules(t *testing.T) {
	var schedules atomic.Int64
	check := func(t *rapid.T) {
		n := schedules.Add(1)
		name := fmt.Sprintf("fault-%d", n)
		box := &sandbox{}
		sandboxes.Store(name, box)
		defer sandboxes.Delete(name)
		seed := rapid.Uint64().Draw(t, "seed")
		rate := rapid.IntRange(1, 40).Draw(t, "faults in a thousand calls")
		cancelAt := int64(0)
		if rapid.IntRange(0, 4).Draw(t, "cancel") == 0 {
			cancelAt = int64(rapid.IntRange(1, 300).Draw(t, "cancel at call"))
		}
		opts := direct.Options{
			Workers: rapid.IntRange(1, 3).Draw(t, "workers"), QueueBytes: rapid.SampledFrom([]int{1, 1 << 20}).Draw(t, "queue"),
			GroupingBytes: rapid.SampledFrom([]int64{1, 1 << 20}).Draw(t, "memory"), Backoff: time.Microsecond, MaxBackoff: 100 * time.Microsecond,
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var calls atomic.Int64
		box.hook = func(_ context.Context, place int) error {
			call := calls.Add(1)
			if call == cancelAt {
				cancel()
			}
			h := fnv.New64a()
			fmt.Fprint(h, seed, place, call)
			switch v := h.Sum64() >> 8; {
			case int(v%1000) >= rate:
				return nil
			case v/1000%3 == 0:
				panic("a fault")
			case v/1000%3 == 1:
				time.Sleep(200 * time.Microsecond)
				return nil
			}
			return errFlaky
		}
		p, s := beam.NewPipelineWithRoot()
		c := beam.ParDo(s, &streamFn{Total: 12, PerBundle: 5}, beam.CreateList(s, ints(0, 3)))
		c = beam.ParDo(s, &dropKeyFn{}, beam.ParDo(s, &faultyFn{name, 0}, c))
		c = beam.ParDo(s, &faultyFn{name, 1}, beam.Reshuffle(s, c))
		bounded := beam.ParDo(s, &rangeFn{Total: 12}, beam.CreateList(s, ints(0, 3)))
		total := stats.Sum(s, beam.ParDo(s, &dropKeyFn{}, bounded))
		w := beam.WindowInto(s, window.NewFixedWindows(5*time.Millisecond), c)
		sums := stats.SumPerKey(s, beam.ParDo(s, &keyFn{1}, w))
		sums = beam.WindowInto(s, window.NewGlobalWindows(), beam.ParDo(s, &faultyFn{name, 2}, beam.DropKey(s, sums)))
		beam.ParDo0(s, &pairWithFn{name}, beam.Reshuffle(s, sums), beam.SideInput{Input: beam.ParDo(s, &faultyFn{name, 3}, total)})
		_, err := direct.Run(ctx, p, opts)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return // it was ended before it was done
		}
		if err != nil {
			t.Fatalf("schedule %d: %v", n, err)
		}
		// 3 keys of 0 to 11: windows 0-4, 5-9 and 10-11.
		if got, want := fmt.Sprint(box.values()), fmt.Sprint([]int{198030, 198063, 198105}); got != want {
			t.Fatalf("schedule %d: sums %v, want %v", n, got, want)
		}
	}
	for schedules.Load() < 500 { // however many rapid makes at a time
		rapid.Check(t, check)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d schedules", schedules.Load())
}

// pairWithFn collects 1000 times the side input plus the element. It never fails, so it sees each committed element once.
type pairWithFn struct{ Sandbox string }

func (f *pairWithFn) ProcessElement(v, side int) {
	s := find(f.Sandbox)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, 1000*side+v)
}

func init() { register.DoFn2x0[int, int](&pairWithFn{}) }
