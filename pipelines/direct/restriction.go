package direct

import (
	"time"
)

// restriction processes a restriction bundle by bundle, from residual to residual, until nothing is left of it or the job
// ends. It keeps its instance all the way, unless a bundle fails.
func (s *stage) restriction(inst *instance, r block) *instance {
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
		if inst, b = s.attempt(inst, s.spec.descriptor, []block{r}); b == nil {
			return inst
		}
		// Bundles hold one restriction with one window, so this is one residual or none. Should the executor ever return
		// more, the others become restrictions of their own.
		var residuals []block
		var delay time.Duration
		for _, cp := range inst.plan.Checkpoint() {
			for _, rs := range cp.SR.RS {
				residuals, delay = append(residuals, rs), max(delay, cp.Reapply)
			}
		}
		if len(residuals) == 0 {
			e.commit(s, b, nil, 1)
			return inst
		}
		if !e.commit(s, b, residuals[1:], 0) {
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

// truncate asks the DoFn what of a restriction it wants to process in a drain. It returns false if that is nothing, and the
// restriction is then closed, or if the job has ended. The instance for it serves only once: truncation needs neither Setup
// nor anything else that lives longer.
func (s *stage) truncate(r block) (block, bool) {
	inst, b := s.attempt(nil, s.spec.truncate, []block{r})
	if inst != nil {
		inst.teardown()
	}
	if b == nil {
		return nil, false
	}
	kept := b.outs[0].blocks
	b.outs = nil
	if len(kept) == 0 {
		s.e.commit(s, b, nil, 1)
		return nil, false
	}
	return kept[0], true
}
