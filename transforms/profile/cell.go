package profile

import (
	"cmp"
	"slices"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
)

// Cell is the summary of all events that carried exactly one set of identifiers. Cells of the same set merge commutatively; a
// cell's place in the forest follows from today's rules and is not part of it.
type Cell struct {
	ID          identity.ID
	Identifiers []identity.Identifier // sorted by Identifier.Compare
	First, Last event.Order           // least and greatest order of its events
	Buckets     []Bucket              // ascending by epoch
	Seen        Seen

	// Floor is the epoch before which buckets cannot be told apart any more; Pruned says that they were dropped, as a history has them.
	Floor  uint64
	Pruned bool
	// Whole says that the buckets hold what events of other cells added, so that no history applies.
	Whole bool
}

// Bucket holds what one epoch added to a cell.
type Bucket struct {
	Epoch  uint64 // the highest one, where several were coalesced
	Events uint64
	States attribute.States
	Batch  bool // whether a History gave it
}

// NewCell returns an empty cell for a set of identifiers, in any order.
func NewCell(namespace string, ids []identity.Identifier) *Cell {
	set := slices.Clone(ids)
	slices.SortFunc(set, identity.Identifier.Compare)
	return &Cell{ID: identity.NewSetID(namespace, set), Identifiers: set}
}

// Leader returns the most identifying identifier of the cell.
func (c *Cell) Leader(rules *identity.Rules) identity.Identifier {
	if len(c.Identifiers) == 1 {
		return c.Identifiers[0]
	}
	return slices.MinFunc(c.Identifiers, rules.Compare)
}

// Events returns the number of events in the buckets that the cell has itself.
func (c *Cell) Events() uint64 {
	var n uint64
	for _, b := range c.Buckets {
		n += b.Events
	}
	return n
}

// Counts reports whether the cell has any event; one of imported links only has none.
func (c *Cell) Counts() bool { return c.Pruned || c.Events() > 0 }

// Counted reports whether an event is a sender's retry of one that was counted.
func (c *Cell) Counted(e *event.Event) bool {
	return c.Seen.has(e.ID, e.Position.Partition, e.Received)
}

// Sight notes an event's order and reports whether it counts: false means that it is a sender's retry of one that was counted.
func (c *Cell) Sight(e *event.Event) bool {
	if !c.Seen.add(e.ID, e.Position.Partition, e.Received) {
		return false
	}
	first := c.First.ID == ""
	if first || e.Order.Compare(c.First) < 0 {
		c.First = e.Order
	}
	if first || e.Order.Compare(c.Last) > 0 {
		c.Last = e.Order
	}
	return true
}

// Prune drops the buckets below an epoch, which all histories that are read from now on have.
func (c *Cell) Prune(epoch uint64) {
	if c.Whole || epoch <= c.Floor && c.Pruned {
		return
	}
	i, _ := slices.BinarySearchFunc(c.Buckets, epoch, compareBucket)
	if i > 0 {
		c.Buckets, c.Pruned, c.Floor = slices.Clone(c.Buckets[i:]), true, max(c.Floor, epoch)
	}
}

// Bucket returns the bucket of an epoch, made if need be, after coalescing those below oldest: no batch needs to tell them apart
// any more. The pointer is good until the next call.
func (c *Cell) Bucket(epoch, oldest uint64) (*Bucket, error) {
	i, ok := slices.BinarySearchFunc(c.Buckets, epoch, compareBucket)
	if !ok {
		c.Buckets = slices.Insert(c.Buckets, i, Bucket{Epoch: epoch})
	}
	for len(c.Buckets) > 1 && c.Buckets[1].Epoch < oldest {
		a, b := c.Buckets[0], c.Buckets[1]
		states, err := attribute.Merge(a.States, b.States)
		if err != nil {
			return nil, err
		}
		c.Buckets[1] = Bucket{Epoch: b.Epoch, Events: a.Events + b.Events, States: states}
		c.Buckets, c.Floor = c.Buckets[1:], max(c.Floor, oldest)
	}
	for i := range c.Buckets {
		if c.Buckets[i].Epoch >= epoch {
			return &c.Buckets[i], nil
		}
	}
	return &c.Buckets[len(c.Buckets)-1], nil
}

func compareBucket(b Bucket, epoch uint64) int { return cmp.Compare(b.Epoch, epoch) }
