package direct

import "github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"

// flow is how far event time has come before and behind a node. No element earlier than in will come to the node any more,
// except late ones, and none earlier than out will leave it. Both only grow. They are guarded by the engine's mutex.
type flow struct {
	ups     []*flow // of the nodes that produce the input
	in, out mtime.Time
}

func newFlow() flow { return flow{in: mtime.MinTimestamp, out: mtime.MinTimestamp} }

// passed returns the watermark of the collections that some nodes produce together.
func passed(ups []*flow) mtime.Time {
	least := mtime.MaxTimestamp
	for _, u := range ups {
		least = min(least, u.out)
	}
	return least
}

// node is a stage or a grouping.
type node interface {
	// advance takes over the watermarks of the nodes before it, and lets go on what waited for them. It needs e.mu.
	advance()
}

// output returns what the watermark behind the stage may be: its input's, but not beyond what is queued or running. A block
// counts with the watermark that the stage had when the block came: whatever was on time then stays on time. A residual counts
// with what the DoFn's watermark estimator says.
func (s *stage) output() mtime.Time { return min(passed(s.ups), s.holds.least()) }

func (s *stage) advance() {
	s.in = max(s.in, passed(s.ups))
	if out := s.output(); out > s.out {
		s.out = out
		for _, side := range s.sides {
			side.forget(out, s.spec.Windowing.Lateness)
		}
	}
	s.release()
}

// holds is a bag of times that knows its least.
type holds struct {
	counts map[mtime.Time]int
	low    mtime.Time // valid if counts is not empty
}

func (h *holds) add(t mtime.Time) {
	if h.counts == nil {
		h.counts = map[mtime.Time]int{}
	}
	if len(h.counts) == 0 || t < h.low {
		h.low = t
	}
	h.counts[t]++
}

func (h *holds) remove(t mtime.Time) {
	if h.counts[t]--; h.counts[t] > 0 {
		return
	}
	delete(h.counts, t)
	if t != h.low {
		return
	}
	h.low = mtime.MaxTimestamp
	for o := range h.counts {
		h.low = min(h.low, o)
	}
}

// least returns the least time, or the end of time if there is none.
func (h *holds) least() mtime.Time {
	if len(h.counts) == 0 {
		return mtime.MaxTimestamp
	}
	return h.low
}
