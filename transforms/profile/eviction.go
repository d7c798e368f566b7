package profile

import (
	"cmp"
	"maps"
	"slices"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/identity"
)

// Eviction is what a document forgot to stay within its bound.
type Eviction struct {
	Gone  []Evicted // in this order
	Cells []*Cell   // those that took the events of the evicted
}

// Evicted is an identifier that is no member any more, and the member that leads to what it was a part of.
type Evicted struct {
	identity.Identifier
	To identity.Identifier
}

// Evict forgets members until at most so many cells are left: each time of the key with the most the one seen longest ago. Cells that differ by them only become one, so
// no event is lost to the fold; what ends is that they can be told apart. Members stay that lead others, that a ruling or a profile ID
// depends on, that have the profile key, and those to keep. The error means a damaged accumulator, and that the document is unusable.
func (d *Document) Evict(f *Folder, keep []identity.Identifier, cells int) (Eviction, error) {
	e := evictor{folder: f, document: d, of: map[identity.Identifier][]*Cell{}, changed: map[*Cell]bool{}}
	for _, c := range d.Cells {
		for _, id := range c.Identifiers {
			e.of[id] = append(e.of[id], c)
		}
	}
	sighted := f.sighted(d, nil)
	own := f.profileID(sighted)
	slices.SortFunc(sighted, func(a, b Sighted) int { return latestFirst(b, a) })
	byKey := map[string][]identity.Identifier{}
	for _, s := range sighted {
		if id := s.Identifier; !slices.Contains(keep, id) && identity.NewID(f.Namespace, id) != own && !e.stays(id) {
			byKey[id.Key] = append(byKey[id.Key], id)
		}
	}
	for len(d.Cells) > cells {
		id, to, ok := e.next(byKey)
		if !ok {
			break
		}
		if err := e.evict(id, to); err != nil {
			return Eviction{}, err
		}
	}
	for _, c := range d.Cells {
		if len(e.done.Gone) > 0 && !c.Whole { // it may get events that others had before
			if err := c.settle(f.History); err != nil {
				return Eviction{}, err
			}
			e.changed[c] = true
		}
		if e.changed[c] {
			e.done.Cells = append(e.done.Cells, c)
		}
	}
	d.Evicted = d.Evicted || len(e.done.Gone) > 0
	d.tree = nil
	return e.done, nil
}

type evictor struct {
	folder   *Folder
	document *Document
	of       map[identity.Identifier][]*Cell // cells by each of their identifiers
	changed  map[*Cell]bool
	done     Eviction
}

// stays reports whether a member has a meaning beyond what was seen of it.
func (e *evictor) stays(id identity.Identifier) bool {
	_, came := slices.BinarySearchFunc(e.document.Came, id, identity.Identifier.Compare)
	return came || id.Key == e.folder.Rules.ProfileKey() ||
		slices.ContainsFunc(e.document.Pairs, func(p identity.Pair) bool { return p.A == id || p.B == id })
}

// next takes the identifier to evict next out of those that may be, by key and seen longest ago first, and returns its leader, too.
func (e *evictor) next(byKey map[string][]identity.Identifier) (id, leader identity.Identifier, ok bool) {
	keys := slices.SortedFunc(maps.Keys(byKey), func(a, b string) int {
		if c := cmp.Compare(len(byKey[b]), len(byKey[a])); c != 0 {
			return c
		}
		return e.folder.Rules.Priority(b) - e.folder.Rules.Priority(a)
	})
	for _, key := range keys {
		ids := byKey[key]
		for i, id := range ids {
			if leader, led := e.leader(id); led {
				byKey[key] = slices.Delete(ids, i, i+1)
				return id, leader, true
			}
		}
	}
	return id, leader, false
}

// leader returns the member that leads an identifier by the lightest link, unless the identifier itself leads another.
func (e *evictor) leader(id identity.Identifier) (identity.Identifier, bool) {
	rules := e.folder.Rules
	var by identity.Edge
	for _, c := range e.of[id] {
		leader := c.Leader(rules)
		if leader == id {
			if slices.ContainsFunc(c.Identifiers, func(o identity.Identifier) bool { return o != id && e.document.Has(o) }) {
				return id, false
			}
			continue
		}
		if !e.document.Has(leader) {
			continue
		}
		if edge := rules.Weigh(identity.Link{Leader: leader, Other: id}, c.First, c.Last); by.Policy == "" || edge.Compare(by) < 0 {
			by = edge
		}
	}
	return by.Leader, by.Policy != ""
}

// evict forgets a member and leaves what it led to another.
func (e *evictor) evict(id, to identity.Identifier) error {
	rules := e.folder.Rules
	for _, c := range e.of[id] {
		set := []identity.Identifier{to}
		if c.Leader(rules) != id {
			set = slices.DeleteFunc(slices.Clone(c.Identifiers), func(o identity.Identifier) bool { return o == id })
		}
		if err := e.pour(c, set); err != nil {
			return err
		}
	}
	delete(e.of, id)
	e.document.Remove(id)
	e.document.Refused = slices.DeleteFunc(e.document.Refused, func(l identity.Link) bool { return l.Other == id })
	e.done.Gone = append(e.done.Gone, Evicted{Identifier: id, To: to})
	return nil
}

// pour makes a cell a part of the cell of another set.
func (e *evictor) pour(from *Cell, set []identity.Identifier) error {
	d := e.document
	into := NewCell(e.folder.Namespace, set)
	if known := d.Cell(into.ID); known != nil {
		into = known
	} else {
		into.Whole = true
		d.AddCell(into)
		for _, id := range set {
			e.of[id] = append(e.of[id], into)
		}
	}
	for _, c := range [...]*Cell{into, from} {
		if err := c.settle(e.folder.History); err != nil {
			return err
		}
	}
	d.TakeCell(from)
	for _, id := range from.Identifiers {
		e.of[id] = slices.DeleteFunc(slices.Clone(e.of[id]), func(c *Cell) bool { return c == from })
	}
	e.changed[into] = true
	return into.absorb(from)
}

// absorb adds what another cell holds.
func (c *Cell) absorb(o *Cell) error {
	if c.First.ID == "" || o.First.Compare(c.First) < 0 {
		c.First = o.First
	}
	if c.Last.ID == "" || o.Last.Compare(c.Last) > 0 {
		c.Last = o.Last
	}
	for _, b := range o.Buckets {
		i, known := slices.BinarySearchFunc(c.Buckets, b.Epoch, compareBucket)
		if !known {
			c.Buckets = slices.Insert(c.Buckets, i, b)
			continue
		}
		states, err := attribute.Merge(c.Buckets[i].States, b.States)
		if err != nil {
			return err
		}
		c.Buckets[i].Events, c.Buckets[i].States = c.Buckets[i].Events+b.Events, states
	}
	c.Seen = c.Seen.with(o.Seen)
	return nil
}
