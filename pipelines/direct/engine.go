package direct

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"

	"github.com/braidhq/braid/pipelines/direct/grouping"
	"github.com/braidhq/braid/pipelines/direct/program"
)

// ErrCancelled is the error of a job that Cancel ended.
var ErrCancelled = errors.New("direct: job cancelled")

// Engine is a running job. Its methods may be called from any goroutine.
type Engine struct {
	opts      Options
	names     map[string]string // transform ID -> full name of its step
	nodes     []node            // stages and groupings, in data-flow order
	stages    []*stage
	targets   map[string]*target // PCollection -> who reads it
	timed     bool               // something waits for watermarks
	memory    *grouping.Memory
	groupings []*grouper

	ctx       context.Context
	cancel    context.CancelCauseFunc
	draining  chan struct{} // closed by Drain
	drainOnce sync.Once
	complete  chan struct{} // closed when nothing is left to process
	finished  chan struct{} // closed when every goroutine is gone and every DoFn torn down
	err       error         // valid once finished
	workers   sync.WaitGroup
	bundles   atomic.Int64 // numbers bundles
	totals    totals

	mu      sync.Mutex
	room    *sync.Cond // a queue became shorter, or the job ended
	open    int        // blocks queued or in a running bundle, restrictions not yet done, and groupings that fire
	failing map[*Failure]struct{}
}

// Start begins to run the pipeline and returns at once. The errors are those of Run that need no running pipeline.
// The job ends when all elements are processed, when a bundle fails for good, or when ctx ends. The caller must call Wait, or
// Drain until it returns, to let go of it.
func Start(ctx context.Context, p *beam.Pipeline, opts Options) (*Engine, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, fmt.Errorf("direct: build pipeline: %w", err)
	}
	pb, err := graphx.Marshal(edges, &graphx.Options{Environment: &pipepb.Environment{Urn: "beam:env:embedded:v1"}})
	if err != nil {
		return nil, fmt.Errorf("direct: marshal pipeline: %w", err)
	}
	prog, err := program.Translate(pb)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		opts:     opts.withDefaults(),
		names:    prog.Names,
		targets:  map[string]*target{},
		draining: make(chan struct{}),
		complete: make(chan struct{}),
		finished: make(chan struct{}),
		failing:  map[*Failure]struct{}{},
	}
	e.room = sync.NewCond(&e.mu)
	e.memory = grouping.NewMemory(e.opts.GroupingBytes, e.opts.TempDir)
	if err := e.build(prog); err != nil {
		return nil, err
	}
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	if err := e.impulse(prog.Impulses); err != nil {
		e.cancel(nil)
		return nil, err
	}
	go e.supervise()
	return e, nil
}

// build makes the stages and groupings, and connects them.
func (e *Engine) build(prog *program.Program) error {
	producers := map[string]*flow{}
	upstream := func(pcs []string) (ups []*flow) {
		for _, pc := range pcs {
			if f := producers[pc]; f != nil { // an Impulse is over before anything begins
				ups = append(ups, f)
			}
		}
		return ups
	}
	for _, n := range prog.Nodes {
		if n.Grouping != nil {
			g := newGrouping(e, n.Grouping)
			g.ups = upstream(n.Grouping.Origins)
			for _, o := range n.Grouping.Origins {
				e.target(o).groupings = append(e.target(o).groupings, g)
			}
			producers[n.Grouping.Output] = &g.flow
			e.nodes, e.groupings = append(e.nodes, g), append(e.groupings, g)
			continue
		}
		// A plan that cannot be built must fail here and not in a bundle, where it would be tried for ever.
		for _, desc := range []*fnpb.ProcessBundleDescriptor{n.Stage.Descriptor, n.Stage.Truncate} {
			if _, err := newPlan(desc); desc != nil && err != nil {
				return fmt.Errorf("direct: steps %q: %w", n.Stage.Steps, err)
			}
		}
		s := newStage(e, n.Stage)
		s.ups = upstream(n.Stage.Origins)
		for _, o := range n.Stage.Origins {
			e.target(o).stages = append(e.target(o).stages, s)
		}
		for _, side := range s.sides {
			side.ups = upstream(side.spec.Origins)
			for _, o := range side.spec.Origins {
				e.target(o).sides = append(e.target(o).sides, side)
			}
		}
		for _, o := range n.Stage.Outputs {
			producers[o] = &s.flow
		}
		e.nodes, e.stages = append(e.nodes, s), append(e.stages, s)
		e.timed = e.timed || len(s.sides) > 0
	}
	e.timed = e.timed || len(e.groupings) > 0
	for _, s := range e.stages {
		s.bindOutputs()
	}
	for _, g := range e.groupings {
		g.outs = newOutput("", e.target(g.spec.Output))
	}
	return nil
}

// target returns who reads a PCollection.
func (e *Engine) target(pc string) *target {
	t := e.targets[pc]
	if t == nil {
		t = &target{}
		e.targets[pc] = t
	}
	return t
}

