package direct

import (
	"strings"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
)

// maxBundleBytes bounds the input of a bundle of an ordinary stage; one block may exceed it.
const maxBundleBytes = 1 << 20

// stage is a stageSpec at work: a queue, and goroutines that run bundles from it. All fields that change are guarded by the
// engine's mutex.
type stage struct {
	e     *Engine
	spec  *stageSpec
	limit int      // goroutines at once; 0 means no limit
	outs  []output // template of a bundle's outputs

	queue   []block
	queued  int // bytes in queue
	running int // goroutines
	idle    []*instance

	bundles, failures int64
}

func newStage(e *Engine, spec *stageSpec) *stage {
	s := &stage{e: e, spec: spec, limit: e.opts.Workers}
	switch {
	case spec.yields:
		// None of its restrictions need ever end: with a limit the rest would never begin.
		s.limit = 0
	case spec.process != "":
		s.limit = e.opts.Restrictions
	}
	return s
}

// bindOutputs looks up who reads the outputs.
func (s *stage) bindOutputs() {
	for _, pc := range s.spec.outputs {
		o := output{id: sinkPrefix + pc, readers: s.e.readers[pc]}
		for _, r := range o.readers {
			o.single = o.single || r.spec.process != ""
		}
		s.outs = append(s.outs, o)
	}
}

func (s *stage) name() string { return strings.Join(s.spec.steps, " + ") }

// push queues blocks and starts goroutines for them. It needs e.mu.
func (s *stage) push(bs []block) {
	s.queue = append(s.queue, bs...)
	for _, b := range bs {
		s.queued += len(b)
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
func (s *stage) next() []block {
	if len(s.queue) == 0 || s.limit > 0 && s.running >= s.limit {
		return nil
	}
	n, size := 1, len(s.queue[0])
	if s.spec.process == "" {
		free := s.limit - s.running
		share := (len(s.queue) + free - 1) / free
		for n < share && size < maxBundleBytes {
			size += len(s.queue[n])
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
func (s *stage) work(in []block) {
	e := s.e
	defer e.workers.Done()
	e.mu.Lock()
	inst := s.takeIdle()
	e.mu.Unlock()
	for in != nil {
		if s.spec.process != "" {
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
func (s *stage) bundle(inst *instance, in []block) *instance {
	inst, b := s.attempt(inst, s.spec.descriptor, in)
	if b != nil {
		s.e.commit(s, b, nil, len(in))
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
	if desc == s.spec.truncate {
		return &bundle{in: in, outs: []output{{id: sinkPrefix + desc.GetId(), single: true}}}
	}
	b := &bundle{in: in}
	if len(s.outs) > 0 {
		b.outs = append(b.outs, s.outs...)
	}
	return b
}
