package direct_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
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
	register.DoFn2x0[int, func(int, int)](&keyFn{})
	register.DoFn4x0[beam.PaneInfo, beam.Window, int, func(*int) bool](&groupFn{})
	register.DoFn3x0[beam.Window, int, int](&sumFn{})
	register.DoFn3x0[int, func(*int) bool, func(*int) bool](&joinFn{})
	register.DoFn2x0[int, func(beam.EventTime, int)](&stampFn{})
	register.DoFn5x2[context.Context, *sdf.ManualWatermarkEstimator, *sdf.LockRTracker, int, func(beam.EventTime, int), sdf.ProcessContinuation, error](&scriptFn{})
	register.Emitter2[int, int]()
	register.Iter1[int]()
}

// keyFn keys a number by its remainder.
type keyFn struct{ Mod int }

func (f *keyFn) ProcessElement(v int, emit func(int, int)) { emit(v%f.Mod, v) }

// stampFn gives the number n the event time n seconds.
type stampFn struct{}

func (*stampFn) ProcessElement(v int, emit func(beam.EventTime, int)) {
	emit(beam.EventTime(v*1000), v)
}

func seconds(w beam.Window) string {
	iw, ok := w.(window.IntervalWindow)
	if !ok {
		return "*"
	}
	return fmt.Sprintf("%d-%d", iw.Start.Milliseconds()/1000, iw.End.Milliseconds()/1000)
}

// groupFn records its groups: window, key, values in order and, if asked, the pane.
type groupFn struct {
	Sandbox string
	Panes   bool
}

func (f *groupFn) ProcessElement(p beam.PaneInfo, w beam.Window, k int, values func(*int) bool) {
	var vs []int
	for v := 0; values(&v); {
		vs = append(vs, v)
	}
	slices.Sort(vs)
	pane := ""
	if f.Panes {
		pane = fmt.Sprintf(" %v %d", p.Timing, p.Index)
		if p.IsFirst {
			pane += " first"
		}
		if p.IsLast {
			pane += " last"
		}
	}
	find(f.Sandbox).call("%s %d: %v%s", seconds(w), k, vs, pane)
}

type sumFn struct{ Sandbox string }

func (f *sumFn) ProcessElement(w beam.Window, k, sum int) {
	find(f.Sandbox).call("%s %d: %d", seconds(w), k, sum)
}

type joinFn struct{ Sandbox string }

func (f *joinFn) ProcessElement(k int, as, bs func(*int) bool) {
	var a, b []int
	for v := 0; as(&v); {
		a = append(a, v)
	}
	for v := 0; bs(&v); {
		b = append(b, v)
	}
	slices.Sort(a)
	slices.Sort(b)
	find(f.Sandbox).call("%d: %v %v", k, a, b)
}

// scriptFn is an unbounded source that plays a script, a word per bundle: "5" is an element at second 5, "w10" moves the
// watermark to second 10, "stop" waits for ever, "gate" asks the sandbox's hook.
type scriptFn struct {
	streamFn
	Sandbox, Script string
}

func (f *scriptFn) ProcessElement(ctx context.Context, we *sdf.ManualWatermarkEstimator, rt *sdf.LockRTracker, key int, emit func(beam.EventTime, int)) (sdf.ProcessContinuation, error) {
	words := strings.Fields(f.Script)
	i := rt.GetRestriction().(offsetrange.Restriction).Start
	if int(i) == len(words) {
		rt.TryClaim(int64(math.MaxInt64))
		return sdf.StopProcessing(), nil
	}
	var n int
	switch word := words[i]; {
	case word == "stop":
		return sdf.ResumeProcessingIn(time.Hour), nil
	case word == "gate":
		if err := find(f.Sandbox).hook(ctx, int(i)); err != nil {
			return sdf.StopProcessing(), err
		}
	case strings.HasPrefix(word, "w"):
		fmt.Sscan(word[1:], &n)
		we.UpdateWatermark(time.Unix(int64(n), 0))
	default:
		fmt.Sscan(word, &n)
		emit(beam.EventTime(n*1000), n)
	}
	if !rt.TryClaim(i) {
		return sdf.StopProcessing(), nil
	}
	return sdf.ResumeProcessingIn(0), nil
}

func script(s beam.Scope, name, words string) beam.PCollection {
	return beam.ParDo(s, &scriptFn{streamFn: streamFn{Total: math.MaxInt64}, Sandbox: name, Script: words}, beam.CreateList(s, []int{0}))
}

func sorted(calls []string) []string {
	slices.Sort(calls)
	return calls
}

