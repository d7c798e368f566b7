package identity_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sighting is one event's worth of a link.
type sighting struct {
	link identity.Link
	at   event.Order
}

func testRules(t testing.TB, policy identity.Policy) *identity.Rules {
	t.Helper()
	rules, err := identity.NewRules([]identity.KeyRule{
		{Name: "user_id"}, {Name: "email"}, {Name: "cookie", Policy: policy},
	}, "user_id")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func drawSightings(t *rapid.T, rules *identity.Rules) (nodes []identity.Identifier, seen []sighting) {
	for key, most := range map[string]int{"user_id": 4, "email": 4, "cookie": 5} {
		for i := range rapid.IntRange(1, most).Draw(t, key) {
			nodes = append(nodes, identity.Identifier{Key: key, Value: fmt.Sprint(i)})
		}
	}
	slices.SortFunc(nodes, rules.Compare)
	for i := range rapid.IntRange(0, 25).Draw(t, "events") {
		a := rapid.IntRange(0, len(nodes)-1).Draw(t, "a")
		b := rapid.IntRange(0, len(nodes)-1).Draw(t, "b")
		if nodes[a].Key == nodes[b].Key {
			continue // an event carries one value of a key
		}
		at := event.Order{Time: rapid.Int64Range(0, 10).Draw(t, "time"), ID: fmt.Sprint(i)}
		seen = append(seen, sighting{link: identity.Link{Leader: nodes[min(a, b)], Other: nodes[max(a, b)]}, at: at})
	}
	return nodes, seen
}

// edgesOf weighs each link by all its sightings.
func edgesOf(rules *identity.Rules, seen []sighting) []identity.Edge {
	lightest := map[identity.Link]identity.Edge{}
	for _, s := range seen {
		e := rules.Weigh(s.link, s.at, s.at)
		if known, ok := lightest[s.link]; !ok || e.Compare(known) < 0 {
			lightest[s.link] = e
		}
	}
	var edges []identity.Edge
	for _, e := range lightest {
		edges = append(edges, e)
	}
	slices.SortFunc(edges, identity.Edge.Compare)
	return edges
}

// replay is the rule as one would tell it: lightest link first, refuse the one that would join two values of the profile key.
func replay(nodes []identity.Identifier, edges []identity.Edge) []string {
	person := map[identity.Identifier]int{}
	user := map[int]bool{}
	for i, n := range nodes {
		person[n] = i
		user[i] = n.Key == "user_id"
	}
	for _, e := range edges {
		a, b := person[e.Leader], person[e.Other]
		if a == b || user[a] && user[b] {
			continue
		}
		user[a] = user[a] || user[b]
		for n, p := range person {
			if p == b {
				person[n] = a
			}
		}
	}
	groups := map[int][]identity.Identifier{}
	for n, p := range person {
		groups[p] = append(groups[p], n)
	}
	var parts []string
	for _, g := range groups {
		slices.SortFunc(g, identity.Identifier.Compare)
		parts = append(parts, fmt.Sprint(g))
	}
	slices.Sort(parts)
	return parts
}

// forest keeps trees by what Contest says, and knows of each tree only the links between its own members.
type forest struct {
	rules *identity.Rules
	tree  map[identity.Identifier]int
	seen  []sighting
}

func newForest(rules *identity.Rules, nodes []identity.Identifier) *forest {
	f := &forest{rules: rules, tree: map[identity.Identifier]int{}}
	for i, n := range nodes {
		f.tree[n] = i
	}
	return f
}

func (f *forest) members(tree int) (members []identity.Identifier, rooted bool) {
	for n, t := range f.tree {
		if t == tree {
			members = append(members, n)
			rooted = rooted || n.Key == "user_id"
		}
	}
	return members, rooted
}

func (f *forest) add(s sighting) {
	f.seen = append(f.seen, s)
	a, b := f.tree[s.link.Leader], f.tree[s.link.Other]
	if a == b {
		return
	}
	aMembers, aRooted := f.members(a)
	bMembers, bRooted := f.members(b)
	moved, to := bMembers, a
	if aRooted && bRooted {
		edges := edgesOf(f.rules, f.seen)
		i := slices.IndexFunc(edges, func(e identity.Edge) bool { return e.Link == s.link })
		v := identity.Contest(identity.NewTree(f.rules, aMembers, edges, nil), identity.NewTree(f.rules, bMembers, edges, nil), edges[i])
		moved = v.Members
		if !v.ToLeader {
			to = b
		}
	}
	for _, m := range moved {
		f.tree[m] = to
	}
}

func (f *forest) parts() []string {
	groups := map[int][]identity.Identifier{}
	for n, t := range f.tree {
		groups[t] = append(groups[t], n)
	}
	var parts []string
	for _, g := range groups {
		slices.SortFunc(g, identity.Identifier.Compare)
		parts = append(parts, fmt.Sprint(g))
	}
	slices.Sort(parts)
	return parts
}

// Sightings in any order give the partition that the naive rule gives over all of them at once, under both policies.
func TestForestIsTheNaiveRuleInAnyOrder(t *testing.T) {
	for _, policy := range []identity.Policy{identity.KeepFirst, identity.MoveToLatest} {
		t.Run(string(policy), func(t *testing.T) {
			rules := testRules(t, policy)
			rapid.Check(t, func(t *rapid.T) {
				nodes, seen := drawSightings(t, rules)
				want := replay(nodes, edgesOf(rules, seen))
				for range 3 {
					f := newForest(rules, nodes)
					for _, s := range rapid.Permutation(seen).Draw(t, "order") {
						f.add(s)
					}
					if diff := cmp.Diff(want, f.parts()); diff != "" {
						t.Fatalf("naive rule and forest differ (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

// The tree of a document's own members is what the spanning forest of all links has there: no other choice is lighter.
func TestTreeConnectsWithTheLightestEdges(t *testing.T) {
	rules := testRules(t, identity.KeepFirst)
	a := identity.Identifier{Key: "user_id", Value: "1"}
	b := identity.Identifier{Key: "email", Value: "x@example.com"}
	c := identity.Identifier{Key: "cookie", Value: "c"}
	at := func(ms int64) event.Order { return event.Order{Time: ms} }
	edges := []identity.Edge{
		rules.Weigh(identity.Link{Leader: a, Other: c}, at(3), at(3)),
		rules.Weigh(identity.Link{Leader: a, Other: b}, at(1), at(9)),
		rules.Weigh(identity.Link{Leader: b, Other: c}, at(2), at(2)),
	}
	tree := identity.NewTree(rules, []identity.Identifier{a, b, c}, edges, nil)
	want := []identity.Edge{edges[1], edges[2]}
	if diff := cmp.Diff(want, tree.Edges()); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
}
