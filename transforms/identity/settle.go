package identity

import (
	"slices"
)

// Settlement is who belongs together, by all that is known of some identifiers.
type Settlement struct {
	Groups  [][]Identifier // sorted, each and all by their first member
	Refused []Refused      // the links between two groups, lightest first
}

// Refused is a link that would have joined what belongs apart.
type Refused struct {
	Edge
	Reason Reason
	Pair   Pair // about which it was ruled, when that is the reason
}

// Settle decides about identifiers all at once: it takes the links between them lightest first and refuses each that would join two
// values of the profile key, more values of a key than a profile may have, or two identifiers that a ruling keeps apart, or whose one
// end is shared by many people. That is a function of the sets of links and rulings alone. Links and pairs that lead elsewhere are left
// out; edges of the same link count as one.
func Settle(rules *Rules, members []Identifier, edges []Edge, pairs []Pair) Settlement {
	f := newForest(rules, members)
	f.constrain(pairs)
	f.holdings = newHoldings(rules, members, edges)
	united := unite(edges)
	shared := sharedByMany(rules, united)
	var s Settlement
	for _, e := range united {
		a, aok := f.index[e.Leader]
		b, bok := f.index[e.Other]
		if !aok || !bok || f.find(a) == f.find(b) {
			continue
		}
		reason, pair := f.refuses(f.find(a), f.find(b), e)
		if shared[e.Leader] || shared[e.Other] {
			reason, pair = SharedByMany, Pair{}
		}
		if reason != "" {
			s.Refused = append(s.Refused, Refused{Edge: e, Reason: reason, Pair: pair})
			continue
		}
		f.join(f.find(a), f.find(b))
	}
	s.Refused = slices.DeleteFunc(s.Refused, func(r Refused) bool { return f.find(f.index[r.Leader]) == f.find(f.index[r.Other]) })
	s.Groups = f.groups()
	return s
}

// sharedByMany returns the identifiers that too many others lead, links from elsewhere included.
func sharedByMany(rules *Rules, united []Edge) map[Identifier]bool {
	leaders := map[Identifier]int{}
	for _, e := range united {
		if _, limited := rules.saturation[e.Other.Key]; limited {
			leaders[e.Other]++
		}
	}
	shared := map[Identifier]bool{}
	for id, n := range leaders {
		if rules.Saturated(id.Key, n) {
			shared[id] = true
		}
	}
	return shared
}

// unite returns one edge for each link, lightest first.
func unite(edges []Edge) []Edge {
	sorted := slices.Clone(edges)
	slices.SortFunc(sorted, func(a, b Edge) int {
		if c := a.Link.Compare(b.Link); c != 0 {
			return c
		}
		return a.Compare(b)
	})
	united := sorted[:0]
	for _, e := range sorted {
		if n := len(united); n > 0 && united[n-1].Link == e.Link { // the first is the lightest; how late it was seen comes from all
			if last := &united[n-1].Last; e.Last.Compare(*last) > 0 {
				*last = e.Last
			}
			if first := &united[n-1].First; e.First.Compare(*first) < 0 {
				*first = e.First
			}
			continue
		}
		united = append(united, e)
	}
	slices.SortFunc(united, Edge.Compare)
	return united
}

// forest is a disjoint-set forest (Tarjan 1975) of identifiers with what may not come together.
type forest struct {
	members []Identifier
	index   map[Identifier]int
	parent  []int
	size    []int
	rooted  []bool // by set: whether it has a value of the profile key
	pairs   []Pair // rulings between members
	ends    [][2]int
	concern map[int][]int // set -> pairs with an end in it
	*holdings
}

func newForest(rules *Rules, members []Identifier) *forest {
	n := len(members)
	f := &forest{members: members, index: make(map[Identifier]int, n), parent: make([]int, n), size: make([]int, n), rooted: make([]bool, n)}
	for i, m := range members {
		f.index[m], f.parent[i], f.size[i], f.rooted[i] = i, i, 1, m.Key == rules.profile
	}
	return f
}

func (f *forest) constrain(pairs []Pair) {
	if len(pairs) == 0 {
		return
	}
	sorted := slices.Clone(pairs)
	slices.SortFunc(sorted, Pair.Compare)
	f.concern = map[int][]int{}
	for _, p := range sorted {
		a, aok := f.index[p.A]
		b, bok := f.index[p.B]
		if n := len(f.pairs); !aok || !bok || n > 0 && f.pairs[n-1].Compare(p) == 0 {
			continue
		}
		i := len(f.pairs)
		f.pairs, f.ends = append(f.pairs, p), append(f.ends, [2]int{a, b})
		f.concern[a], f.concern[b] = append(f.concern[a], i), append(f.concern[b], i)
	}
}

func (f *forest) find(i int) int {
	for f.parent[i] != i {
		f.parent[i] = f.parent[f.parent[i]]
		i = f.parent[i]
	}
	return i
}

// refuses says why an edge may not join two sets, and "" when it may.
func (f *forest) refuses(a, b int, e Edge) (Reason, Pair) {
	if f.rooted[a] && f.rooted[b] {
		return TwoPersons, Pair{}
	}
	if f.exceeded(a, b) {
		return LimitReached, Pair{}
	}
	fewer, other := f.concern[a], b
	if len(f.concern[b]) < len(fewer) {
		fewer, other = f.concern[b], a
	}
	for _, i := range fewer {
		if x, y := f.find(f.ends[i][0]), f.find(f.ends[i][1]); x == y || x != other && y != other {
			continue
		}
		if reason := f.pairs[i].Binds(e.Last); reason != "" {
			return reason, f.pairs[i]
		}
	}
	return "", Pair{}
}

func (f *forest) join(a, b int) {
	if f.size[a] < f.size[b] {
		a, b = b, a
	}
	f.parent[b] = a
	f.size[a] += f.size[b]
	f.rooted[a] = f.rooted[a] || f.rooted[b]
	f.holdings.join(a, b)
	if few, many := f.concern[b], f.concern[a]; len(few) > 0 {
		if len(few) > len(many) {
			few, many = many, few
		}
		f.concern[a] = append(many, few...)
		delete(f.concern, b)
	}
}

func (f *forest) groups() [][]Identifier {
	bySet := map[int]int{}
	var groups [][]Identifier
	for _, m := range slices.SortedFunc(slices.Values(f.members), Identifier.Compare) {
		set := f.find(f.index[m])
		i, ok := bySet[set]
		if !ok {
			i = len(groups)
			bySet[set] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], m)
	}
	return groups
}