// TestGroupByKey groups the numbers 0 to 9, at as many seconds, by their remainder.
func TestGroupByKey(t *testing.T) {
	tests := []struct {
		name string
		fn   *window.Fn
		want []string
	}{
		{"global", window.NewGlobalWindows(), []string{"* 0: [0 3 6 9]", "* 1: [1 4 7]", "* 2: [2 5 8]"}},
		{"fixed", window.NewFixedWindows(5 * time.Second), []string{
			"0-5 0: [0 3]", "0-5 1: [1 4]", "0-5 2: [2]", "5-10 0: [6 9]", "5-10 1: [7]", "5-10 2: [5 8]"}},
		{"sliding", window.NewSlidingWindows(5*time.Second, 10*time.Second), []string{
			"-5-5 0: [0 3]", "-5-5 1: [1 4]", "-5-5 2: [2]", "0-10 0: [0 3 6 9]", "0-10 1: [1 4 7]", "0-10 2: [2 5 8]",
			"5-15 0: [6 9]", "5-15 1: [7]", "5-15 2: [5 8]"}},
		{"sessions that merge", window.NewSessions(4 * time.Second), []string{"0-13 0: [0 3 6 9]", "1-11 1: [1 4 7]", "2-12 2: [2 5 8]"}},
		{"sessions that do not", window.NewSessions(3 * time.Second), []string{
			"0-3 0: [0]", "1-4 1: [1]", "2-5 2: [2]", "3-6 0: [3]", "4-7 1: [4]", "5-8 2: [5]", "6-9 0: [6]", "7-10 1: [7]", "8-11 2: [8]", "9-12 0: [9]"}},
	}
	for _, tt := range tests {
		for _, opts := range []direct.Options{{}, {GroupingBytes: 1}} {
			t.Run(fmt.Sprintf("%s, %d bytes", tt.name, opts.GroupingBytes), func(t *testing.T) {
				name, box := newSandbox(t)
				opts.TempDir = t.TempDir()
				p, s := beam.NewPipelineWithRoot()
				c := beam.WindowInto(s, tt.fn, beam.ParDo(s, &stampFn{}, beam.CreateList(s, ints(0, 10))))
				beam.ParDo0(s, &groupFn{Sandbox: name}, beam.GroupByKey(s, beam.ParDo(s, &keyFn{3}, c)))
				e := start(t, p, opts)
				if err := e.Wait(); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, sorted(box.called())); diff != "" {
					t.Errorf("groups (-want +got):\n%s", diff)
				}
				if spilled := e.Spilled() > 0; spilled != (opts.GroupingBytes == 1) {
					t.Errorf("%d bytes went to disk", e.Spilled())
				}
			})
		}
	}
}

// TestPanes plays scripts of elements and watermarks to a GroupByKey in fixed windows of 10 seconds.
func TestPanes(t *testing.T) {
	tests := []struct {
		name, script string
		lateness     time.Duration
		accumulate   bool
		want         []string
		late         int64
	}{
		{"on time", "1 2 w10 11 w20", 0, false, []string{
			"0-10 0: [1 2] ontime 0 first last", "10-20 0: [11] ontime 0 first last"}, 0},
		{"out of order but on time", "15 3 w9 4 w30", 0, false, []string{
			"0-10 0: [3 4] ontime 0 first last", "10-20 0: [15] ontime 0 first last"}, 0},
		{"late and dropped", "1 w10 gate 2 w20 3", 0, false, []string{"0-10 0: [1] ontime 0 first last"}, 2},
		{"late within the lateness", "1 w10 gate 2 gate w19 3 gate w21 4", 10 * time.Second, false, []string{
			"0-10 0: [1] ontime 0 first", "0-10 0: [2] late 1", "0-10 0: [3] late 2"}, 1},
		{"late, accumulating", "1 w10 gate 2 gate w19 3 gate w21 4", 10 * time.Second, true, []string{
			"0-10 0: [1 2 3] late 2", "0-10 0: [1 2] late 1", "0-10 0: [1] ontime 0 first"}, 1},
		{"first of its window is late", "w15 2", 10 * time.Second, false, []string{"0-10 0: [2] late 0 first"}, 0},
		{"the end of the source is the end of time", "1 2", 0, false, []string{"0-10 0: [1 2] ontime 0 first last"}, 0},
	}
	for _, tt := range tests {
		for _, memory := range []int64{0, 1} {
			t.Run(fmt.Sprintf("%s, %d bytes", tt.name, memory), func(t *testing.T) {
				name, box := newSandbox(t)
				// Each gate waits for one more pane.
				panes := 0
				box.hook = func(ctx context.Context, _ int) error {
					for panes++; len(box.called()) < panes && ctx.Err() == nil; {
						time.Sleep(time.Millisecond)
					}
					return nil
				}
				p, s := beam.NewPipelineWithRoot()
				mode := beam.PanesDiscard()
				if tt.accumulate {
					mode = beam.PanesAccumulate()
				}
				c := script(s, name, tt.script)
				c = beam.WindowInto(s, window.NewFixedWindows(10*time.Second), c, beam.AllowedLateness(tt.lateness), mode)
				g := beam.GroupByKey(s, beam.ParDo(s, &keyFn{1}, c))
				beam.ParDo0(s, &groupFn{Sandbox: name, Panes: true}, g)
				e := start(t, p, direct.Options{GroupingBytes: memory, TempDir: t.TempDir()})
				if err := e.Wait(); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, sorted(box.called())); diff != "" {
					t.Errorf("panes (-want +got):\n%s", diff)
				}
				if got := e.Groupings()[0]; got.Late != tt.late || got.Held != 0 || got.Step != "CoGBK" {
					t.Errorf("grouping is %+v, want %d late and nothing held", got, tt.late)
				}
			})
		}
	}
}

