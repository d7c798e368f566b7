package program_test

import (
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/pipelines/direct/element"
	"github.com/braidhq/braid/pipelines/direct/program"
)

func init() {
	register.Function1x2(keyed)
	register.Function1x2(told)
	beam.Init()
}

func keyed(v int) (int, int) { return v % 2, v }
func told(v int) (bool, int) { return v%2 == 0, v }

// TestSideWindow: the earliest window of the side input that holds the last moment of the main window.
func TestSideWindow(t *testing.T) {
	fixed := program.Windowing{Kind: graphx.URNFixedWindowsWindowFn, Size: 10 * time.Millisecond}
	sliding := program.Windowing{Kind: graphx.URNSlidingWindowsWindowFn, Size: 10 * time.Millisecond, Period: 5 * time.Millisecond}
	tests := []struct {
		name       string
		side       program.Windowing
		main, want element.Window
	}{
		{"fixed in fixed", fixed, element.Window{Start: 12, End: 14}, element.Window{Start: 10, End: 20}},
		{"longer than the side", fixed, element.Window{Start: 0, End: 40}, element.Window{Start: 30, End: 40}},
		{"sliding", sliding, element.Window{Start: 12, End: 14}, element.Window{Start: 5, End: 15}},
		{"global", program.Windowing{Kind: graphx.URNGlobalWindowsWindowFn}, element.Window{Start: 12, End: 14}, element.Global},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.side.SideWindow(tt.main); got != tt.want {
				t.Errorf("window %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestTranslate shows the nodes of a pipeline: the steps of each stage, and the groupings between them.
func TestTranslate(t *testing.T) {
	tests := []struct {
		name  string
		build func(s beam.Scope, c beam.PCollection)
		want  []string
	}{
		{"lifted combine", func(s beam.Scope, c beam.PCollection) { stats.SumPerKey(s, beam.ParDo(s, keyed, c)) }, []string{
			"beam.createFn", "program_test.keyed", "stats.SumPerKey/CombinePerKey", "grouping stats.SumPerKey/CombinePerKey", "stats.SumPerKey/CombinePerKey"}},
		{"behind a reshuffle", func(s beam.Scope, c beam.PCollection) { beam.GroupByKey(s, beam.Reshuffle(s, beam.ParDo(s, keyed, c))) }, []string{
			"beam.createFn", "program_test.keyed", "grouping CoGBK"}},
		{"a key that the SDK cannot hash", func(s beam.Scope, c beam.PCollection) { stats.SumPerKey(s, beam.ParDo(s, told, c)) }, []string{
			"beam.createFn", "program_test.told", "grouping stats.SumPerKey/CombinePerKey/CoGBK", "stats.SumPerKey/CombinePerKey/stats.sumIntFn"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			tt.build(s, beam.Create(s, 1, 2, 3))
			edges, _, err := p.Build()
			if err != nil {
				t.Fatal(err)
			}
			pb, err := graphx.Marshal(edges, &graphx.Options{Environment: &pipepb.Environment{Urn: "beam:env:embedded:v1"}})
			if err != nil {
				t.Fatal(err)
			}
			prog, err := program.Translate(pb)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range prog.Nodes {
				if n.Grouping != nil {
					got = append(got, "grouping "+n.Grouping.Step)
				} else {
					got = append(got, n.Stage.Steps...)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
		})
	}
}
