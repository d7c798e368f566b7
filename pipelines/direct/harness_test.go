package direct_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"go.uber.org/goleak"

	"github.com/braidhq/braid/pipelines/direct"
)

func TestMain(m *testing.M) {
	beam.Init()
	goleak.VerifyTestMain(m)
}

func init() {
	register.DoFn2x0[int, func(int)](&tripleFn{})
	register.DoFn3x0[int, func(int), func(int)](&partFn{})
	register.DoFn3x1[context.Context, int, func(int), error](&hookFn{})
	register.DoFn5x2[context.Context, *sdf.ManualWatermarkEstimator, *sdf.LockRTracker, int, func(beam.EventTime, int), sdf.ProcessContinuation, error](&streamFn{})
	register.DoFn3x1[*sdf.LockRTracker, int, func(int), error](&rangeFn{})
	register.DoFn1x0[int](&collectIntFn{})
	register.DoFn5x2[context.Context, *sdf.ManualWatermarkEstimator, *sdf.LockRTracker, int, func(beam.EventTime, int), sdf.ProcessContinuation, error](&badSplitFn{})
	register.DoFn2x0[int, func(int)](&badSetupFn{})
	register.Emitter1[int]()
	register.Emitter2[beam.EventTime, int]()
}

// A sandbox is what the DoFns of one test share. DoFns are serialized, so they find it by its name.
type sandbox struct {
	mu    sync.Mutex
	got   []int
	calls []string

	hook     func(ctx context.Context, v int) error // called by hookFn for each element
	instance atomic.Int64
}

var sandboxes sync.Map

func newSandbox(t testing.TB) (name string, s *sandbox) {
	s = &sandbox{hook: func(context.Context, int) error { return nil }}
	name = t.Name()
	sandboxes.Store(name, s)
	t.Cleanup(func() { sandboxes.Delete(name) })
	return name, s
}

func find(name string) *sandbox {
	s, _ := sandboxes.Load(name)
	return s.(*sandbox)
}

func (s *sandbox) call(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

// values returns what was collected, sorted.
func (s *sandbox) values() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.got))
}

func (s *sandbox) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// collectIntFn collects what it gets. It never fails, so behind a Reshuffle it sees each committed element once.
type collectIntFn struct{ Sandbox string }

func (f *collectIntFn) ProcessElement(v int) {
	s := find(f.Sandbox)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, v)
}

type tripleFn struct{}

func (*tripleFn) ProcessElement(v int, emit func(int)) {
	for i := range 3 {
		emit(3*v + i)
	}
}

// partFn sends even numbers to its first output and odd ones to its second.
type partFn struct{}

func (*partFn) ProcessElement(v int, even, odd func(int)) {
	if v%2 == 0 {
		even(v)
	} else {
		odd(v)
	}
}

// hookFn passes elements on, asks the sandbox's hook about each, and records its life.
type hookFn struct {
	Sandbox, Name string
	AtFinish      int // emitted by FinishBundle, if not zero
	id            int64
}

func (f *hookFn) Setup() {
	f.id = find(f.Sandbox).instance.Add(1)
	f.record("setup")
}
func (f *hookFn) StartBundle(func(int)) { f.record("start") }
func (f *hookFn) ProcessElement(ctx context.Context, v int, emit func(int)) error {
	f.record(fmt.Sprint("process ", v))
	if err := find(f.Sandbox).hook(ctx, v); err != nil {
		return err
	}
	emit(v)
	return nil
}
func (f *hookFn) FinishBundle(emit func(int)) {
	f.record("finish")
	if f.AtFinish != 0 {
		emit(f.AtFinish)
	}
}
func (f *hookFn) Teardown() { f.record("teardown") }
func (f *hookFn) record(what string) {
	if f.Name != "" {
		find(f.Sandbox).call("%s%d %s", f.Name, f.id, what)
	}
}

// streamFn emits key*1,000,000 + i for i from 0 to Total, PerBundle of them per bundle.
type streamFn struct {
	Total, PerBundle int64
	Delay            time.Duration
	Keep             bool // TruncateRestriction keeps everything, which is the SDK's default
	KeepMore         int64
}

