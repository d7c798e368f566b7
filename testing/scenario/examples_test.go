package scenario_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/braidhq/braid/testing/scenario"
	_ "github.com/braidhq/braid/testing/scenario/directive"
)

var (
	rewrite = flag.Bool("rewrite", false, "write the expected texts anew")
	seed    = flag.Uint64("seed", 0, "of random orders; 0 draws one")
)

// Every example prints what it says, in all the ways of arriving that it asks for; so do the scripts that go through the language.
func TestExamples(t *testing.T) {
	var files []string
	for _, pattern := range []string{"examples/*.scenario", "testdata/language/*.scenario"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d scripts, %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, r := run(t, file, data, scenario.Source{Read: os.ReadFile})
			if *rewrite {
				if err := os.WriteFile(file, s.Rewrite(r), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// run loads and runs a script and reports what fails.
func run(t *testing.T, file string, data []byte, source scenario.Source) (*scenario.Scenario, *scenario.Result) {
	t.Helper()
	s, err := scenario.Load(file, data, source)
	if err != nil {
		t.Fatal(err)
	}
	o := scenario.Options{Seed: *seed}
	if os.Getenv("BRAID_LONG") != "" {
		o.Orders = 500 // of scripts with thousands of events, too
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	r, err := s.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		if !*rewrite || !f.Mendable {
			t.Errorf("%s:%d: %s: %s %s %v (seed %d)\n%s", file, f.Line, f.Directive, f.Message, f.Way, f.Order, o.Seed, f.Diff())
		}
	}
	return s, r
}
