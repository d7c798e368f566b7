package grouping

import (
	"container/heap"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"

	"github.com/braidhq/braid/pipelines/direct/element"
)

// What a pane and a group cost beside their keys and values, roughly.
const (
	paneBytes  = 200
	groupBytes = 100
)

// group is what is held of one key in one window.
type group struct {
	count  int32  // values in memory
	values []byte // one after another
	fired  int64  // panes given out so far
	dirty  bool   // has values that a late pane must give out
}

// pane is a window with its groups: of all keys of the shard or, if windows merge, of one key.
type pane struct {
	window element.Window
	groups map[string]*group
	fired  bool   // its on-time pane was given out, or never will be
	late   bool   // some group is dirty
	slot   uint64 // where its values are on disk, 0 for nowhere
	gone   bool   // merged into another or expired
}

// deadline is a moment at which something is to happen to a pane.
type deadline struct {
	at   mtime.Time
	pane *pane
}

// deadlines is a heap. Entries go stale when a pane grows or goes; they are sorted out when their time comes.
type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at < d[j].at }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := (*d)[len(*d)-1]
	(*d)[len(*d)-1] = deadline{}
	*d = (*d)[:len(*d)-1]
	return last
}

// shard is the part of a table whose keys share a hash.
type shard struct {
	t     *Table
	hold  atomic.Int64 // earliest end of a pane not fired
	due   atomic.Int64 // when take has something to do: anything below the watermark
	bytes atomic.Int64

	mu       sync.Mutex
	windows  map[element.Window]*pane
	sessions map[string][]*pane
	last     *pane // the pane of the last element, for most are in the same
	unfired  deadlines
	expiring deadlines
	lateOnes []*pane
	urgent   bool
	err      error // of the disk, when sessions were merged
}

func newShard(t *Table) *shard {
	s := &shard{t: t, windows: map[element.Window]*pane{}, sessions: map[string][]*pane{}}
	s.publish()
	return s
}

// publish makes the deadlines known outside the lock.
func (s *shard) publish() {
	hold, due := int64(math.MaxInt64), int64(math.MaxInt64)
	if len(s.unfired) > 0 {
		hold = int64(s.unfired[0].at)
	}
	if len(s.expiring) > 0 {
		due = int64(s.expiring[0].at)
	}
	due = min(due, hold)
	if s.urgent {
		due = math.MinInt64
	}
	s.hold.Store(hold)
	s.due.Store(due)
}

// grow accounts for memory taken or given back.
func (s *shard) grow(n int) {
	s.bytes.Add(int64(n))
	s.t.memory.used.Add(int64(n))
}

// add takes an element into a window; false if that is too late.
func (s *shard) add(w element.Window, key, value []byte, watermark mtime.Time) bool {
	if !s.t.windowing.Merging && s.t.windowing.expiry(w.Max()) < watermark {
		return false
	}
	p := s.last
	if p == nil || p.window != w || s.t.windowing.Merging {
		if p = s.find(w, key, watermark); p == nil {
			return false
		}
		s.last = p
	}
	g := p.groups[string(key)]
	if g == nil {
		g = &group{}
		p.groups[string(key)] = g
		s.grow(len(key) + groupBytes)
	}
	g.count++
	g.values = append(g.values, value...)
	s.grow(len(value))
	if p.fired {
		g.dirty = true
		s.lateness(p)
	}
	return true
}

// lateness marks a pane that has late values.
func (s *shard) lateness(p *pane) {
	if !p.late {
		p.late = true
		s.lateOnes = append(s.lateOnes, p)
	}
	if !s.urgent {
		s.urgent = true
		s.publish()
	}
}

