package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/scenario"
)

// FuzzLoad: no text breaks the compiler, mistakes name a line of it, and what compiles runs.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"examples/*.scenario", "testdata/mistakes/*.scenario"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
	f.Add(shop + "repeat 3 every 1h as x\n  repeat 2\n    event +1m page_view cookie={x}{n:2}\n    raw 11:00 {x}\nexplain cookie=11\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scenario.Load("fuzz.scenario", []byte(text), scenario.Source{MaxRecords: 20})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz.scenario:") {
				t.Errorf("the error names no line: %v", err)
			}
			return
		}
		for _, many := range []string{"permute", "replay", "partitions"} { // they would take their time
			if strings.Contains(text, many) {
				return
			}
		}
		r, err := s.Run(t.Context(), scenario.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rewritten := s.Rewrite(r)
		again, err := scenario.Load("fuzz.scenario", rewritten, scenario.Source{MaxRecords: 20})
		if err != nil {
			t.Fatalf("what was rewritten does not load: %v\n%s", err, rewritten)
		}
		if r, err = again.Run(t.Context(), scenario.Options{}); err != nil {
			t.Fatal(err)
		}
		for _, failure := range r.Failures {
			if failure.Mendable {
				t.Errorf("line %d still differs after it was rewritten:\n%s\n%s", failure.Line, failure.Diff(), rewritten)
			}
		}
	})
}
