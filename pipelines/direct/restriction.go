package direct

import (
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec"
)

// restriction processes a restriction bundle by bundle, from residual to residual, until nothing is left of it or the job
// ends. It keeps its instance all the way, unless a bundle fails.
func (s *stage) restriction(inst *instance, r item) *instance {
	e := s.e
	var resume *time.Timer
	truncated := false
	for {
		if !truncated && e.isDraining() {
			var ok bool
			if r, ok = s.truncate(r); !ok {
				return inst
			}
			truncated = true // once: what is left was wanted
		}
		var b *bundle
		var end *BundleError
		if inst, b, end = s.attempt(inst, s.spec.Descriptor, []block{r.block}); end != nil {
			e.cancel(end) // a restriction cannot be left out: what it stands for would be lost
		}
		if b == nil {
			return inst
		}
		// Bundles hold one restriction with one window, so this is one residual or none. Should the executor ever return
		// more, the others become restrictions of their own.
		var residuals []item
		var delay time.Duration
		for _, cp := range inst.plan.Checkpoint() {
			for _, rs := range cp.SR.RS {
				residuals, delay = append(residuals, item{rs, max(r.hold, estimate(cp))}), max(delay, cp.Reapply)
			}
		}
		if len(residuals) == 0 {
			e.commit(s, b, commit{done: []mtime.Time{r.hold}})
			return inst
		}
		if !e.commit(s, b, commit{done: []mtime.Time{r.hold}, kept: &residuals[0].hold, residuals: residuals[1:]}) {
			return inst
		}
		if r = residuals[0]; delay <= 0 {
			continue
		}
		if resume == nil {
			resume = time.NewTimer(delay)
			defer resume.Stop()
		} else {
			resume.Reset(delay)
		}
		select {
		case <-resume.C:
		case <-e.draining:
			if truncated && !wait(e, resume) {
				return inst
			}
		case <-e.ctx.Done():
			return inst
		}
	}
}

// wait waits for a timer, false if the job ends first.
func wait(e *Engine, t *time.Timer) bool {
	select {
	case <-t.C:
		return true
	case <-e.ctx.Done():
		return false
	}
}

// estimate returns what the watermark estimator of a DoFn says about its residual. Without an estimator that is nothing, and
// the watermark stands still until the restriction ends.
func estimate(cp *exec.Checkpoint) mtime.Time {
	if len(cp.SR.OW) == 0 {
		return mtime.MinTimestamp
	}
	least := mtime.MaxTimestamp
	for _, t := range cp.SR.OW {
		least = min(least, mtime.FromTime(t.AsTime()))
	}
	return least
}
