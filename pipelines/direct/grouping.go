package direct

import (
	"errors"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"

	"github.com/braidhq/braid/pipelines/direct/grouping"
	"github.com/braidhq/braid/pipelines/direct/program"
)

// errEnded stops a grouping from giving out more when the job has ended.
var errEnded = errors.New("direct: job ended")

// grouper is a GroupByKey at work. It has no queue: whoever commits a bundle puts the elements into its table, under the lock
// of a shard. When the watermark has passed a window, a goroutine takes the groups out of the table and delivers them.
type grouper struct {
	flow
	e      *Engine
	spec   *program.Grouping
	table  *grouping.Table
	outs   output       // template
	mark   atomic.Int64 // in, for those who do not hold the engine's lock
	firing bool         // a goroutine is at it; meanwhile out stands still
}

func newGrouping(e *Engine, spec *program.Grouping) *grouper {
	w := grouping.Windowing{Merging: spec.Windowing.Merging(), Lateness: spec.Windowing.Lateness, Accumulating: spec.Windowing.Accumulating}
	g := &grouper{e: e, spec: spec, flow: newFlow(), table: grouping.NewTable(spec.Elements, spec.Elements, w, e.memory)}
	g.mark.Store(int64(g.in))
	return g
}

// add puts elements into the table. Their producer is still holding the watermark back.
func (g *grouper) add(bs []block) (urgent bool, err error) {
	for _, b := range bs {
		u, err := g.table.Add(b, mtime.Time(g.mark.Load()))
		if err != nil {
			return false, err
		}
		urgent = urgent || u
	}
	return urgent, nil
}

func (g *grouper) advance() {
	g.in = max(g.in, passed(g.ups))
	g.mark.Store(int64(g.in))
	switch {
	case g.firing:
	case g.table.Due(g.in):
		g.firing = true
		g.e.open++
		g.e.workers.Add(1)
		go g.fire()
	default:
		g.out = max(g.out, min(g.in, g.table.Hold()))
	}
}

// fire delivers what is due until nothing is.
func (g *grouper) fire() {
	e := g.e
	defer e.workers.Done()
	for again := true; again; {
		o := g.outs
		size := 0
		err := g.table.Fire(mtime.Time(g.mark.Load()), func(group []byte) error {
			o.Write(group)
			if size += len(group); size < maxBundleBytes {
				return nil
			}
			size = 0
			return e.pass(&o)
		})
		if err == nil {
			err = e.pass(&o)
		}
		if errors.Is(err, errEnded) {
			return
		}
		if err != nil {
			e.cancel(&BundleError{Step: g.spec.Step, Attempts: 1, Err: err})
			return
		}
		e.mu.Lock()
		if again = g.table.Due(g.in); !again {
			g.firing = false
			e.open--
			e.settle()
		}
		e.mu.Unlock()
	}
}

// pass delivers an output that belongs to no bundle, and empties it. It waits for room.
func (e *Engine) pass(o *output) error {
	if _, err := o.prepare(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.ctx.Err() == nil && o.blocked() {
		e.room.Wait()
	}
	if e.ctx.Err() != nil {
		return errEnded
	}
	e.deliver(o)
	o.blocks = nil
	return nil
}

// GroupingStats are figures about a GroupByKey.
type GroupingStats struct {
	// Step is its full name.
	Step string
	// Held is about how many bytes of memory its open windows take.
	Held int64
	// Late is how many elements came after the allowed lateness and were dropped, each counted once per window.
	Late int64
}

// Groupings returns figures about the GroupByKeys, in data-flow order.
func (e *Engine) Groupings() []GroupingStats {
	var out []GroupingStats
	for _, g := range e.groupings {
		out = append(out, GroupingStats{Step: g.spec.Step, Held: g.table.Bytes(), Late: g.table.Late()})
	}
	return out
}

// Spilled returns how many bytes groupings have moved to disk so far.
func (e *Engine) Spilled() int64 { return e.memory.Spilled() }
