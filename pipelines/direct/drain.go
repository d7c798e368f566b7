package direct

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
)

// Drain ends the job without losing anything: running bundles finish, each restriction is truncated as its DoFn says
// (TruncateRestriction), what that leaves is processed, and so is everything in the queues. It returns what Wait returns or,
// when ctx ends first, an error that names the steps that are still at work. The job is then still draining; Cancel ends it.
//
// Without a TruncateRestriction the SDK keeps the whole rest of a restriction whose tracker calls itself bounded. For the
// range [0, MaxInt64) that means for ever.
//
// When the last source has ended, so has time: windows that are still open give out what they hold.
func (e *Engine) Drain(ctx context.Context) error {
	e.drainOnce.Do(func() { close(e.draining) })
	select {
	case <-e.finished:
		return e.err
	case <-ctx.Done():
	}
	e.mu.Lock()
	var busy []string
	for _, s := range e.stages {
		if s.running > 0 || len(s.queue) > 0 {
			busy = append(busy, s.name())
		}
	}
	for _, g := range e.groupings {
		if g.firing {
			busy = append(busy, g.spec.Step)
		}
	}
	e.mu.Unlock()
	return fmt.Errorf("direct: drain: still at work: %s: %w", strings.Join(busy, "; "), context.Cause(ctx))
}

func (e *Engine) isDraining() bool {
	select {
	case <-e.draining:
		return true
	default:
		return false
	}
}

// truncate asks the DoFn what of a restriction it wants to process in a drain. It returns false if that is nothing, and the
// restriction is then closed, or if the job has ended. The instance for it serves only once: truncation needs neither Setup
// nor anything else that lives longer.
func (s *stage) truncate(r item) (item, bool) {
	inst, b, end := s.attempt(nil, s.spec.Truncate, []block{r.block})
	if end != nil {
		s.e.cancel(end)
	}
	if inst != nil {
		inst.teardown()
	}
	if b == nil {
		return item{}, false
	}
	kept := b.outs[0].blocks
	b.outs = nil
	if len(kept) == 0 {
		s.e.commit(s, b, commit{done: []mtime.Time{r.hold}})
		return item{}, false
	}
	return item{kept[0], r.hold}, true
}
