package identity

import "slices"

// Tree is one tree of the minimum spanning forest: identifiers, and the lightest edges that hold them together. At most one of
// its identifiers is of the profile key; it is the root, by which the tree hangs on the contracted root of the whole graph.
type Tree struct {
	members []Identifier
	index   map[Identifier]int
	edges   []Edge  // of the tree, lightest first
	at      [][]int // node -> indexes into edges
	root    int     // node of the profile key's identifier, or -1
}

// NewTree builds the tree of members from edges between them (Kruskal 1956); further edges, those that lead elsewhere, and those that
// rulings about pairs do not let hold are left out. The caller guarantees that the rest connects the members.
func NewTree(rules *Rules, members []Identifier, edges []Edge, pairs []Pair) *Tree {
	t := &Tree{members: members, index: make(map[Identifier]int, len(members)), at: make([][]int, len(members)), root: -1}
	f := newForest(rules, members)
	f.constrain(pairs)
	for i, m := range members {
		t.index[m] = i
		if m.Key == rules.profile {
			t.root = i
		}
	}
	sorted := edges
	if len(f.pairs) > 0 {
		sorted = unite(edges)
	} else {
		sorted = slices.Clone(edges)
		slices.SortFunc(sorted, Edge.Compare)
	}
	for _, e := range sorted {
		a, aok := t.index[e.Leader]
		b, bok := t.index[e.Other]
		if !aok || !bok || f.find(a) == f.find(b) {
			continue
		}
		if reason, _ := f.refuses(f.find(a), f.find(b), e); reason != "" {
			continue
		}
		f.join(f.find(a), f.find(b))
		t.at[a] = append(t.at[a], len(t.edges))
		t.at[b] = append(t.at[b], len(t.edges))
		t.edges = append(t.edges, e)
	}
	return t
}

// Members returns the identifiers of the tree.
func (t *Tree) Members() []Identifier { return t.members }

// Edges returns the edges that hold the tree together, lightest first.
func (t *Tree) Edges() []Edge { return t.edges }

// Path returns the edges that lead from one member to another, in their order; nil when one is no member.
func (t *Tree) Path(from, to Identifier) []Edge {
	a, aok := t.index[from]
	b, bok := t.index[to]
	if !aok || !bok {
		return nil
	}
	var walk func(node, via int) ([]Edge, bool)
	walk = func(node, via int) ([]Edge, bool) {
		if node == b {
			return nil, true
		}
		for _, i := range t.at[node] {
			if i == via {
				continue
			}
			if rest, ok := walk(t.otherEnd(i, node), i); ok {
				return append([]Edge{t.edges[i]}, rest...), true
			}
		}
		return nil, false
	}
	path, _ := walk(a, -1)
	return path
}

// heaviest returns the heaviest edge on the path between two members, and false when the path is empty.
func (t *Tree) heaviest(from, to int) (Edge, bool) {
	var walk func(node, via int) (Edge, bool, bool)
	walk = func(node, via int) (heaviest Edge, some, found bool) {
		if node == to {
			return Edge{}, false, true
		}
		for _, i := range t.at[node] {
			if i == via {
				continue
			}
			h, s, ok := walk(t.otherEnd(i, node), i)
			if !ok {
				continue
			}
			if e := t.edges[i]; !s || e.Compare(h) > 0 {
				h = e
			}
			return h, true, true
		}
		return Edge{}, false, false
	}
	e, some, _ := walk(from, -1)
	return e, some
}

func (t *Tree) otherEnd(edge, node int) int {
	if a := t.index[t.edges[edge].Leader]; a != node {
		return a
	}
	return t.index[t.edges[edge].Other]
}

// side returns the members that stay connected with node once the edge is cut.
func (t *Tree) side(node int, cut Edge) []Identifier {
	var reached []Identifier
	var walk func(node, via int)
	walk = func(node, via int) {
		reached = append(reached, t.members[node])
		for _, i := range t.at[node] {
			if i != via && t.edges[i].Link != cut.Link {
				walk(t.otherEnd(i, node), i)
			}
		}
	}
	walk(node, -1)
	return reached
}

// Verdict says what becomes of a link between two trees that have a value of the profile key each.
type Verdict struct {
	// Members move from one tree to the other; none do when the link is refused. ToLeader tells whether they move to the tree of
	// the link's leader.
	Members  []Identifier
	ToLeader bool
	// Against is the edge that gives way or, when the link is refused, the one it lost against. It is empty when both ends of the
	// link are of the profile key.
	Against Edge
}

// Contest decides about an edge between two trees with a root each. (A link within a tree leaves its members as they are, and one
// to a tree without a root makes the two trees one.) The edge closes a cycle through the contracted root, and by the cycle property
// the heaviest edge of that cycle is the one that goes.
func Contest(leader, other *Tree, e Edge) Verdict {
	a, b := leader.index[e.Leader], other.index[e.Other]
	ofLeader, some := leader.heaviest(a, leader.root)
	ofOther, someOther := other.heaviest(b, other.root)
	switch {
	case !some && !someOther:
		return Verdict{}
	case someOther && (!some || ofOther.Compare(ofLeader) > 0):
		if e.Compare(ofOther) > 0 {
			return Verdict{Against: ofOther}
		}
		return Verdict{Members: other.side(b, ofOther), ToLeader: true, Against: ofOther}
	default:
		if e.Compare(ofLeader) > 0 {
			return Verdict{Against: ofLeader}
		}
		return Verdict{Members: leader.side(a, ofLeader), Against: ofLeader}
	}
}
