package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func at(minute int) event.Order { return event.Order{Time: int64(minute), ID: fmt.Sprint("e", minute)} }

// settled tells who belongs together, and why the other links were refused.
func settled(s identity.Settlement) string {
	var lines []string
	for _, g := range s.Groups {
		var names []string
		for _, m := range g {
			names = append(names, m.String())
		}
		lines = append(lines, strings.Join(names, " "))
	}
	for _, r := range s.Refused {
		lines = append(lines, fmt.Sprintf("%s-%s %s", r.Leader, r.Other, r.Reason))
	}
	return strings.Join(lines, "; ")
}

func TestSettleRulings(t *testing.T) {
	rules, err := identity.NewRules([]identity.KeyRule{{Name: "user"}, {Name: "email"}, {Name: "cookie"}}, "user")
	if err != nil {
		t.Fatal(err)
	}
	id := func(s string) identity.Identifier {
		i, err := identity.ParseIdentifier(s)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	edge := func(leader, other string, first, last int) identity.Edge {
		return rules.Weigh(identity.Link{Leader: id(leader), Other: id(other)}, at(first), at(last))
	}
	rule := func(kind identity.RulingKind, a, b string, minute int) identity.Ruling {
		r, err := identity.NewRuling(kind, id(a), id(b), at(minute))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	chain := []identity.Edge{edge("user:1", "email:a", 10, 10), edge("email:a", "cookie:x", 20, 20), edge("email:a", "cookie:y", 30, 30)}
	for name, tc := range map[string]struct {
		edges   []identity.Edge
		rulings []identity.Ruling
		want    string
	}{
		"none":                          {chain, nil, "cookie:x cookie:y email:a user:1"},
		"the latest link goes":          {chain, []identity.Ruling{rule(identity.Unlink, "user:1", "cookie:x", 40)}, "cookie:x; cookie:y email:a user:1; email:a-cookie:x unlinked"},
		"also one on the way":           {chain, []identity.Ruling{rule(identity.Unlink, "cookie:y", "cookie:x", 40)}, "cookie:x email:a user:1; cookie:y; email:a-cookie:y unlinked"},
		"seen again joins again":        {[]identity.Edge{edge("email:a", "cookie:x", 20, 50)}, []identity.Ruling{rule(identity.Unlink, "email:a", "cookie:x", 40)}, "cookie:x email:a"},
		"seen again in another set":     {[]identity.Edge{edge("email:a", "cookie:x", 20, 20), edge("email:a", "cookie:x", 50, 50)}, []identity.Ruling{rule(identity.Unlink, "email:a", "cookie:x", 40)}, "cookie:x email:a"},
		"forbidden for good":            {[]identity.Edge{edge("email:a", "cookie:x", 20, 50)}, []identity.Ruling{rule(identity.Forbid, "email:a", "cookie:x", 40)}, "cookie:x; email:a; email:a-cookie:x forbidden"},
		"allowed again":                 {[]identity.Edge{edge("email:a", "cookie:x", 20, 50)}, []identity.Ruling{rule(identity.Forbid, "email:a", "cookie:x", 40), rule(identity.Allow, "email:a", "cookie:x", 41)}, "cookie:x email:a"},
		"allowed before":                {[]identity.Edge{edge("email:a", "cookie:x", 20, 50)}, []identity.Ruling{rule(identity.Forbid, "email:a", "cookie:x", 40), rule(identity.Allow, "email:a", "cookie:x", 39)}, "cookie:x; email:a; email:a-cookie:x forbidden"},
		"allowing does not undo unlink": {[]identity.Edge{edge("email:a", "cookie:x", 20, 20)}, []identity.Ruling{rule(identity.Unlink, "email:a", "cookie:x", 40), rule(identity.Allow, "email:a", "cookie:x", 41)}, "cookie:x; email:a; email:a-cookie:x unlinked"},
		"a way around": {append(chain, edge("cookie:x", "cookie:y", 25, 25)), []identity.Ruling{rule(identity.Forbid, "user:1", "cookie:y", 40)},
			"cookie:x email:a user:1; cookie:y; cookie:x-cookie:y forbidden; email:a-cookie:y forbidden"},
		"two persons": {append(chain, edge("user:2", "email:a", 15, 15)), nil, "cookie:x cookie:y email:a user:1; user:2; user:2-email:a two_profile_keys"},
	} {
		t.Run(name, func(t *testing.T) {
			var members []identity.Identifier
			for _, e := range tc.edges {
				for _, m := range []identity.Identifier{e.Leader, e.Other} {
					if !slices.Contains(members, m) {
						members = append(members, m)
					}
				}
			}
			pairs := map[[2]identity.Identifier]*identity.Pair{}
			var all []identity.Pair
			for _, r := range tc.rulings {
				ends := [2]identity.Identifier{r.A, r.B}
				if pairs[ends] == nil {
					pairs[ends] = &identity.Pair{}
				}
				pairs[ends].Rule(r)
			}
			for _, p := range pairs {
				all = append(all, *p)
			}
			if diff := cmp.Diff(tc.want, settled(identity.Settle(rules, members, tc.edges, all))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Settle is what replaying the links one by one, and looking at all that a join would bring together, comes to.
func TestSettleIsReplay(t *testing.T) {
	rules, err := identity.NewRules([]identity.KeyRule{{Name: "user"}, {Name: "email"}, {Name: "cookie", Policy: identity.MoveToLatest}}, "user")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var members []identity.Identifier
		for _, key := range []string{"user", "email", "cookie"} {
			for v := range 4 {
				members = append(members, identity.Identifier{Key: key, Value: fmt.Sprint(v)})
			}
		}
		one := func(label string) identity.Identifier { return rapid.SampledFrom(members).Draw(t, label) }
		var edges []identity.Edge
		for range rapid.IntRange(0, 25).Draw(t, "edges") {
			a, b := one("a"), one("b")
			if rules.Compare(a, b) > 0 {
				a, b = b, a
			}
			first := rapid.IntRange(0, 100).Draw(t, "first")
			if a != b {
				edges = append(edges, rules.Weigh(identity.Link{Leader: a, Other: b}, at(first), at(first+rapid.IntRange(0, 50).Draw(t, "later"))))
			}
		}
		var pairs []identity.Pair
		for range rapid.IntRange(0, 5).Draw(t, "pairs") {
			a, b := one("of"), one("and")
			if a == b {
				continue
			}
			r, err := identity.NewRuling(rapid.SampledFrom([]identity.RulingKind{identity.Unlink, identity.Forbid}).Draw(t, "kind"), a, b, at(rapid.IntRange(0, 150).Draw(t, "ruled")))
			if err != nil {
				t.Fatal(err)
			}
			p := identity.Pair{}
			p.Rule(r)
			if !slices.ContainsFunc(pairs, func(o identity.Pair) bool { return o.Compare(p) == 0 }) {
				pairs = append(pairs, p)
			}
		}
		got := identity.Settle(rules, members, edges, pairs)
		if diff := cmp.Diff(oneByOne(members, edges, pairs), got.Groups); diff != "" {
			t.Fatalf("(-replay +settle):\n%s", diff)
		}
	})
}

func oneByOne(members []identity.Identifier, edges []identity.Edge, pairs []identity.Pair) [][]identity.Identifier {
	home := map[identity.Identifier]int{}
	for i, m := range members {
		home[m] = i
	}
	last := map[identity.Link]event.Order{}
	for _, e := range edges {
		if e.Last.Compare(last[e.Link]) > 0 {
			last[e.Link] = e.Last
		}
	}
	slices.SortFunc(edges, identity.Edge.Compare)
next:
	for _, e := range edges {
		a, b := home[e.Leader], home[e.Other]
		if a == b {
			continue
		}
		users := 0
		for m, h := range home {
			if (h == a || h == b) && m.Key == "user" {
				users++
			}
		}
		if users > 1 {
			continue
		}
		for _, p := range pairs {
			meet := home[p.A] == a && home[p.B] == b || home[p.A] == b && home[p.B] == a
			if meet && (p.Forbidden.ID != "" || last[e.Link].Compare(p.Unlinked) <= 0) {
				continue next
			}
		}
		for m, h := range home {
			if h == b {
				home[m] = a
			}
		}
	}
	groups := map[int][]identity.Identifier{}
	for m, h := range home {
		groups[h] = append(groups[h], m)
	}
	var all [][]identity.Identifier
	for _, g := range groups {
		slices.SortFunc(g, identity.Identifier.Compare)
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b []identity.Identifier) int { return a[0].Compare(b[0]) })
	return all
}