// impulse delivers the one empty element of each Impulse, and with that starts the job.
func (e *Engine) impulse(pcs []string) error {
	var b bytes.Buffer
	enc := exec.MakeWindowEncoder(coder.NewGlobalWindow())
	if err := exec.EncodeWindowedValueHeader(enc, window.SingleGlobalWindow, mtime.MinTimestamp, typex.NoFiringPane(), &b); err != nil {
		return fmt.Errorf("direct: encode impulse: %w", err)
	}
	if err := coder.EncodeBytes(nil, &b); err != nil {
		return fmt.Errorf("direct: encode impulse: %w", err)
	}
	var outs []output
	for _, pc := range pcs {
		o := newOutput("", e.target(pc))
		o.blocks = []block{b.Bytes()}
		if _, err := o.prepare(); err != nil {
			return fmt.Errorf("direct: deliver impulse: %w", err)
		}
		outs = append(outs, o)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range outs {
		e.deliver(&outs[i])
	}
	e.settle()
	return nil
}

// supervise waits for the end of the job and clears up behind it.
func (e *Engine) supervise() {
	select {
	case <-e.complete:
	case <-e.ctx.Done():
		e.mu.Lock()
		e.room.Broadcast()
		e.mu.Unlock()
	}
	e.workers.Wait()
	select {
	case <-e.complete:
	default:
		e.err = context.Cause(e.ctx)
	}
	for _, s := range e.stages {
		for _, in := range s.idle {
			in.teardown()
		}
		s.idle = nil
	}
	// Only files that nobody needs are at stake: they are in a directory for temporary ones.
	_ = e.memory.Close()
	e.cancel(nil)
	close(e.finished)
}

// deliver queues a prepared output with its readers. It needs e.mu.
func (e *Engine) deliver(o *output) {
	if len(o.blocks) == 0 {
		return
	}
	gated := 0
	for _, s := range o.to.stages {
		if len(s.sides) > 0 {
			s.await(o.gated[gated])
			gated++
			continue
		}
		items := make([]item, len(o.blocks))
		for i, b := range o.blocks {
			items[i] = item{b, s.in}
		}
		s.accept(items)
	}
}

// accept queues items, with their holds. It needs e.mu.
func (s *stage) accept(items []item) {
	s.e.open += len(items)
	for i := range items {
		s.holds.add(items[i].hold)
	}
	s.push(items)
}

// commit is what the success of a bundle changes beside its outputs.
type commit struct {
	done      []mtime.Time // holds of the blocks or restrictions that it ran
	kept      *mtime.Time  // hold of the residual that the caller goes on with
	residuals []item       // for the stage itself to process
}

// commit makes the outputs of a bundle of s visible, all at once, and lets go of its input. It waits for room in the queues
// that it fills. It reports false, having done nothing, if the job has ended.
func (e *Engine) commit(s *stage, b *bundle, c commit) bool {
	urgent := false
	for i := range b.outs {
		u, err := b.outs[i].prepare()
		if err != nil {
			e.cancel(&BundleError{Step: s.name(), Attempts: 1, Err: err})
			return false
		}
		urgent = urgent || u
	}
	if !e.publish(s, b, c, urgent) {
		return false
	}
	if b.store != nil { // else nothing ran: all of it was set aside, or taken apart
		e.totals.add(b.store, e.names) // the caller's goroutine is still counted, so Wait cannot miss it
	}
	return true
}

func (e *Engine) publish(s *stage, b *bundle, c commit, urgent bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.ctx.Err() == nil && b.blocked() {
		e.room.Wait()
	}
	if e.ctx.Err() != nil {
		return false
	}
	for i := range b.outs {
		e.deliver(&b.outs[i])
	}
	s.accept(c.residuals)
	s.bundles++
	e.open -= len(c.done)
	if c.kept != nil {
		e.open++
		s.holds.add(*c.kept)
	}
	for _, h := range c.done {
		s.holds.remove(h)
	}
	if urgent || e.open == 0 || e.timed && s.output() > s.out {
		e.settle()
	}
	return true
}

// settle moves the watermarks on, and ends the job if nothing is left to do. It needs e.mu.
func (e *Engine) settle() {
	if e.timed {
		for _, n := range e.nodes {
			n.advance()
		}
	}
	if e.open == 0 {
		close(e.complete)
	}
}

// Wait returns when the job has ended and no goroutine of it is left: nil when everything was processed or drained.
func (e *Engine) Wait() error {
	<-e.finished
	return e.err
}

// Done is closed when the job has ended; Wait then returns at once.
func (e *Engine) Done() <-chan struct{} { return e.finished }

// Cancel ends the job without finishing its bundles; Wait returns ErrCancelled.
func (e *Engine) Cancel() { e.cancel(ErrCancelled) }

// Metrics returns the user metrics of all bundles that have succeeded so far. A step is given by its full name.
func (e *Engine) Metrics() metrics.Results { return e.totals.results() }

// StageStats are figures about a stage, a group of steps that run fused.
type StageStats struct {
	// Steps are the full names of its steps, in data-flow order.
	Steps []string
	// Bundles is how many bundles have succeeded, Failures how many tries have failed.
	Bundles, Failures int64
	// Running is how many bundles or restrictions are open.
	Running int
	// Queued is how many encoded bytes wait in its queue.
	Queued int
}

// Stages returns figures about the stages.
func (e *Engine) Stages() []StageStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []StageStats
	for _, s := range e.stages {
		out = append(out, StageStats{Steps: s.spec.Steps, Bundles: s.bundles, Failures: s.failures, Running: s.running, Queued: s.queued})
	}
	return out
}
