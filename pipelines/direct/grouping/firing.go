package grouping

import (
	"encoding/binary"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"

	"github.com/braidhq/braid/pipelines/direct/element"
)

// taken is a pane on its way out: a copy that nobody else changes.
type taken struct {
	window element.Window
	groups map[string]group
	late   bool   // only dirty groups are in it
	last   bool   // nothing of this window can follow
	slot   uint64 // where more values are, 0 for nowhere
	upTo   uint64 // number of the last entry on disk that belongs to it: another goroutine may go on to spill the pane
	drop   bool   // the slot is done with
}

// detach takes from a pane what is to be given out now. It needs the lock of the shard.
func (s *shard) detach(p *pane, late bool) taken {
	out := taken{window: p.window, groups: make(map[string]group, len(p.groups)), late: late, slot: p.slot, upTo: s.t.memory.seq.Load()}
	// The watermark has passed the end of the window. Without lateness nothing can follow.
	if !late && s.t.windowing.expiry(p.window.Max()) == p.window.Max() {
		for k, g := range p.groups {
			out.groups[k] = *g
		}
		s.forget(p)
		out.last, out.drop = true, p.slot != 0
		return out
	}
	p.late = false
	for k, g := range p.groups {
		if late && !g.dirty {
			continue
		}
		out.groups[k] = *g
		g.fired++
		g.dirty = false
		if !s.t.windowing.Accumulating {
			s.grow(-len(g.values))
			g.count, g.values = 0, nil
		}
	}
	if !s.t.windowing.Accumulating {
		out.drop, p.slot = p.slot != 0, 0
	}
	return out
}

// firing encodes groups and gives them out.
type firing struct {
	table *Table
	emit  func(group []byte) error
	buf   []byte
}

// pane gives out the groups of a pane.
func (f *firing) pane(p taken) error {
	m := f.table.memory
	switch {
	case p.slot == 0 || p.groups == nil:
		// Nothing of it is on disk, or all it needs is to be dropped.
	case p.late:
		for k, g := range p.groups {
			values, count, err := m.find(p.slot, k, p.upTo)
			if err != nil {
				return err
			}
			g.count, g.values = g.count+count, append(values, g.values...)
			p.groups[k] = g
		}
	default:
		if err := f.fromDisk(p); err != nil {
			return err
		}
	}
	for k, g := range p.groups {
		if err := f.group(p, k, g); err != nil {
			return err
		}
	}
	if p.drop {
		return m.drop(p.slot)
	}
	return nil
}

// fromDisk gives out the groups that have values on disk, together with those in memory, and removes them from the pane.
func (f *firing) fromDisk(p taken) error {
	var key string
	var sum group
	flush := func() error {
		if sum.count == 0 {
			return nil
		}
		g := p.groups[key]
		sum.count, sum.values, sum.fired = sum.count+g.count, append(sum.values, g.values...), g.fired
		delete(p.groups, key)
		err := f.group(p, key, sum)
		sum = group{values: sum.values[:0]}
		return err
	}
	err := f.table.memory.read(p.slot, p.upTo, func(k []byte, count int32, values []byte) error {
		if string(k) != key || sum.count == 0 {
			if err := flush(); err != nil {
				return err
			}
			key = string(k)
		}
		sum.count += count
		sum.values = append(sum.values, values...)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// group gives out one group.
func (f *firing) group(p taken, key string, g group) error {
	if g.count == 0 {
		return nil
	}
	timing := typex.PaneOnTime
	if p.late {
		timing = typex.PaneLate
	}
	info := typex.PaneInfo{Timing: timing, IsFirst: g.fired == 0, IsLast: p.last, Index: g.fired, NonSpeculativeIndex: g.fired}
	f.buf = f.table.out.AppendHeader(f.buf[:0], p.window.Max(), p.window, info)
	f.buf = append(f.buf, key...)
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(g.count))
	f.buf = append(f.buf, g.values...)
	return f.emit(f.buf)
}
