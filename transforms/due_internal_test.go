package transforms

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"

	_ "github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/update"
)

// A runner that resumes at once, as Flink does, still has the schedule looked at no more often than it should be.
func TestDueWaitsForItsTime(t *testing.T) {
	f := &dueFn{Segment: Segment{File: "segment.yaml", Text: "segment: due\nprofile_key: id\nkeys: [{name: id}]\ntables: {visits: {}}\n"}, Store: "memory:due-waits", Topic: "events"}
	if err := f.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer f.Teardown()
	look := func(ctx context.Context) (sdf.ProcessContinuation, error) {
		return f.ProcessElement(ctx, f.CreateTracker(f.CreateInitialRestriction(nil)), nil, func(update.Due) {})
	}
	if _, err := look(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 2 {
		if continuation, err := look(t.Context()); err != nil || continuation.ResumeDelay() != dueInterval {
			t.Fatalf("to be continued in %v, %v", continuation.ResumeDelay(), err)
		}
	}
	if took := time.Since(began); took < dueInterval*3/2 { // the first look was a little before
		t.Errorf("two looks in %v, %v apart they should be", took, dueInterval)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := look(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled look: %v", err)
	}
}
