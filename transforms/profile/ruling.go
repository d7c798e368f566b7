package profile

import (
	"slices"

	"github.com/braidhq/braid/transforms/identity"
)

// RefusedPerMember is how many refused links a document remembers for one of its members.
const RefusedPerMember = 64

// Rule adds a ruling about a pair of which at least one is a member, and reports whether it says anything new.
func (d *Document) Rule(r identity.Ruling) bool {
	pair := identity.Pair{A: r.A, B: r.B}
	i, known := slices.BinarySearchFunc(d.Pairs, pair, identity.Pair.Compare)
	if known {
		pair = d.Pairs[i]
	}
	if !pair.Rule(r) {
		return false
	}
	if !known {
		d.Pairs = slices.Insert(d.Pairs, i, pair)
	}
	d.Pairs[i] = pair
	d.tree = nil
	return true
}

func (d *Document) addPair(p identity.Pair) {
	i, known := slices.BinarySearchFunc(d.Pairs, p, identity.Pair.Compare)
	if !known {
		d.Pairs = slices.Insert(d.Pairs, i, identity.Pair{A: p.A, B: p.B})
	}
	d.Pairs[i].Merge(p)
	d.tree = nil
}

// Refuse remembers a link from a leader elsewhere to a member, and reports whether it is news. Of a member that has too many of them the
// further ones are forgotten: then the document needs a recheck when one of them could have counted.
func (d *Document) Refuse(link identity.Link) bool {
	i, known := slices.BinarySearchFunc(d.Refused, link, compareRefused)
	if known {
		return false
	}
	of := 0
	for _, l := range d.Refused {
		if l.Other == link.Other {
			of++
		}
	}
	if of >= RefusedPerMember {
		news := !d.Forgot
		d.Forgot = true
		return news
	}
	d.Refused = slices.Insert(d.Refused, i, link)
	return true
}

func compareRefused(a, b identity.Link) int {
	if c := a.Other.Compare(b.Other); c != 0 {
		return c
	}
	return a.Leader.Compare(b.Leader)
}

// Hand gives another document what this one remembers about members that go there; both may remember a pair.
func (d *Document) Hand(to *Document, members []identity.Identifier) {
	goes := func(i identity.Identifier) bool { return slices.Contains(members, i) }
	d.Refused = slices.DeleteFunc(d.Refused, func(l identity.Link) bool {
		if goes(l.Other) {
			to.Refuse(l)
			return true
		}
		return false
	})
	d.Pairs = slices.DeleteFunc(d.Pairs, func(p identity.Pair) bool {
		if goes(p.A) || goes(p.B) {
			to.addPair(p)
		}
		stays := func(i identity.Identifier) bool { return d.Has(i) && !goes(i) }
		return !stays(p.A) && !stays(p.B)
	})
	d.Came = slices.DeleteFunc(d.Came, func(i identity.Identifier) bool {
		if goes(i) {
			to.Part(i)
			return true
		}
		return false
	})
	to.Evicted = to.Evicted || d.Evicted
	to.Forgot = to.Forgot || d.Forgot
	to.Recheck = to.Recheck || d.Recheck
	d.tree, to.tree = nil, nil
}

// Remember brings the refused links of two documents up to date after members came from the other one: links within a document are none,
// and those between the two are.
func (d *Document) Remember(rules *identity.Rules, from *Document, came []identity.Identifier) {
	d.ForgetInner()
	from.ForgetInner()
	for _, c := range from.Cells {
		for _, other := range c.Identifiers {
			if slices.Contains(came, other) {
				d.Refuse(identity.Link{Leader: c.Leader(rules), Other: other})
			}
		}
	}
	for _, c := range d.Cells {
		if !slices.ContainsFunc(c.Identifiers, func(i identity.Identifier) bool { return slices.Contains(came, i) }) {
			continue
		}
		leader := c.Leader(rules)
		for _, other := range c.Identifiers {
			if other != leader && from.Has(other) {
				from.Refuse(identity.Link{Leader: leader, Other: other})
			}
		}
	}
}

// Reunited reports whether two members were parted by a ruling, and are together again by what was seen since: which links that
// ruling binds then depends on their order.
func (d *Document) Reunited() bool {
	return slices.ContainsFunc(d.Pairs, func(p identity.Pair) bool { return d.Has(p.A) && d.Has(p.B) })
}

// Unseen reports whether no event ever carried a member: only rulings name them.
func (d *Document) Unseen() bool {
	return len(d.Cells) == 0 && len(d.Refused) == 0 && d.PublishedAs == ""
}

// Leaders returns how many more identifying identifiers a member was seen with, here and elsewhere; leader is counted as one of them.
func (d *Document) Leaders(rules *identity.Rules, member, leader identity.Identifier) int {
	all := []identity.Identifier{leader}
	add := func(i identity.Identifier) {
		if !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	for _, l := range d.Refused {
		if l.Other == member {
			add(l.Leader)
		}
	}
	for _, c := range d.Cells {
		if len(c.Identifiers) > 1 && slices.Contains(c.Identifiers, member) {
			if leads := c.Leader(rules); leads != member {
				add(leads)
			}
		}
	}
	return len(all)
}

// Part notes that members came from another person, who goes on without them.
func (d *Document) Part(members ...identity.Identifier) {
	for _, m := range members {
		if i, known := slices.BinarySearchFunc(d.Came, m, identity.Identifier.Compare); !known {
			d.Came = slices.Insert(d.Came, i, m)
		}
	}
}

// ForgetInner drops the refused links that lie within the document by now.
func (d *Document) ForgetInner() {
	d.Refused = slices.DeleteFunc(d.Refused, func(l identity.Link) bool { return d.Has(l.Leader) })
}

// Gather returns what there is to settle the members of some documents by. Refused links from elsewhere are among the edges, without a
// weight, for they count for what is shared by many.
func Gather(rules *identity.Rules, docs ...*Document) (members []identity.Identifier, edges []identity.Edge, pairs []identity.Pair) {
	for _, d := range docs {
		members, edges, pairs = append(members, d.Members...), append(edges, d.Edges(rules)...), append(pairs, d.Pairs...)
		for _, l := range d.Refused {
			if !slices.ContainsFunc(docs, func(o *Document) bool { return o.Has(l.Leader) }) {
				edges = append(edges, identity.Edge{Link: l})
			}
		}
	}
	return members, edges, pairs
}

// Abroad returns the identifiers elsewhere that a link leads to or comes from, each once.
func (d *Document) Abroad() []identity.Identifier {
	var all []identity.Identifier
	add := func(i identity.Identifier) {
		if !d.Has(i) && !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	for _, l := range d.Refused {
		add(l.Leader)
	}
	for _, c := range d.Cells {
		for _, i := range c.Identifiers {
			add(i)
		}
	}
	return all
}
