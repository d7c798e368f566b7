package update

import (
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// TableRulings is the name of the table whose events are rulings about identifiers: people's decisions in the stream, replayed like all
// else. No table of a segment can have this name. The properties are those of RulingProperties.
const TableRulings = "_identity"

// RulingProperties are the properties of a ruling's event.
type RulingProperties struct {
	Ruling identity.RulingKind `json:"ruling"`
	// A and B are the identifiers as "key:value", not yet normalized.
	A string `json:"a"`
	B string `json:"b"`
	// Reason is for people; it may be empty.
	Reason string `json:"reason,omitempty"`
}

// prepareRuling reads the ruling that an event of TableRulings holds.
func (c *Config) prepareRuling(in *Input) error {
	refuse := func(field, format string, args ...any) error {
		return &event.Rejection{Reason: event.BadRuling, Field: "properties." + field, Detail: fmt.Sprintf(format, args...)}
	}
	ends := [2]identity.Identifier{}
	for i, field := range [...]string{"a", "b"} {
		raw, err := identity.ParseIdentifier(in.Event.Field("properties").Get(field).String())
		if err != nil {
			return refuse(field, "is not an identifier: %v", err)
		}
		var reason identity.Refusal
		if ends[i], reason = c.Rules.Normalize(raw.Key, raw.Value); reason != "" {
			return refuse(field, "identifies nobody: %s", reason)
		}
	}
	ruling, err := identity.NewRuling(identity.RulingKind(in.Event.Field("properties").Get("ruling").String()), ends[0], ends[1], in.Event.Order)
	if err != nil {
		return refuse("ruling", "cannot be: %v", err)
	}
	in.Ruling, in.Identifiers = &ruling, ends[:]
	slices.SortFunc(in.Identifiers, c.Rules.Compare)
	return nil
}

// TableLinks is the name of the table whose events are links that were found elsewhere, such as in a batch identity graph: they join
// identifiers and count as nobody's event. The properties are those of LinkProperties.
const TableLinks = "_links"

// LinkProperties are the properties of an event of TableLinks.
type LinkProperties struct {
	// Identifiers belong together, each as "key:value", not yet normalized; at most MaxLinked.
	Identifiers []string `json:"identifiers"`
	// Origin says where that was found, for people.
	Origin string `json:"origin,omitempty"`
}

// MaxLinked is how many identifiers one event of TableLinks joins at most.
const MaxLinked = 1000

// prepareLinks reads the identifiers that an event of TableLinks joins.
func (c *Config) prepareLinks(in *Input) error {
	refuse := func(format string, args ...any) error {
		return &event.Rejection{Reason: event.BadLinks, Field: "properties.identifiers", Detail: fmt.Sprintf(format, args...)}
	}
	listed := in.Event.Field("properties").Get("identifiers").Array()
	if len(listed) > MaxLinked {
		return refuse("has %d identifiers, the limit is %d", len(listed), MaxLinked)
	}
	for _, text := range listed {
		raw, err := identity.ParseIdentifier(text.String())
		if err != nil {
			return refuse("holds no identifier: %v", err)
		}
		id, reason := c.Rules.Normalize(raw.Key, raw.Value)
		switch {
		case reason != "":
			in.Refused = append(in.Refused, c.Rules.Refuse(raw.Key, raw.Value, reason))
		case !slices.Contains(in.Identifiers, id):
			in.Identifiers = append(in.Identifiers, id)
		}
	}
	if len(in.Identifiers) < 2 {
		return refuse("has %d that count, and joins nothing", len(in.Identifiers))
	}
	slices.SortFunc(in.Identifiers, c.Rules.Compare)
	in.OnlyLinks = true
	return nil
}

// rule does what a ruling says: both sides remember it, and all who are linked with them are settled anew.
func (c *Config) rule(docs *Documents, in *Input) (Outcome, error) {
	var out Outcome
	set, whole, err := docs.around(c, in.IDs, &out.Need)
	if err != nil || !out.Need.Empty() {
		return out, err
	}
	for i, id := range in.IDs {
		if docs.of(id) == nil { // it is to be remembered for when the identifier comes
			e := docs.found(c, in.Identifiers[i], in)
			docs.join(e, in.Identifiers[i], id)
			set = append(set, e)
		}
	}
	out.Duplicate = true
	for _, id := range in.IDs {
		if e := docs.of(id); e.Rule(*in.Ruling) {
			e.header, out.Duplicate = true, false
		}
	}
	if out.Duplicate {
		return out, nil
	}
	r := regroup{config: c, docs: docs, in: in, set: set, whole: whole}
	out.Changes = r.run()
	return out, nil
}

// settleDocuments is how many documents are settled at once; where more hang together, only those at hand are, and want a recheck.
const settleDocuments = 100

// around returns the documents that have the identifiers, all that links lead to from there, and so on; whole is false when they
// are too many, and then only those that have the identifiers are returned. What is not loaded is added to need.
func (d *Documents) around(config *Config, ids []identity.ID, need *Need) (set []*entry, whole bool, err error) {
	for _, id := range ids {
		if e := d.of(id); e != nil && !slices.Contains(set, e) {
			set = append(set, e)
		}
	}
	first := len(set)
	for i := 0; i < len(set); i++ {
		for _, abroad := range set[i].Abroad() {
			id := identity.NewID(config.Namespace, abroad)
			key, known := d.where[id]
			switch {
			case !known:
				need.Identifiers = append(need.Identifiers, id)
				continue
			case key == profile.Key{}:
				continue
			case d.documents[key] == nil:
				need.Documents = append(need.Documents, key)
				continue
			}
			e := d.documents[key]
			if !e.Has(abroad) {
				return nil, false, fmt.Errorf("document %s lacks its member %s: %w", identity.ID(key), abroad, ErrConflict)
			}
			if slices.Contains(set, e) {
				continue
			}
			if set = append(set, e); len(set) > settleDocuments {
				*need = Need{}
				return set[:first], false, nil
			}
		}
	}
	return set, true, nil
}

// regroup settles documents anew: their members are dealt out to them, and to new ones, as Settle says.
type regroup struct {
	config *Config
	docs   *Documents
	in     *Input
	set    []*entry
	whole  bool                    // whether the set holds all that matters
	groups [][]identity.Identifier // the outcome, where it is known; nil: it is to be found

	before  map[*entry]identity.ID
	refused []identity.Refused
}

func (r *regroup) run() []IdentityChange {
	f, rules := r.config.folder(), r.config.Rules
	r.before = map[*entry]identity.ID{}
	docs := make([]*profile.Document, len(r.set))
	for i, e := range r.set {
		docs[i] = e.Document
		r.before[e] = f.ID(e.Document)
		r.whole = r.whole && !e.Forgot
	}
	groups := r.groups
	if groups == nil {
		members, edges, pairs := profile.Gather(rules, docs...)
		settled := identity.Settle(rules, members, edges, pairs)
		groups, r.refused = settled.Groups, settled.Refused
	}
	targets := r.targets(groups)
	var changes []IdentityChange
	into := map[int]*entry{} // of each change
	former := map[*entry]identity.Identifier{}
	for _, e := range slices.Clone(r.set) {
		former[e] = e.Members[0]
		leaving := map[*entry][]identity.Identifier{}
		var order []*entry
		for _, m := range e.Members {
			if to := targets[m]; to != e {
				if leaving[to] == nil {
					order = append(order, to)
				}
				leaving[to] = append(leaving[to], m)
			}
		}
		for _, to := range order {
			change := IdentityChange{Kind: ProfilesMoved, Moved: leaving[to]}
			switch before, old := r.before[to]; {
			case !old:
				change.Kind, change.Before = ProfileSplit, []identity.ID{r.before[e]}
				r.set = append(r.set, to)
			case len(leaving[to]) == len(e.Members):
				change.Kind, change.Before = ProfilesMerged, []identity.ID{before, r.before[e]}
			default:
				change.Before = []identity.ID{before, r.before[e]}
			}
			r.docs.move(r.config, e, to, leaving[to])
			if change.Kind != ProfilesMerged {
				to.Part(leaving[to]...)
			}
			r.docs.touch(e, r.in)
			r.docs.touch(to, r.in)
			into[len(changes)] = to
			changes = append(changes, change)
		}
	}
	r.rehome(targets)
	for _, e := range slices.Clone(r.set) {
		if len(e.Members) == 0 {
			r.docs.dissolve(e, former[e], r.in)
			r.set = slices.DeleteFunc(r.set, func(o *entry) bool { return o == e })
		}
	}
	for i := range changes {
		changes[i].After = f.ID(into[i].Document)
		if !r.whole {
			into[i].Recheck = true
		}
	}
	r.remember()
	return changes
}

// rehome hands cells to the documents of their leaders: under other rules another identifier may lead.
func (r *regroup) rehome(targets map[identity.Identifier]*entry) {
	for _, e := range slices.Clone(r.set) {
		for _, c := range slices.Clone(e.Cells) {
			to := targets[c.Leader(r.config.Rules)]
			if to == nil || to == e {
				continue
			}
			e.TakeCell(c)
			r.docs.moveCells(e, to, []*profile.Cell{c})
			e.header, to.header = true, true
			r.docs.touch(e, r.in)
			r.docs.touch(to, r.in)
		}
	}
}

// targets deals the groups out: a document goes on as the group with the member whose ID is its profile's; of several documents in
// one group that with the most members does. Groups without a document get new ones.
func (r *regroup) targets(groups [][]identity.Identifier) map[identity.Identifier]*entry {
	of := map[identity.Identifier]int{}
	for i, g := range groups {
		for _, m := range g {
			of[m] = i
		}
	}
	claimed := make([]*entry, len(groups))
	claim := func(group int, e *entry) {
		if c := claimed[group]; c == nil || len(e.Members) > len(c.Members) {
			claimed[group] = e
		}
	}
	for _, e := range r.set {
		for _, m := range e.Members {
			if identity.NewID(r.config.Namespace, m) == r.before[e] {
				claim(of[m], e)
			}
		}
	}
	for _, e := range r.set { // one that lost its group goes on as another of its own
		for _, m := range e.Members {
			if !slices.Contains(claimed, e) && claimed[of[m]] == nil {
				claim(of[m], e)
			}
		}
	}
	targets := map[identity.Identifier]*entry{}
	for i, g := range groups {
		e := claimed[i]
		if e == nil {
			e = r.docs.begin(r.config, g[0], r.in)
		}
		for _, m := range g {
			targets[m] = e
		}
	}
	return targets
}

// remember brings the refused links within the set up to date.
func (r *regroup) remember() {
	home := map[identity.Identifier]*entry{}
	for _, e := range r.set {
		for _, m := range e.Members {
			home[m] = e
		}
	}
	for _, e := range r.set {
		n := len(e.Refused)
		e.ForgetInner()
		e.header = e.header || len(e.Refused) != n
	}
	for _, e := range r.set {
		for _, edge := range e.Edges(r.config.Rules) {
			if to := home[edge.Other]; to != nil && to != e && home[edge.Leader] == e && to.Refuse(edge.Link) {
				to.header = true
			}
		}
	}
}
