// Package graph rebuilds who belongs together from all of history: in go the cells and rulings that the archive holds, out come groups of
// identifiers, settled by the rules that the stream settles them by.
//
// It is the same forest, built another way: the stream inserts one link after the other into the trees they touch; here the links of each
// connected component are sorted by weight once and taken in that order (Kruskal). Links of one set of identifiers are one row of the
// query, so that their number is that of cells, not of events.
package graph

import (
	"cmp"
	"slices"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// Cell is what the archive knows of the events with one set of identifiers.
type Cell struct {
	ID          identity.ID
	Identifiers []identity.Identifier // sorted
	First, Last event.Order
	Events      uint64 // sendings, a retry among them
}

// Summary counts what a graph is made of.
type Summary struct {
	Groups int
	Links  int // between different identifiers
	// Refused is the number of links that would have joined what belongs apart.
	Refused int
}

// Group is one profile.
type Group struct {
	ID      identity.ID // profile ID
	Person  string      // its value of the profile key, "" when it has none
	Members []Member
	Cells   []identity.ID // whose events are its own
}

// Member is an identifier with what the group's own events saw of it.
type Member struct {
	identity.Identifier
	First, Last event.Order
	Events      uint64
}

// Build returns the groups that cells and rulings make.
func Build(config *update.Config, cells []Cell, rulings []identity.Ruling) (groups []Group) {
	_, _ = Each(config, cells, rulings, func(g Group) error { // which never fails
		groups = append(groups, g)
		return nil
	})
	return groups
}

// Each settles cells and rulings and hands out the groups. What no link connects has nothing to do with each other: so connected components are found first, by a
// union-find over numbers, and each is settled by itself. That takes the memory of the cells and of the largest component.
func Each(config *update.Config, cells []Cell, rulings []identity.Ruling, yield func(Group) error) (Summary, error) {
	n := newNumbers(cells)
	for i := range cells {
		ids := cells[i].Identifiers
		first := n.of[ids[0]]
		for _, id := range ids[1:] {
			n.unite(first, n.of[id])
		}
	}
	byPair := pairs(rulings)
	for _, p := range byPair { // a ruling about two that nothing connects changes nothing, but both are looked at together
		a, aok := n.of[p.A]
		b, bok := n.of[p.B]
		if aok && bok {
			n.unite(a, b)
		}
	}
	order := make([]int32, len(cells)) // cells by component, in their order within it
	roots := make([]int32, len(cells))
	for i := range cells {
		order[i], roots[i] = int32(i), n.find(n.of[cells[i].Identifiers[0]])
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(roots[a], roots[b]) })
	ruled := map[int32][]identity.Pair{}
	for _, p := range byPair {
		for _, end := range []identity.Identifier{p.A, p.B} {
			if number, ok := n.of[end]; ok {
				root := n.find(number)
				if at := ruled[root]; len(at) == 0 || at[len(at)-1].Compare(p) != 0 {
					ruled[root] = append(at, p)
				}
			}
		}
	}
	c := component{config: config, yield: yield}
	for len(order) > 0 {
		size := 1
		for size < len(order) && roots[order[size]] == roots[order[0]] {
			size++
		}
		c.cells = c.cells[:0]
		for _, i := range order[:size] {
			c.cells = append(c.cells, &cells[i])
		}
		if err := c.settle(ruled[roots[order[0]]]); err != nil {
			return c.sum, err
		}
		order = order[size:]
	}
	return c.sum, nil
}

// numbers are dense numbers of identifiers, and which of them are connected.
type numbers struct {
	of     map[identity.Identifier]int32
	parent []int32
}

func newNumbers(cells []Cell) *numbers {
	n := &numbers{of: make(map[identity.Identifier]int32, len(cells))}
	for i := range cells {
		for _, id := range cells[i].Identifiers {
			if _, known := n.of[id]; !known {
				number := int32(len(n.parent))
				n.of[id], n.parent = number, append(n.parent, number)
			}
		}
	}
	return n
}

func (n *numbers) find(a int32) int32 {
	for n.parent[a] != a {
		n.parent[a] = n.parent[n.parent[a]]
		a = n.parent[a]
	}
	return a
}

func (n *numbers) unite(a, b int32) {
	if a, b = n.find(a), n.find(b); a != b {
		n.parent[b] = a
	}
}

// component is some cells that links connect with each other.
type component struct {
	config *update.Config
	cells  []*Cell
	yield  func(Group) error
	sum    Summary // of all components so far
}

// settle hands out the groups of a component.
func (c *component) settle(pairs []identity.Pair) error {
	rules := c.config.Rules
	var edges []identity.Edge
	seen := map[identity.Identifier]bool{}
	var members []identity.Identifier
	leaders := make([]identity.Identifier, len(c.cells))
	for i, cell := range c.cells {
		leaders[i] = slices.MinFunc(cell.Identifiers, rules.Compare)
		for _, id := range cell.Identifiers {
			if !seen[id] {
				seen[id] = true
				members = append(members, id)
			}
			if id != leaders[i] {
				edges = append(edges, rules.Weigh(identity.Link{Leader: leaders[i], Other: id}, cell.First, cell.Last))
			}
		}
	}
	settled := identity.Settle(rules, members, edges, pairs)
	c.sum.Groups, c.sum.Links, c.sum.Refused = c.sum.Groups+len(settled.Groups), c.sum.Links+len(edges), c.sum.Refused+len(settled.Refused)
	of := make(map[identity.Identifier]int, len(members))
	for i, group := range settled.Groups {
		for _, m := range group {
			of[m] = i
		}
	}
	documents := make([]profile.Document, len(settled.Groups))
	events := map[identity.ID]uint64{}
	for i, cell := range c.cells {
		documents[of[leaders[i]]].AddCell(&profile.Cell{ID: cell.ID, Identifiers: cell.Identifiers, First: cell.First, Last: cell.Last})
		events[cell.ID] = cell.Events
	}
	folder := profile.Folder{Namespace: c.config.Namespace, Rules: rules}
	for i, group := range settled.Groups {
		d := &documents[i]
		d.Add(group...)
		out := Group{ID: folder.ID(d)}
		for _, m := range group {
			if m.Key == rules.ProfileKey() {
				out.Person = m.Value
			}
			out.Members = append(out.Members, member(d, m, events))
		}
		for _, cell := range d.Cells {
			out.Cells = append(out.Cells, cell.ID)
		}
		if err := c.yield(out); err != nil {
			return err
		}
	}
	return nil
}

func member(d *profile.Document, id identity.Identifier, events map[identity.ID]uint64) Member {
	m := Member{Identifier: id}
	for _, c := range d.Cells {
		if !slices.Contains(c.Identifiers, id) {
			continue
		}
		if m.First.ID == "" || c.First.Compare(m.First) < 0 {
			m.First = c.First
		}
		if m.Last.ID == "" || c.Last.Compare(m.Last) > 0 {
			m.Last = c.Last
		}
		m.Events += events[c.ID]
	}
	return m
}

// pairs sums up rulings about the same two identifiers.
func pairs(rulings []identity.Ruling) []identity.Pair {
	type ends struct{ a, b identity.Identifier }
	places := map[ends]int{}
	var all []identity.Pair
	for _, r := range rulings {
		i, known := places[ends{r.A, r.B}]
		if !known {
			i = len(all)
			places[ends{r.A, r.B}], all = i, append(all, identity.Pair{A: r.A, B: r.B})
		}
		all[i].Rule(r)
	}
	slices.SortFunc(all, identity.Pair.Compare)
	return all
}