// find returns the pane for a window of a key, a new one if need be; nil if the window is over.
func (s *shard) find(w element.Window, key []byte, watermark mtime.Time) *pane {
	var old []*pane
	if s.t.windowing.Merging {
		for _, p := range s.sessions[string(key)] {
			if p.window.Start < w.End && w.Start < p.window.End {
				old = append(old, p)
				w = element.Window{Start: min(w.Start, p.window.Start), End: max(w.End, p.window.End)}
			}
		}
	} else if p := s.windows[w]; p != nil {
		return p
	}
	if s.t.windowing.expiry(w.Max()) < watermark {
		return nil
	}
	if len(old) == 1 && old[0].window == w {
		return old[0]
	}
	// A window that begins late has no on-time pane. One that has grown beyond the watermark will have one more.
	p := &pane{window: w, groups: map[string]*group{}, fired: w.Max() < watermark}
	s.grow(paneBytes)
	if s.t.windowing.Merging {
		s.merge(p, old, string(key))
	} else {
		s.windows[w] = p
	}
	if p.fired {
		heap.Push(&s.expiring, deadline{s.t.windowing.expiry(w.Max()), p})
	} else {
		heap.Push(&s.unfired, deadline{w.Max(), p})
	}
	s.publish()
	return p
}

// merge puts a session in the place of those that it covers.
func (s *shard) merge(p *pane, old []*pane, key string) {
	rest := slices.DeleteFunc(s.sessions[key], func(o *pane) bool { return slices.Contains(old, o) })
	s.sessions[key] = append(rest, p)
	if len(old) == 0 {
		return
	}
	into := &group{}
	p.groups[key] = into
	s.grow(len(key) + groupBytes)
	for _, o := range old {
		g := o.groups[key]
		if o.slot != 0 {
			// What is on disk comes back: it is rare that a session whose values were moved out grows once more by another.
			s.err = errors.Join(s.err, s.t.memory.read(o.slot, math.MaxUint64, func(_ []byte, count int32, values []byte) error {
				g.count += count
				g.values = append(g.values, values...)
				s.grow(len(values))
				return nil
			}), s.t.memory.drop(o.slot))
		}
		into.count += g.count
		into.values = append(into.values, g.values...)
		into.fired = max(into.fired, g.fired)
		// Values of an unfired session that has now been reached by a late one must not wait for an on-time pane.
		into.dirty = into.dirty || p.fired && g.count > 0 && (g.dirty || !o.fired)
		o.gone = true
		s.grow(-len(key) - groupBytes - paneBytes)
	}
	if into.dirty {
		s.lateness(p)
	}
}

// take removes what is due at a watermark, to be given out, and forgets what is over.
func (s *shard) take(watermark mtime.Time) []taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due.Load() >= int64(watermark) {
		return nil
	}
	var out []taken
	for _, p := range s.lateOnes {
		if !p.gone {
			out = append(out, s.detach(p, true))
		}
	}
	s.lateOnes, s.urgent = nil, false
	for len(s.unfired) > 0 && s.unfired[0].at < watermark {
		p := heap.Pop(&s.unfired).(deadline).pane
		if p.gone || p.fired {
			continue
		}
		p.fired = true
		out = append(out, s.detach(p, false))
		if !p.gone {
			heap.Push(&s.expiring, deadline{s.t.windowing.expiry(p.window.Max()), p})
		}
	}
	for len(s.expiring) > 0 && s.expiring[0].at < watermark {
		if p := heap.Pop(&s.expiring).(deadline).pane; !p.gone {
			out = append(out, taken{slot: p.slot, drop: p.slot != 0})
			s.forget(p)
		}
	}
	if s.last != nil && s.last.gone {
		s.last = nil
	}
	s.publish()
	return out
}

// forget removes a pane.
func (s *shard) forget(p *pane) {
	p.gone = true
	n := paneBytes
	for k, g := range p.groups {
		n += len(k) + groupBytes + len(g.values)
	}
	s.grow(-n)
	if !s.t.windowing.Merging {
		delete(s.windows, p.window)
		return
	}
	for k := range p.groups {
		rest := slices.DeleteFunc(s.sessions[k], func(o *pane) bool { return o == p })
		if s.sessions[k] = rest; len(rest) == 0 {
			delete(s.sessions, k)
		}
	}
}
