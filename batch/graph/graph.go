// Package graph rebuilds who belongs together from all of history: in go the cells and rulings that the archive holds, out come groups of
// identifiers, settled by the rules that the stream settles them by.
//
// It is the same forest, built another way: the stream inserts one link after the other into the trees they touch; here all links are
// sorted by weight once and taken in that order (Kruskal), with a union-find over dense numbers. Links of one set of identifiers are one
// row of the query, so that their number is that of cells, not of events.
package graph

import (
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

// Graph is who belongs together.
type Graph struct {
	Groups []Group
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

// Build settles cells and rulings.
func Build(config *update.Config, cells []Cell, rulings []identity.Ruling) Graph {
	rules := config.Rules
	var edges []identity.Edge
	seen := map[identity.Identifier]bool{}
	var members []identity.Identifier
	leaders := make([]identity.Identifier, len(cells))
	for i := range cells {
		c := &cells[i]
		leaders[i] = slices.MinFunc(c.Identifiers, rules.Compare)
		for _, id := range c.Identifiers {
			if !seen[id] {
				seen[id] = true
				members = append(members, id)
			}
			if id != leaders[i] {
				edges = append(edges, rules.Weigh(identity.Link{Leader: leaders[i], Other: id}, c.First, c.Last))
			}
		}
	}
	settled := identity.Settle(rules, members, edges, pairs(rulings))
	g := Graph{Groups: make([]Group, len(settled.Groups)), Links: len(edges), Refused: len(settled.Refused)}
	of := make(map[identity.Identifier]int, len(members))
	for i, group := range settled.Groups {
		for _, m := range group {
			of[m] = i
		}
	}
	documents := make([]profile.Document, len(settled.Groups))
	events := map[identity.ID]uint64{}
	for i := range cells {
		c := &cells[i]
		n := of[leaders[i]]
		documents[n].AddCell(&profile.Cell{ID: c.ID, Identifiers: c.Identifiers, First: c.First, Last: c.Last})
		events[c.ID] = c.Events
	}
	folder := profile.Folder{Namespace: config.Namespace, Rules: rules}
	for i, group := range settled.Groups {
		d := &documents[i]
		d.Add(group...)
		out := &g.Groups[i]
		out.ID = folder.ID(d)
		for _, m := range group {
			if m.Key == rules.ProfileKey() {
				out.Person = m.Value
			}
			out.Members = append(out.Members, member(d, m, events))
		}
		for _, c := range d.Cells {
			out.Cells = append(out.Cells, c.ID)
		}
	}
	return g
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