func (f *streamFn) CreateInitialRestriction(int) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: f.Total}
}
func (f *streamFn) SplitRestriction(_ int, r offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{r}
}
func (f *streamFn) RestrictionSize(_ int, r offsetrange.Restriction) float64 { return r.Size() }
func (f *streamFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}
func (f *streamFn) TruncateRestriction(rt *sdf.LockRTracker, _ int) offsetrange.Restriction {
	r := rt.GetRestriction().(offsetrange.Restriction)
	if f.Keep {
		return r
	}
	return offsetrange.Restriction{Start: r.Start, End: r.Start + f.KeepMore}
}
func (f *streamFn) InitialWatermarkEstimatorState(beam.EventTime, offsetrange.Restriction, int) int64 {
	return 0
}
func (f *streamFn) CreateWatermarkEstimator(ms int64) *sdf.ManualWatermarkEstimator {
	return &sdf.ManualWatermarkEstimator{State: time.UnixMilli(ms)}
}
func (f *streamFn) WatermarkEstimatorState(we *sdf.ManualWatermarkEstimator) int64 {
	return we.State.UnixMilli()
}

func (f *streamFn) ProcessElement(_ context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, key int, emit func(beam.EventTime, int)) (sdf.ProcessContinuation, error) {
	i := rt.GetRestriction().(offsetrange.Restriction).Start
	if got := we.CurrentWatermark().UnixMilli(); got != i {
		return sdf.StopProcessing(), fmt.Errorf("watermark %d where the residual begins at %d", got, i)
	}
	for end := i + f.PerBundle; i < end; i++ {
		if !rt.TryClaim(i) {
			return sdf.StopProcessing(), nil
		}
		emit(beam.EventTime(i), key*1_000_000+int(i))
	}
	we.UpdateWatermark(time.UnixMilli(i))
	return sdf.ResumeProcessingIn(f.Delay), nil
}

// rangeFn is a bounded splittable DoFn, read in parts of 10.
type rangeFn struct{ Total int64 }

func (f *rangeFn) CreateInitialRestriction(int) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: f.Total}
}
func (f *rangeFn) SplitRestriction(_ int, r offsetrange.Restriction) []offsetrange.Restriction {
	return r.SizedSplits(10)
}
func (f *rangeFn) RestrictionSize(_ int, r offsetrange.Restriction) float64 { return r.Size() }
func (f *rangeFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}
func (f *rangeFn) ProcessElement(rt *sdf.LockRTracker, key int, emit func(int)) error {
	for i := rt.GetRestriction().(offsetrange.Restriction).Start; rt.TryClaim(i); i++ {
		emit(key*1_000_000 + int(i))
	}
	return nil
}

func ints(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// streams lists what streamFn and rangeFn emit for keys below n.
func streams(keys, total int) []int {
	var out []int
	for k := range keys {
		out = append(out, ints(k*1_000_000, k*1_000_000+total)...)
	}
	return out
}

func run(t *testing.T, p *beam.Pipeline, opts direct.Options) *direct.Result {
	t.Helper()
	res, err := direct.Run(t.Context(), p, opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func start(t *testing.T, p *beam.Pipeline, opts direct.Options) *direct.Engine {
	t.Helper()
	e, err := direct.Start(context.Background(), p, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Cancel(); e.Wait() })
	return e
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never happened: ", what)
		}
	}
}

var errFlaky = errors.New("flaky")

// fast makes retries quick.
var fast = direct.Options{Backoff: time.Microsecond, MaxBackoff: 100 * time.Microsecond}

// badSplitFn is a splittable DoFn that cannot split.
type badSplitFn struct{ streamFn }

func (*badSplitFn) SplitRestriction(int, offsetrange.Restriction) ([]offsetrange.Restriction, error) {
	return nil, fmt.Errorf("split: %w", permanentError{})
}

// badSetupFn fails in Setup for the first instances.
type badSetupFn struct {
	Sandbox  string
	Failures int64
}

func (f *badSetupFn) Setup() error {
	if find(f.Sandbox).instance.Add(1) <= f.Failures {
		return errFlaky
	}
	return nil
}
func (f *badSetupFn) ProcessElement(v int, emit func(int)) { emit(v) }
