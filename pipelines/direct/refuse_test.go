package direct_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window/trigger"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn3x1[state.Provider, string, int, error](&stateFn{})
	register.DoFn4x1[beam.Window, timers.Provider, string, int, error](&timerFn{})
	register.DoFn2x0[beam.BundleFinalization, int](&finalizeFn{})
	register.DoFn1x0[int](&finalizeAtStartFn{})
	register.DoFn1x0[int](&finalizeAtFinishFn{})
	register.DoFn2x0[int, func(*int) bool](&sideFn{})
	register.Function1x2(pairOf)
	register.Function1x0(drop)
}

type stateFn struct{ Count state.Value[int] }

func (f *stateFn) ProcessElement(p state.Provider, _ string, v int) error { return f.Count.Write(p, v) }

type timerFn struct{ Due timers.ProcessingTime }

func (f *timerFn) ProcessElement(_ beam.Window, p timers.Provider, _ string, _ int) error {
	f.Due.Set(p, time.Now())
	return nil
}
func (f *timerFn) OnTimer(context.Context, beam.EventTime, timers.Provider, string, timers.Context) {}

type finalizeFn struct{}

func (*finalizeFn) ProcessElement(beam.BundleFinalization, int) {}

type finalizeAtStartFn struct{}

func (*finalizeAtStartFn) StartBundle(beam.BundleFinalization) {}
func (*finalizeAtStartFn) ProcessElement(int)                  {}

type finalizeAtFinishFn struct{}

func (*finalizeAtFinishFn) ProcessElement(int)                   {}
func (*finalizeAtFinishFn) FinishBundle(beam.BundleFinalization) {}

type sideFn struct{}

func (*sideFn) ProcessElement(int, func(*int) bool) {}

func pairOf(v int) (string, int) { return "k", v }
func drop(int)                   {}

// TestRefusals: what the runner cannot run is refused before anything runs, with the step and a way out.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		build   func(s beam.Scope, c beam.PCollection)
		step    string
		feature string
		advice  string
	}{
		{"trigger", func(s beam.Scope, c beam.PCollection) {
			kv := beam.WindowInto(s, window.NewFixedWindows(time.Second), beam.ParDo(s, pairOf, c), beam.Trigger(trigger.Always()), beam.PanesDiscard())
			beam.GroupByKey(s, kv)
		}, "Step/CoGBK", "GroupByKey with a trigger", "--runner=flink"},
		{"trigger of a combine", func(s beam.Scope, c beam.PCollection) {
			kv := beam.WindowInto(s, window.NewFixedWindows(time.Second), beam.ParDo(s, pairOf, c), beam.Trigger(trigger.AfterCount(2)), beam.PanesDiscard())
			stats.SumPerKey(s, kv)
		}, "Step/stats.SumPerKey/CombinePerKey", "GroupByKey with a trigger", "--runner=flink"},
		{"side input with a trigger", func(s beam.Scope, c beam.PCollection) {
			side := beam.WindowInto(s, window.NewFixedWindows(time.Second), c, beam.Trigger(trigger.Always()), beam.PanesDiscard())
			beam.ParDo0(s, &sideFn{}, beam.WindowInto(s, window.NewFixedWindows(time.Second), c), beam.SideInput{Input: side})
		}, "Step/direct_test.sideFn", "side input with a trigger", "--runner=flink"},
		{"state", func(s beam.Scope, c beam.PCollection) {
			beam.ParDo0(s, &stateFn{Count: state.MakeValueState[int]("count")}, beam.ParDo(s, pairOf, c))
		}, "Step/direct_test.stateFn", "state", "--runner=flink"},
		{"timers", func(s beam.Scope, c beam.PCollection) {
			beam.ParDo0(s, &timerFn{Due: timers.InProcessingTime("due")}, beam.ParDo(s, pairOf, c))
		}, "Step/direct_test.timerFn", "timers", "--runner=flink"},
		{"bundle finalization", func(s beam.Scope, c beam.PCollection) {
			beam.ParDo0(s, &finalizeFn{}, c)
		}, "Step/direct_test.finalizeFn", "bundle finalization", "no runner"},
		{"bundle finalization in StartBundle", func(s beam.Scope, c beam.PCollection) {
			beam.ParDo0(s, &finalizeAtStartFn{}, c)
		}, "Step/direct_test.finalizeAtStartFn", "bundle finalization", "no runner"},
		{"bundle finalization in FinishBundle", func(s beam.Scope, c beam.PCollection) {
			beam.ParDo0(s, &finalizeAtFinishFn{}, c)
		}, "Step/direct_test.finalizeAtFinishFn", "bundle finalization", "no runner"},
		{"splittable behind sliding windows", func(s beam.Scope, c beam.PCollection) {
			w := beam.WindowInto(s, window.NewSlidingWindows(time.Second, 2*time.Second), c)
			beam.ParDo(s, &streamFn{Total: 1, PerBundle: 1}, w)
		}, "Step/direct_test.streamFn", "splittable DoFn behind sliding windows", "after the splittable DoFn"},
		{"transform of another language", func(s beam.Scope, c beam.PCollection) {
			beam.External(s, "example:other:v1", nil, []beam.PCollection{c}, []beam.FullType{c.Type()}, true)
		}, "Step/External", "example:other:v1", "--runner=flink"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, box := newSandbox(t)
			p, s := beam.NewPipelineWithRoot()
			c := beam.ParDo(s, &hookFn{Sandbox: name, Name: "h"}, beam.CreateList(s, ints(0, 3)))
			tt.build(s.Scope("Step"), c)
			_, err := direct.Run(t.Context(), p, direct.Options{})
			var u *direct.UnsupportedError
			if !errors.As(err, &u) {
				t.Fatalf("error %v, want an UnsupportedError", err)
			}
			if !strings.Contains(u.Step, tt.step) || !strings.Contains(u.Feature, tt.feature) || !strings.Contains(u.Advice, tt.advice) {
				t.Errorf("refused %q for %q with advice %q; want %q, %q, %q", u.Step, u.Feature, u.Advice, tt.step, tt.feature, tt.advice)
			}
			if strings.Count(err.Error(), "direct: step") != 1 {
				t.Errorf("more than one refusal:\n%v", err)
			}
			if calls := box.called(); len(calls) > 0 {
				t.Errorf("calls before the refusal: %v", calls)
			}
		})
	}
}

// TestAllRefusalsAtOnce: a pipeline that cannot run says everything that is wrong with it.
func TestAllRefusalsAtOnce(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	c := beam.CreateList(s, ints(0, 3))
	beam.ParDo0(s.Scope("One"), &finalizeAtStartFn{}, c)
	beam.ParDo0(s.Scope("Two"), &finalizeFn{}, c)
	_, err := direct.Run(t.Context(), p, direct.Options{})
	for _, step := range []string{`"One/direct_test.finalizeAtStartFn"`, `"Two/direct_test.finalizeFn"`} {
		if err == nil || !strings.Contains(err.Error(), step) {
			t.Errorf("error does not name %s:\n%v", step, err)
		}
	}
}
