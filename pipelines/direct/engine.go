package direct

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
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
)

// ErrCancelled is the error of a job that Cancel ended.
var ErrCancelled = errors.New("direct: job cancelled")

// Engine is a running job. Its methods may be called from any goroutine.
type Engine struct {
	opts    Options
	names   map[string]string // transform ID -> full name of its step
	stages  []*stage
	readers map[string][]*stage // PCollection -> stages that queue its elements

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
	open    int        // blocks queued or in a running bundle, and restrictions not yet done
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
	prog, err := translate(pb)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		opts:     opts.withDefaults(),
		names:    prog.names,
		readers:  map[string][]*stage{},
		draining: make(chan struct{}),
		complete: make(chan struct{}),
		finished: make(chan struct{}),
		failing:  map[*Failure]struct{}{},
	}
	e.room = sync.NewCond(&e.mu)
	for _, spec := range prog.stages {
		// A plan that cannot be built must fail here and not in a bundle, where it would be tried for ever.
		for _, desc := range []*fnpb.ProcessBundleDescriptor{spec.descriptor, spec.truncate} {
			if _, err := newPlan(desc); desc != nil && err != nil {
				return nil, fmt.Errorf("direct: steps %q: %w", spec.steps, err)
			}
		}
		s := newStage(e, spec)
		e.stages = append(e.stages, s)
		for _, o := range spec.origins {
			e.readers[o] = append(e.readers[o], s)
		}
	}
	for _, s := range e.stages {
		s.bindOutputs()
	}
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	if err := e.impulse(prog.impulses); err != nil {
		e.cancel(nil)
		return nil, err
	}
	go e.supervise()
	return e, nil
}

// impulse queues the one empty element of each Impulse, and with that starts the job.
func (e *Engine) impulse(pcs []string) error {
	var b bytes.Buffer
	enc := exec.MakeWindowEncoder(coder.NewGlobalWindow())
	if err := exec.EncodeWindowedValueHeader(enc, window.SingleGlobalWindow, mtime.MinTimestamp, typex.NoFiringPane(), &b); err != nil {
		return fmt.Errorf("direct: encode impulse: %w", err)
	}
	if err := coder.EncodeBytes(nil, &b); err != nil {
		return fmt.Errorf("direct: encode impulse: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, pc := range pcs {
		e.deliver(e.readers[pc], []block{b.Bytes()})
	}
	if e.open == 0 {
		close(e.complete)
	}
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
	e.cancel(nil)
	close(e.finished)
}

// deliver queues blocks with stages. It needs e.mu.
func (e *Engine) deliver(to []*stage, bs []block) {
	if len(bs) == 0 {
		return
	}
	for _, s := range to {
		e.open += len(bs)
		s.push(bs)
	}
}

// commit makes the outputs of a bundle of s visible, all at once, together with the residuals that the stage itself is to
// process, and closes the given number of blocks or restrictions. It waits for room in the queues that it fills. It
// reports false, having done nothing, if the job has ended.
func (e *Engine) commit(s *stage, b *bundle, residuals []block, closed int) bool {
	if !e.publish(s, b, residuals, closed) {
		return false
	}
	e.totals.add(b.store, e.names) // the caller's goroutine is still counted, so Wait cannot miss it
	return true
}

func (e *Engine) publish(s *stage, b *bundle, residuals []block, closed int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.ctx.Err() == nil && b.blocked() {
		e.room.Wait()
	}
	if e.ctx.Err() != nil {
		return false
	}
	for i := range b.outs {
		e.deliver(b.outs[i].readers, b.outs[i].blocks)
	}
	e.deliver([]*stage{s}, residuals)
	s.bundles++
	e.open -= closed
	if e.open == 0 {
		close(e.complete)
	}
	return true
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

// Drain ends the job without losing anything: running bundles finish, each restriction is truncated as its DoFn says
// (TruncateRestriction), what that leaves is processed, and so is everything in the queues. It returns what Wait returns or,
// when ctx ends first, an error that names the steps that are still at work. The job is then still draining; Cancel ends it.
//
// Without a TruncateRestriction the SDK keeps the whole rest of a restriction whose tracker calls itself bounded. For the
// range [0, MaxInt64) that means for ever.
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
		out = append(out, StageStats{Steps: s.spec.steps, Bundles: s.bundles, Failures: s.failures, Running: s.running, Queued: s.queued})
	}
	return out
}
