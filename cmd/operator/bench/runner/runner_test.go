package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/cmd/operator/bench/runner"
)

// TestMain is the process that does the work when it is started with "work".
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "work" {
		if err := runner.Do(context.Background(), os.Args[2], map[string]runner.Beam{runner.DirectOne: runner.Direct}, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func commands() map[string][]string {
	work := []string{os.Args[0], "work"}
	return map[string][]string{runner.Bare: work, runner.DirectOne: work}
}

// Everything is measured, and the report says so in snake_case.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Log("the whole of it takes too long under the race detector")
		return
	}
	var out bytes.Buffer
	r, err := runner.Run(t.Context(), runner.Options{Rates: []int{500}, For: 500 * time.Millisecond, Idle: 100 * time.Millisecond, Backlog: 20_000, Rounds: 1, Command: commands(), Out: &out})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for name, figure := range map[string]float64{
		"bare": r.Backlog.Bare, "direct": r.Backlog.Direct, "direct over bare": r.Backlog.DirectOverBare, "bundle": r.Micro.Bundle, "GroupByKey": r.Micro.GroupByKey,
		"CombinePerKey": r.Micro.CombinePerKey, "bare p50": r.LatencyMS["500"][runner.Bare].P50, "direct p99": r.LatencyMS["500"][runner.DirectOne].P99,
	} {
		if figure <= 0 {
			t.Errorf("%s: %v", name, figure)
		}
	}
	if r.Backlog.Prism != 0 || r.Backlog.DirectOverPrism != 0 {
		t.Error("Prism was not there")
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`"latency_ms":{"500":{"bare":{"p50":`, `"backlog":{"bare":`, `"direct_over_bare":`, `"micro":{"bundle_us":`, `"idle_percent":{`} {
		if !strings.Contains(string(text), field) {
			t.Errorf("no %s in %s", field, text)
		}
	}
}

// A process that ends is told, with what it said.
func TestRunFails(t *testing.T) {
	broken := commands()
	broken[runner.DirectOne] = []string{"sh", "-c", "echo it is lost >&2; exit 3"}
	_, err := runner.Run(t.Context(), runner.Options{Rates: []int{500}, Backlog: 1000, Rounds: 1, Command: broken})
	if err == nil || !strings.Contains(err.Error(), "direct") || !strings.Contains(err.Error(), "it is lost") {
		t.Errorf("%v", err)
	}
	if _, err := runner.Run(t.Context(), runner.Options{Rates: []int{0}}); err == nil {
		t.Error("a rate of nothing")
	}
	if err := runner.Do(t.Context(), `{"runner":"spark"}`, nil, nil); err == nil || !strings.Contains(err.Error(), "spark") {
		t.Errorf("%v", err)
	}
}
