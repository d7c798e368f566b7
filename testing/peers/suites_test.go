package peers

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write CONFORMANCE.md anew")

// runners by the names under which the SDK knows them, in the order of the table's columns.
var runners = []string{"braid-direct", "prism"}

// TestConformance runs the SDK's own tests on the direct runner and on Prism. CONFORMANCE.md is the table of what came out, and must be
// current: go test -run TestConformance . -rewrite writes it anew.
func TestConformance(t *testing.T) {
	sdk, err := Copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	counts := map[Outcome]int{}
	for _, s := range Suites() {
		t.Run(s.Package, func(t *testing.T) {
			b, err := sdk.Build(t.Context(), s, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			tests, err := b.Tests(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var results []map[string]Result
			for _, r := range runners {
				m, err := b.Results(t.Context(), r, tests)
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, m)
			}
			fmt.Fprintf(&table, "\n## %s\n\n| test | direct | Prism |\n|---|---|---|\n", s.Package)
			for _, name := range tests {
				direct, prism := results[0][name], results[1][name]
				counts[direct.Outcome]++
				if direct.Outcome == Failed || direct.Outcome == Missing {
					t.Errorf("%s on direct: %s: %s", name, direct.Outcome, direct.Reason)
				}
				if prism.Outcome == Failed || prism.Outcome == Missing {
					t.Logf("%s on Prism: %s: %s", name, prism.Outcome, prism.Reason)
				}
				fmt.Fprintf(&table, "| %s | %s | %s |\n", name, cell(direct), cell(prism))
			}
			for _, name := range slices.Sorted(maps.Keys(s.Skip)) {
				fmt.Fprintf(&table, "| %s | left out: %s | |\n", name, s.Skip[name])
			}
		})
	}
	if t.Failed() {
		return
	}
	text := fmt.Sprintf(head, counts[Passed], counts[Refused], counts[Skipped]) + table.String()
	const file = "../../pipelines/direct/CONFORMANCE.md"
	if *rewrite {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(old), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("CONFORMANCE.md is not current, run the test with -rewrite (-file +now):\n%s", diff)
	}
}

func cell(r Result) string {
	switch r.Outcome {
	case Refused:
		return "refused: " + strings.ReplaceAll(r.Reason, `"`, "")
	case Skipped:
		return "skipped by the test"
	}
	return string(r.Outcome)
}

const head = `# Conformance of the direct runner

Written by the test in testing/peers; do not edit. The tests are the SDK's own, unchanged, run on the direct runner and on Prism, the
SDK's local runner: those that need nothing but a runner (no cloud, no database, no other language).

On direct %d tests pass; %d are refused before anything runs, with an error that names the step, the feature and the runner to use;
%d are skipped by the tests themselves. None fails.

Why things are refused: state, timers and triggers cost a remote call per element elsewhere, and Braid keeps its state in
a store; TestStream plays watermarks to a runner in tests, which the runner's own tests do with an unbounded splittable DoFn; bundle finalization
is broken in the SDK.
`
