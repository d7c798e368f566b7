package direct_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/braidhq/braid/pipelines/direct"
)

// TestTrapsHaveTests: every test that TRAPS.md names is there.
func TestTrapsHaveTests(t *testing.T) {
	text, err := os.ReadFile("TRAPS.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\[(Test\w+|Benchmark\w+)\]\(([^)]+)\)`).FindAllStringSubmatch(string(text), -1)
	if len(names) < 20 {
		t.Fatalf("%d tests are named", len(names))
	}
	for _, n := range names {
		source, err := os.ReadFile(filepath.FromSlash(n[2]))
		if err != nil || !strings.Contains(string(source), "func "+n[1]+"(") {
			t.Errorf("there is no %s in %s (%v)", n[1], n[2], err)
		}
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| ") && !strings.Contains(line, "](") && !strings.Contains(line, "| trap |") {
			t.Errorf("a trap without a test: %s", line)
		}
	}
}

// TestStageWithoutOutput: a last stage that emits nothing works off what comes while the sources run, and takes no time otherwise.
func TestStageWithoutOutput(t *testing.T) {
	name, box := newSandbox(t)
	p, s := beam.NewPipelineWithRoot()
	const total = 5000
	c := beam.ParDo(s, &streamFn{Total: math.MaxInt64, PerBundle: total, Delay: time.Hour}, beam.CreateList(s, ints(0, 1)))
	beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
	e := start(t, p, direct.Options{})
	eventually(t, "all has come", func() bool { return len(box.values()) == total })
	bundles := func() (n int64) {
		for _, s := range e.Stages() {
			n += s.Bundles
		}
		return n
	}
	eventually(t, "the last bundle is done", func() bool {
		for _, s := range e.Stages() {
			if s.Running > 0 && s.Steps[0] != "direct_test.streamFn" {
				return false
			}
		}
		return true
	})
	before := bundles()
	for range 100 { // whoever is at work gets a chance to show it
		time.Sleep(time.Microsecond)
	}
	if after := bundles(); after != before {
		t.Errorf("%d bundles while nothing came", after-before)
	}
	e.Cancel()
}

// TestManyRestrictionsAtOnce: sources that never end all run at once, however many there are.
func TestManyRestrictionsAtOnce(t *testing.T) {
	name, box := newSandbox(t)
	const sources = 40
	var began atomic.Int64
	all := make(chan struct{})
	box.hook = func(ctx context.Context, _ int) error {
		if began.Add(1) == sources {
			close(all)
		}
		select { // none comes back before all have begun
		case <-all:
		case <-ctx.Done():
		}
		return nil
	}
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: 1, PerBundle: 1}, beam.CreateList(s, ints(0, sources)))
	beam.ParDo(s, &hookFn{Sandbox: name}, c)
	run(t, p, direct.Options{Workers: 1, Restrictions: 1})
	if n := began.Load(); n != sources {
		t.Errorf("%d sources ran", n)
	}
}

// TestDeadline: a context with a deadline ends the job in good order.
func TestDeadline(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo(s, &streamFn{Total: math.MaxInt64, PerBundle: 10, Delay: time.Millisecond}, beam.CreateList(s, ints(0, 4)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := direct.Run(ctx, p, direct.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
