package direct

import (
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"

	"github.com/braidhq/braid/pipelines/direct/program"
)

// maxBundleBytes bounds the input of a bundle of an ordinary stage; one block may exceed it.
const maxBundleBytes = 1 << 20

// stage is a program.Stage at work: a queue, and goroutines that run bundles from it. All fields that change are guarded by
// the engine's mutex.
type stage struct {
	flow
	e     *Engine
	spec  *program.Stage
	limit int      // goroutines at once; 0 means no limit
	outs  []output // template of a bundle's outputs
	sides []*sideInput

	queue   []item
	queued  int // bytes in queue
	waiting []waiting
	running int // goroutines
	holds   holds
	idle    []*instance

	bundles, failures int64
}

func newStage(e *Engine, spec *program.Stage) *stage {
	s := &stage{e: e, spec: spec, limit: e.opts.Workers, flow: newFlow()}
	switch {
	case spec.Yields:
		// None of its restrictions need ever end: with a limit the rest would never begin.
		s.limit = 0
	case spec.Process != "":
		s.limit = e.opts.Restrictions
	}
	for i := range spec.Sides {
		s.sides = append(s.sides, newSideInput(&spec.Sides[i]))
	}
	return s
}

// bindOutputs looks up who reads the outputs.
func (s *stage) bindOutputs() {
	for _, pc := range s.spec.Outputs {
		s.outs = append(s.outs, newOutput(program.SinkPrefix+pc, s.e.target(pc)))
	}
}

func newOutput(id string, to *target) output {
	o := output{id: id, to: to}
	for _, r := range to.stages {
		o.single = o.single || r.spec.Process != ""
	}
	return o
}

func (s *stage) name() string { return strings.Join(s.spec.Steps, " + ") }

// push queues items and starts goroutines for them. It needs e.mu.
func (s *stage) push(items []item) {
	s.queue = append(s.queue, items...)
	for _, b := range items {
		s.queued += len(b.block)
	}
	for {
		in := s.next()
		if in == nil {
			return
		}
		s.running++
		s.e.workers.Add(1)
		go s.work(in)
	}
}

// next takes the input of a bundle from the queue, nil if there is none or if all workers are busy. One restriction, or as
// many blocks as leave an equal share to every free worker. It needs e.mu.
func (s *stage) next() []item {
	if len(s.queue) == 0 || s.limit > 0 && s.running >= s.limit {
		return nil
	}
	n, size := 1, len(s.queue[0].block)
	if s.spec.Process == "" {
		free := s.limit - s.running
		share := (len(s.queue) + free - 1) / free
		for n < share && size < maxBundleBytes {
			size += len(s.queue[n].block)
			n++
		}
	}
	in := s.queue[:n:n]
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	s.queued -= size
	s.e.room.Broadcast()
	return in
}

// work runs bundles or restrictions until the queue is empty or the job has ended.
func (s *stage) work(in []item) {
	e := s.e
	defer e.workers.Done()
	e.mu.Lock()
	inst := s.takeIdle()
	e.mu.Unlock()
	for in != nil {
		if s.spec.Process != "" {
			inst = s.restriction(inst, in[0])
		} else {
			inst = s.bundle(inst, in)
		}
		e.mu.Lock()
		s.running--
		if in = nil; e.ctx.Err() == nil {
			in = s.next()
		}
		if in != nil {
			s.running++
		} else if inst != nil {
			s.idle = append(s.idle, inst)
		}
		e.mu.Unlock()
	}
}

// bundle runs one bundle of an ordinary stage.
func (s *stage) bundle(inst *instance, in []item) *instance {
	blocks, holds := make([]block, len(in)), make([]mtime.Time, len(in))
	for i := range in {
		blocks[i], holds[i] = in[i].block, in[i].hold
	}
	inst, b, end := s.attempt(inst, s.spec.Descriptor, blocks)
	switch {
	case end != nil && s.e.opts.SetAside != nil && s.spec.Elements != nil:
		if inst = s.sieve(blocks, end); s.e.ctx.Err() == nil {
			s.e.commit(s, &bundle{}, commit{done: holds})
		}
	case end != nil:
		s.e.cancel(end)
	case b != nil:
		s.e.commit(s, b, commit{done: holds})
	}
	return inst
}

// takeIdle returns an instance whose last bundle succeeded, or nil. It needs e.mu.
func (s *stage) takeIdle() *instance {
	k := len(s.idle)
	if k == 0 {
		return nil
	}
	in := s.idle[k-1]
	s.idle = s.idle[:k-1]
	return in
}

// newBundle prepares a bundle for one of the stage's descriptors.
func (s *stage) newBundle(desc *fnpb.ProcessBundleDescriptor, in []block) *bundle {
	if desc == s.spec.Truncate {
		return &bundle{in: in, outs: []output{{id: program.SinkPrefix + desc.GetId(), to: &target{}, single: true}}}
	}
	b := &bundle{in: in, sides: s.sides}
	if len(s.outs) > 0 {
		b.outs = append(b.outs, s.outs...)
	}
	return b
}
