package direct_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/pipelines/direct"
)

// TestSetAside: whichever elements cannot be processed, those and no others are set aside, and all others arrive once.
func TestSetAside(t *testing.T) {
	name, box := newSandbox(t)
	rapid.Check(t, func(t *rapid.T) {
		const total = 60
		bad := rapid.SliceOfDistinct(rapid.IntRange(0, total-1), rapid.ID).Draw(t, "bad")
		permanent := rapid.Bool().Draw(t, "permanent")
		box.mu.Lock()
		box.got = nil
		box.mu.Unlock()
		box.hook = func(_ context.Context, v int) error {
			switch {
			case !slices.Contains(bad, v):
				return nil
			case permanent:
				return permanentError{}
			case v%2 == 0:
				panic("poison")
			}
			return errFlaky
		}
		var mu sync.Mutex
		var steps []string
		p, s := beam.NewPipelineWithRoot()
		c := beam.ParDo(s.Scope("Bad"), &hookFn{Sandbox: name}, beam.Reshuffle(s, beam.CreateList(s, ints(0, total))))
		beam.ParDo0(s, &collectIntFn{Sandbox: name}, beam.Reshuffle(s, c))
		opts := direct.Options{MaxAttempts: 2, Backoff: 1, MaxBackoff: 1, SetAside: func(p direct.Poison) {
			mu.Lock()
			defer mu.Unlock()
			if len(p.Element) == 0 || p.Err == nil {
				t.Errorf("%+v", p)
			}
			steps = append(steps, p.Step)
		}}
		if _, err := direct.Run(context.Background(), p, opts); err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(ints(0, total), func(v int) bool { return slices.Contains(bad, v) })
		if diff := cmp.Diff(want, box.values(), cmpEmpty); diff != "" {
			t.Fatalf("arrived (-want +got):\n%s", diff)
		}
		if len(steps) != len(bad) {
			t.Fatalf("%d elements were set aside, want %d", len(steps), len(bad))
		}
		for _, step := range steps {
			if !strings.Contains(step, "Bad/direct_test.hookFn") {
				t.Errorf("step %q", step)
			}
		}
	})
}

var cmpEmpty = cmp.Transformer("empty", func(v []int) []int { return append([]int{}, v...) })

// TestSourcesAreNotSetAside: what is fused behind a source fails the job, for there is no element to be set aside.
func TestSourcesAreNotSetAside(t *testing.T) {
	name, box := newSandbox(t)
	box.hook = func(context.Context, int) error { return errFlaky }
	p, s := beam.NewPipelineWithRoot()
	c := beam.ParDo(s, &streamFn{Total: 3, PerBundle: 1}, beam.CreateList(s, ints(0, 1)))
	beam.ParDo(s, &hookFn{Sandbox: name}, c)
	_, err := direct.Run(t.Context(), p, direct.Options{MaxAttempts: 2, Backoff: 1, MaxBackoff: 1, SetAside: func(p direct.Poison) { t.Errorf("%+v", p) }})
	var b *direct.BundleError
	if !errors.As(err, &b) || !errors.Is(err, errFlaky) {
		t.Errorf("error %v", err)
	}
}
