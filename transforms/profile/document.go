package profile

import (
	"slices"

	"github.com/braidhq/braid/transforms/identity"
)

// Key is the opaque name of a document. It says nothing about who is in it and differs between arrival orders.
type Key identity.ID

// Document is one identity tree with the cells that its members lead.
type Document struct {
	Key     Key
	Members []identity.Identifier // sorted by Identifier.Compare
	Cells   []*Cell               // sorted by ID

	// Published is the receive time of the last profile published, zero if none was; PublishedAs is its profile ID.
	Published   int64
	PublishedAs string
	// PublishDue is the time at which a profile that was held back is to be published, zero if none is.
	PublishDue int64

	// Refused are the links from leaders elsewhere to members; sorted by their other end, then the leader. Forgot says that there were more.
	Refused []identity.Link
	Forgot  bool
	// Pairs are the rulings about members; sorted.
	Pairs []identity.Pair
	// Came are the members that came from another person, who goes on without them; sorted. Their IDs, if they were given out, stood for a
	// profile that was split.
	Came []identity.Identifier
	// Evicted says that members were forgotten, here or where cells came from: no history applies to cells that are begun from then on, for
	// what it has of them may be part of others.
	Evicted bool
	// Told is what was told of the audiences of profile IDs that members stand for: its own, and those that became part of it since.
	Told []Membership
	// AudienceDue is when that may change by time alone, zero if never.
	AudienceDue int64
	// Recheck says that what was decided here may want what is not at hand: a recheck of all links puts it right.
	Recheck bool

	tree *identity.Tree // derived; nil when it has to be built anew
}

// Due returns when something has to be done although no event comes, zero if never.
func (d *Document) Due() int64 {
	if d.PublishDue == 0 || d.AudienceDue != 0 && d.AudienceDue < d.PublishDue {
		return d.AudienceDue
	}
	return d.PublishDue
}

// Membership says which audiences a profile was said to be in.
type Membership struct {
	ProfileID string
	Audiences []string // ascending, at least one
}

// Has reports whether an identifier is a member.
func (d *Document) Has(id identity.Identifier) bool {
	_, ok := slices.BinarySearchFunc(d.Members, id, identity.Identifier.Compare)
	return ok
}

// Add makes identifiers members.
func (d *Document) Add(ids ...identity.Identifier) {
	for _, id := range ids {
		if i, ok := slices.BinarySearchFunc(d.Members, id, identity.Identifier.Compare); !ok {
			d.Members = slices.Insert(d.Members, i, id)
		}
	}
	d.tree = nil
}

// Remove takes members out.
func (d *Document) Remove(ids ...identity.Identifier) {
	d.Members = slices.DeleteFunc(d.Members, func(m identity.Identifier) bool { return slices.Contains(ids, m) })
	d.tree = nil
}

// Cell returns the cell of an ID, or nil.
func (d *Document) Cell(id identity.ID) *Cell {
	if i, ok := slices.BinarySearchFunc(d.Cells, id, compareCell); ok {
		return d.Cells[i]
	}
	return nil
}

// AddCell puts a cell into the document.
func (d *Document) AddCell(c *Cell) {
	i, _ := slices.BinarySearchFunc(d.Cells, c.ID, compareCell)
	d.Cells = slices.Insert(d.Cells, i, c)
	d.tree = nil
}

// TakeCells removes the cells that any of the given identifiers leads and returns them.
func (d *Document) TakeCells(rules *identity.Rules, leaders []identity.Identifier) []*Cell {
	var taken []*Cell
	d.Cells = slices.DeleteFunc(d.Cells, func(c *Cell) bool {
		if !slices.Contains(leaders, c.Leader(rules)) {
			return false
		}
		taken = append(taken, c)
		return true
	})
	d.tree = nil
	return taken
}

// TakeCell removes one cell.
func (d *Document) TakeCell(c *Cell) {
	d.Cells = slices.DeleteFunc(d.Cells, func(o *Cell) bool { return o == c })
	d.tree = nil
}

func compareCell(c *Cell, id identity.ID) int { return slices.Compare(c.ID[:], id[:]) }

// Tree returns the tree that holds the members together. It is derived from the cells: of all links between members the lightest
// that connect them, which is what the spanning forest of all links has within the document.
func (d *Document) Tree(rules *identity.Rules) *identity.Tree {
	if d.tree == nil {
		d.tree = identity.NewTree(rules, d.Members, d.Edges(rules), d.Pairs)
	}
	return d.tree
}

// Edge returns the edge from a leader to another identifier with its weight over all cells that saw the two together.
func (d *Document) Edge(rules *identity.Rules, link identity.Link) identity.Edge {
	var edge identity.Edge
	for _, c := range d.Cells {
		if !slices.Contains(c.Identifiers, link.Other) || c.Leader(rules) != link.Leader {
			continue
		}
		if e := rules.Weigh(link, c.First, c.Last); edge.Policy == "" || e.Compare(edge) < 0 {
			edge = e
		}
	}
	return edge
}

// Edges returns an edge for each link of each cell, whether it leads to a member or not.
func (d *Document) Edges(rules *identity.Rules) []identity.Edge {
	room := 0
	for _, c := range d.Cells {
		room += len(c.Identifiers) - 1
	}
	edges := make([]identity.Edge, 0, room)
	for _, c := range d.Cells {
		leader := c.Leader(rules)
		for _, other := range c.Identifiers {
			if other != leader {
				edges = append(edges, rules.Weigh(identity.Link{Leader: leader, Other: other}, c.First, c.Last))
			}
		}
	}
	return edges
}

// Sighted tells the document that a cell's first or last event changed, so that weights may have.
func (d *Document) Sighted() { d.tree = nil }