// TestWindowsFireWhileTheSourceRuns: a window is given out when the watermark passes it, not when the source ends.
func TestWindowsFireWhileTheSourceRuns(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.WindowInto(s, window.NewFixedWindows(10*time.Second), script(s, name, "1 2 12 w10 stop"))
	beam.ParDo0(s, &sumFn{Sandbox: name}, stats.SumPerKey(s, beam.ParDo(s, &keyFn{1}, beam.Reshuffle(s, c))))
	e := start(t, p, direct.Options{})
	eventually(t, "the first window", func() bool { return len(box.called()) > 0 })
	if diff := cmp.Diff([]string{"0-10 0: 3"}, box.called()); diff != "" {
		t.Error(diff)
	}
	// A drain ends time, so that the open window gives out what it holds.
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0-10 0: 3", "10-20 0: 12"}, box.called()); diff != "" {
		t.Error(diff)
	}
}

// TestSourceWithoutEstimator: a source that says nothing about its watermark holds every window until it ends. (Trap.)
func TestSourceWithoutEstimator(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &rangeFn{Total: 40}, beam.CreateList(s, []int{0}))
	c = beam.WindowInto(s, window.NewFixedWindows(10*time.Second), beam.ParDo(s, &stampFn{}, c))
	released := make(chan struct{})
	box.hook = func(_ context.Context, v int) error {
		if v == 39 {
			<-released
		}
		return nil
	}
	c = beam.ParDo(s, &hookFn{Sandbox: name}, c)
	beam.ParDo0(s, &sumFn{Sandbox: name}, stats.SumPerKey(s, beam.ParDo(s, &keyFn{1}, c)))
	e := start(t, p, direct.Options{})
	eventually(t, "the other parts are grouped", func() bool { return e.Groupings()[0].Held > 0 })
	if got := box.called(); len(got) > 0 {
		t.Errorf("%v before the source has ended", got)
	}
	close(released)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0-10 0: 45", "10-20 0: 145", "20-30 0: 245", "30-40 0: 345"}, sorted(box.called())); diff != "" {
		t.Error(diff)
	}
}

func TestCoGroupByKey(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	a := beam.ParDo(s, &keyFn{3}, beam.Reshuffle(s, beam.CreateList(s, ints(0, 6))))
	b := beam.ParDo(s, &keyFn{4}, beam.CreateList(s, ints(10, 14)))
	beam.ParDo0(s, &joinFn{Sandbox: name}, beam.CoGroupByKey(s, a, b))
	run(t, p, direct.Options{})
	want := []string{"0: [0 3] [12]", "1: [1 4] [13]", "2: [2 5] [10]", "3: [] [11]"}
	if diff := cmp.Diff(want, sorted(box.called())); diff != "" {
		t.Error(diff)
	}
}

// TestCombine: lifted per key, of everything, and of a grouping of a grouping.
func TestCombine(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &tripleFn{}, beam.Reshuffle(s, beam.CreateList(s, ints(0, 1000))))
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, stats.Sum(s, c))
	perKey := stats.SumPerKey(s, beam.ParDo(s, &keyFn{7}, c))
	beam.ParDo0(s, &sumFn{Sandbox: name}, perKey)
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, stats.Sum(s, beam.DropKey(s, perKey)))
	run(t, p, direct.Options{Workers: 4})
	if diff := cmp.Diff([]int{4498500, 4498500}, box.values()); diff != "" {
		t.Error(diff)
	}
	if got := box.called(); len(got) != 7 {
		t.Errorf("sums per key: %v", got)
	}
}
