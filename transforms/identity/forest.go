package identity

import (
	"iter"
	"slices"
)

// Tree is one tree of the minimum spanning forest: identifiers, and the lightest edges that hold them together. At most one of
// its identifiers is of the profile key; it is the root, by which the tree hangs on the contracted root of the whole graph.
type Tree struct {
	members []Identifier
	index   map[Identifier]int
	edges   []Edge // of the tree
	ends    [][2]int
	// first and next list the edges at a node: 2*i and 2*i+1 are the ends of edge i at its leader and at its other; -1 ends a list.
	first, next []int
	root        int // node of the profile key's identifier, or -1
}

// NewTree builds the tree of members from edges between them (Kruskal 1956); further edges, those that lead elsewhere, and those that
// rulings about pairs do not let hold are left out. The caller guarantees that the rest connects the members.
func NewTree(rules *Rules, members []Identifier, edges []Edge, pairs []Pair) *Tree {
	f := newForest(rules, members)
	f.constrain(pairs)
	t := &Tree{members: members, index: f.index, first: make([]int, len(members)), root: slices.Index(f.rooted, true)}
	for i := range t.first {
		t.first[i] = -1
	}
	if len(f.pairs) > 0 {
		edges = unite(edges)
	}
	room := max(len(members)-1, 0)
	t.edges, t.ends, t.next = make([]Edge, 0, room), make([][2]int, 0, room), make([]int, 0, 2*room)
	inner := make([]innerEdge, 0, len(edges))
	for i := range edges {
		e := &edges[i]
		a, aok := t.index[e.Leader]
		b, bok := t.index[e.Other]
		if aok && bok {
			inner = append(inner, innerEdge{e, a, b})
		}
	}
	if len(inner) > room { // else none of them can be left out
		slices.SortFunc(inner, func(a, b innerEdge) int { return a.Edge.Compare(*b.Edge) })
	}
	for _, e := range inner {
		a, b := e.leader, e.other
		x, y := f.find(a), f.find(b)
		if x == y {
			continue
		}
		if reason, _ := f.refuses(x, y, *e.Edge); reason != "" {
			continue
		}
		f.join(x, y)
		i := len(t.edges)
		t.edges, t.ends = append(t.edges, *e.Edge), append(t.ends, [2]int{a, b})
		t.next = append(t.next, t.first[a], t.first[b])
		t.first[a], t.first[b] = 2*i, 2*i+1
	}
	return t
}

// innerEdge is an edge between two members, by their places. Edges are large, so they are not moved about.
type innerEdge struct {
	*Edge
	leader, other int
}

// edgesAt iterates over the edges at a node.
func (t *Tree) edgesAt(node int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for end := t.first[node]; end >= 0; end = t.next[end] {
			if !yield(end / 2) {
				return
			}
		}
	}
}

// Members returns the identifiers of the tree.
func (t *Tree) Members() []Identifier { return t.members }

// Edges returns the edges that hold the tree together, lightest first.
func (t *Tree) Edges() []Edge { return slices.SortedFunc(slices.Values(t.edges), Edge.Compare) }

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
		for i := range t.edgesAt(node) {
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
		for i := range t.edgesAt(node) {
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
	if a := t.ends[edge][0]; a != node {
		return a
	}
	return t.ends[edge][1]
}

// side returns the members that stay connected with node once the edge is cut.
func (t *Tree) side(node int, cut Edge) []Identifier {
	var reached []Identifier
	var walk func(node, via int)
	walk = func(node, via int) {
		reached = append(reached, t.members[node])
		for i := range t.edgesAt(node) {
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
