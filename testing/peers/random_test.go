package peers

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn2x0[int, func(beam.EventTime, int, int)](&sourceFn{})
	register.DoFn3x0[int, int, func(int, int)](&mapFn{})
	register.DoFn3x0[int, int, func(int, int)](&copiesFn{})
	register.DoFn3x0[int, int, func(int, int)](&filterFn{})
	register.DoFn3x0[int, func(*int) bool, func(int, int)](&groupFn{})
	register.DoFn4x0[int, func(*int) bool, func(*int) bool, func(int, int)](&joinFn{})
	register.DoFn4x0[int, int, func(*int) bool, func(int, int)](&sideFn{})
	register.DoFn4x0[int, int, func(int, int), func(int, int)](&partFn{})
	register.DoFn4x0[beam.Window, beam.EventTime, int, int](&collectFn{})
	register.Emitter3[beam.EventTime, int, int]()
	register.Emitter2[int, int]()
	register.Iter1[int]()
}

// A program works on pairs of numbers; a pair's event time is made of its value.

type sourceFn struct{ Step int64 }

func (f *sourceFn) ProcessElement(v int, emit func(beam.EventTime, int, int)) {
	emit(mtime.FromMilliseconds(int64(v)*f.Step), v%5, v)
}

type mapFn struct{ Keys, Add int }

func (f *mapFn) ProcessElement(k, v int, emit func(int, int)) { emit((k+v+f.Add)%f.Keys, v+f.Add) }

type copiesFn struct{}

func (*copiesFn) ProcessElement(k, v int, emit func(int, int)) {
	for i := range v & 3 {
		emit(k, v+i)
	}
}

type filterFn struct{ Of int }

func (f *filterFn) ProcessElement(k, v int, emit func(int, int)) {
	if v%f.Of != 0 {
		emit(k, v)
	}
}

type partFn struct{}

func (*partFn) ProcessElement(k, v int, even, odd func(int, int)) {
	if v%2 == 0 {
		even(k, v)
	} else {
		odd(k, v)
	}
}

type groupFn struct{}

func (*groupFn) ProcessElement(k int, values func(*int) bool, emit func(int, int)) {
	n, sum := total(values)
	emit(k, sum*10+n%10)
}

type joinFn struct{}

func (*joinFn) ProcessElement(k int, left, right func(*int) bool, emit func(int, int)) {
	n, a := total(left)
	m, b := total(right)
	emit(k, a*3+b*5+n+m)
}

type sideFn struct{}

func (*sideFn) ProcessElement(k, v int, side func(*int) bool, emit func(int, int)) {
	n, sum := total(side)
	emit(k, v+sum%1000+n)
}

func total(values func(*int) bool) (n, sum int) {
	for v := 0; values(&v); n++ {
		sum += v
	}
	return n, sum
}

// collected is what the programs of this process came to, by run.
var collected sync.Map

type basket struct {
	mu    sync.Mutex
	lines []string
}

type collectFn struct{ Run, Collection string }

func (f *collectFn) ProcessElement(w beam.Window, at beam.EventTime, k, v int) {
	b, _ := collected.Load(f.Run)
	basket := b.(*basket)
	basket.mu.Lock()
	defer basket.mu.Unlock()
	basket.lines = append(basket.lines, fmt.Sprintf("%s: window to %v at %v: %d=%d", f.Collection, w.MaxTimestamp(), at, k, v))
}

// step makes a collection of earlier ones.
type step struct {
	name   string
	inputs []int
	n      int
}

// program is a random pipeline: its steps refer to the collections before them by number.
type program struct {
	elements []int
	spread   int64
	steps    []step
}

func (p program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "0: %v, %d ms apart\n", p.elements, p.spread)
	for i, s := range p.steps {
		fmt.Fprintf(&b, "%d: %s %d of %v\n", i+1, s.name, s.n, s.inputs)
	}
	return b.String()
}

func (p program) has(name string) bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.name == name })
}

