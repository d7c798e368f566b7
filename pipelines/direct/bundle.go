package direct

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
)

// block is a run of encoded elements, each with its windows and timestamp. It is never changed once it is in a queue, so that
// several stages can read it.
type block []byte

// blockBytes is the size at which an output begins another block.
const blockBytes = 256 << 10

// item is a block that waits in a queue.
type item struct {
	block
	hold mtime.Time // the watermark behind the stage stays below this until the block is done
}

// bundle is the input of one run of a plan, and what that emits. It is the data manager and the state reader of the SDK's
// executor, which elsewhere are gRPC streams.
type bundle struct {
	exec.StateReader // nil: user state is refused, so only side inputs are ever read
	in               []block
	outs             []output
	sides            []*sideInput
	store            *metrics.Store // user metrics of this bundle
}

// target is who reads a PCollection.
type target struct {
	stages    []*stage
	groupings []*grouper
	sides     []*sideInput
}

// output holds what a bundle emits to one PCollection.
type output struct {
	id     string // transform ID of the sink
	to     *target
	single bool // one element per block: each is a restriction
	blocks []block
	gated  [][]waiting // per stage of to that has side inputs: the blocks, sorted by what they wait for
}

// Write takes one encoded element.
func (o *output) Write(p []byte) (int, error) {
	k := len(o.blocks)
	if k == 0 || o.single || len(o.blocks[k-1])+len(p) > blockBytes {
		o.blocks = append(o.blocks, nil)
		k++
	}
	o.blocks[k-1] = append(o.blocks[k-1], p...)
	return len(p), nil
}

// Close does nothing: the outputs count when the bundle is committed.
func (o *output) Close() error { return nil }

// prepare does what a delivery needs and can be done without the engine's lock: the readers that take elements apart do it
// here. It reports whether a grouping has got something that is due at once.
func (o *output) prepare() (urgent bool, err error) {
	if len(o.blocks) == 0 {
		return false, nil
	}
	for _, g := range o.to.groupings {
		u, err := g.add(o.blocks)
		if err != nil {
			return false, err
		}
		urgent = urgent || u
	}
	for _, s := range o.to.sides {
		if err := s.add(o.blocks); err != nil {
			return false, err
		}
	}
	o.gated = nil
	for _, s := range o.to.stages {
		if len(s.sides) == 0 {
			continue
		}
		ws, err := s.sort(o.blocks)
		if err != nil {
			return false, err
		}
		o.gated = append(o.gated, ws)
	}
	return urgent, nil
}

// blocked reports whether an output must wait for room. Restrictions that are all open at once never wait, and what waits for
// a side input does not count: whoever fills that may be held back by the same queue. It needs e.mu.
func (o *output) blocked() bool {
	if len(o.blocks) == 0 {
		return false
	}
	for _, r := range o.to.stages {
		if r.limit > 0 && r.queued > r.e.opts.QueueBytes {
			return true
		}
	}
	return false
}

func (b *bundle) blocked() bool {
	for i := range b.outs {
		if b.outs[i].blocked() {
			return true
		}
	}
	return false
}

// OpenElementChan returns the input.
func (b *bundle) OpenElementChan(_ context.Context, id exec.StreamID, _ []string) (<-chan exec.Elements, error) {
	c := make(chan exec.Elements, len(b.in))
	for _, e := range b.in {
		c <- exec.Elements{Data: e, PtransformID: id.PtransformID}
	}
	close(c)
	return c, nil
}

// OpenWrite returns the output that a sink writes to.
func (b *bundle) OpenWrite(_ context.Context, id exec.StreamID) (io.WriteCloser, error) {
	for i := range b.outs {
		if b.outs[i].id == id.PtransformID {
			return &b.outs[i], nil
		}
	}
	return nil, fmt.Errorf("direct: no output for %q", id.PtransformID)
}

// OpenTimerWrite is never called: timers are refused.
func (b *bundle) OpenTimerWrite(_ context.Context, id exec.StreamID, family string) (io.WriteCloser, error) {
	return nil, fmt.Errorf("direct: timer family %q of %q", family, id.PtransformID)
}

// instance is a plan and the DoFn instances in it. It runs bundles one after another, until one fails.
type instance struct {
	e    *Engine
	plan *exec.Plan
}

// newPlan builds a plan. The executor panics on what it does not know; here that is an error.
func newPlan(desc *fnpb.ProcessBundleDescriptor) (p *exec.Plan, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("build plan: panic: %v", r)
		}
	}()
	if p, err = exec.UnmarshalPlan(desc, nil); err != nil {
		return nil, fmt.Errorf("build plan: %w", err)
	}
	return p, nil
}

func (e *Engine) newInstance(desc *fnpb.ProcessBundleDescriptor) (*instance, error) {
	p, err := newPlan(desc)
	if err != nil {
		return nil, err
	}
	return &instance{e: e, plan: p}, nil
}

// run runs a bundle. Metrics have a store per bundle, so that those of a failed one can be dropped.
func (in *instance) run(b *bundle) error {
	id := strconv.FormatInt(in.e.bundles.Add(1), 10)
	ctx := metrics.SetBundleID(in.e.ctx, id)
	b.store = metrics.GetStore(ctx)
	if err := in.plan.Execute(ctx, id, exec.DataContext{Data: b, State: b}); err != nil {
		return err
	}
	// The executor reports success when its context ends, whatever it has read by then.
	return in.e.ctx.Err()
}

// teardown calls Teardown of every DoFn. It is a DoFn's last chance to let go of things, and nobody could act on an error.
func (in *instance) teardown() { _ = in.plan.Down(context.WithoutCancel(in.e.ctx)) }