// draw draws a program. Collections that meet in a step have the same windows.
func draw(t *rapid.T) program {
	p := program{elements: rapid.SliceOfN(rapid.IntRange(0, 200), 1, 30).Draw(t, "elements"), spread: rapid.Int64Range(0, 400).Draw(t, "spread")}
	windows := []string{"global"} // of each collection
	for range rapid.IntRange(1, 8).Draw(t, "steps") {
		name := rapid.SampledFrom([]string{"map", "copies", "filter", "part", "reshuffle", "group", "sum", "join", "flatten", "side", "fixed", "sliding", "sessions", "global"}).Draw(t, "step")
		in := rapid.IntRange(0, len(windows)-1).Draw(t, "input")
		s := step{name: name, inputs: []int{in}, n: rapid.IntRange(1, 7).Draw(t, "n")}
		w := windows[in]
		switch name {
		case "join", "flatten", "side":
			var same []int
			for i, o := range windows {
				if o == w {
					same = append(same, i)
				}
			}
			if name == "side" && strings.HasPrefix(w, "sessions") {
				continue // neither runs them
			}
			s.inputs = append(s.inputs, rapid.SampledFrom(same).Draw(t, "other"))
		case "fixed", "sliding", "sessions":
			w = fmt.Sprint(name, s.n)
		case "global":
			w = name
		}
		p.steps = append(p.steps, s)
		windows = append(windows, w)
	}
	return p
}

// build makes the pipeline. Every collection is collected.
func (p program) build(run string) *beam.Pipeline {
	pipeline, s := beam.NewPipelineWithRoot()
	all := []beam.PCollection{beam.ParDo(s, &sourceFn{p.spread}, beam.CreateList(s, p.elements))}
	for _, st := range p.steps {
		in := all[st.inputs[0]]
		var out beam.PCollection
		size := time.Duration(st.n) * time.Second
		switch st.name {
		case "map":
			out = beam.ParDo(s, &mapFn{Keys: st.n, Add: st.n}, in)
		case "copies":
			out = beam.ParDo(s, &copiesFn{}, in)
		case "filter":
			out = beam.ParDo(s, &filterFn{st.n + 1}, in)
		case "part":
			out, _ = beam.ParDo2(s, &partFn{}, in)
		case "reshuffle":
			out = beam.Reshuffle(s, in)
		case "group":
			out = beam.ParDo(s, &groupFn{}, beam.GroupByKey(s, in))
		case "sum":
			out = stats.SumPerKey(s, in)
		case "join":
			out = beam.ParDo(s, &joinFn{}, beam.CoGroupByKey(s, in, all[st.inputs[1]]))
		case "flatten":
			out = beam.Flatten(s, in, all[st.inputs[1]])
		case "side":
			out = beam.ParDo(s, &sideFn{}, in, beam.SideInput{Input: beam.DropKey(s, all[st.inputs[1]])})
		case "fixed":
			out = beam.WindowInto(s, window.NewFixedWindows(size), in)
		case "sliding":
			out = beam.WindowInto(s, window.NewSlidingWindows(size, 2*size), in)
		case "sessions":
			out = beam.WindowInto(s, window.NewSessions(size), in)
		case "global":
			out = beam.WindowInto(s, window.NewGlobalWindows(), in)
		}
		all = append(all, out)
	}
	for i, c := range all {
		beam.ParDo0(s, &collectFn{run, fmt.Sprint(i)}, c)
	}
	return pipeline
}

// results runs the program.
func (p program) results(t *rapid.T, run string, runner func(*beam.Pipeline) error) []string {
	b := &basket{}
	collected.Store(run, b)
	defer collected.Delete(run)
	if err := runner(p.build(run)); err != nil {
		t.Fatalf("%s: %v\n%v", run, err, p)
	}
	slices.Sort(b.lines)
	return b.lines
}

// A random pipeline comes to the same on the direct runner and on Prism.
//
// Prism can let elements pass a side input that is still being made, most often where they reach the step by a Flatten that
// also takes the side input, and then comes to something else from run to run: such a program is put to it again.
func TestRandomPipelines(t *testing.T) {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	beam.Init()
	rapid.Check(t, func(t *rapid.T) {
		p := draw(t)
		got := p.results(t, "direct", func(b *beam.Pipeline) error {
			_, err := direct.Run(context.Background(), b, direct.Options{MaxAttempts: 1})
			return err
		})
		attempts := 1
		if p.has("side") {
			attempts = 20
		}
		var diff string
		for range attempts {
			want := p.results(t, "prism", func(b *beam.Pipeline) error {
				_, err := prism.Execute(context.Background(), b)
				return err
			})
			if diff = cmp.Diff(want, got); diff == "" {
				return
			}
		}
		t.Fatalf("%v(-Prism +direct):\n%s", p, diff)
	})
}
