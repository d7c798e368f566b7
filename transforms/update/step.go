package update

import (
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// Epoch is where in the sequence of epochs an event stands.
type Epoch struct {
	Current uint64 // the event's own
	Oldest  uint64 // oldest one that a batch still tells apart
	Pruned  uint64 // those below are in every history that is still read
}

// Outcome is what one event did.
type Outcome struct {
	Need       Need // what the working set lacks; when it is not empty nothing was changed
	Duplicate  bool // a sender's retry of an event that was counted; nothing was changed
	Changes    []IdentityChange
	Violations []accumulator.Violation // values that attributes could not take
}

// ChangeKind says how an event changed who belongs together.
type ChangeKind string

// The kinds of identity change.
const (
	ProfileCreated  ChangeKind = "created"  // identifiers nobody had met: a new profile
	ProfileExtended ChangeKind = "extended" // a profile has an identifier more
	ProfilesMerged  ChangeKind = "merged"   // two profiles became one
	ProfilesMoved   ChangeKind = "moved"    // identifiers moved from one profile to another
	ProfileSplit    ChangeKind = "split"    // a part of a profile became one of its own
	LinkRefused     ChangeKind = "refused"  // a link was refused that would have joined what belongs apart
	// IdentifiersEvicted says that a profile has too many identifiers to tell the events of the longest unseen apart from others.
	IdentifiersEvicted ChangeKind = "evicted"
	// ValuesRefused says that an event carried values that identify nobody.
	ValuesRefused ChangeKind = "values_refused"
)

// IdentityChange is one change of who belongs together.
type IdentityChange struct {
	Kind ChangeKind
	// Profiles that took part, as they were before; the first is the one that gained.
	Before []identity.ID
	// After is the profile ID of the one that gained, or of the leader's profile where a link was refused.
	After identity.ID
	// Link that caused it; without Other when a single identifier made a profile.
	Link identity.Link
	// Moved lists the identifiers that changed hands.
	Moved []identity.Identifier
	// Reason says why a link was refused or identifiers were evicted.
	Reason identity.Reason
	// Refused lists the values that identify nobody.
	Refused []identity.RefusedValue
}

// Step folds one event into the documents. When they lack something the event needs, it says so and changes nothing; load that and
// call it again. The error means that a stored accumulator is damaged, or wraps ErrConflict when the documents contradict each other.
func (c *Config) Step(docs *Documents, in *Input, epoch Epoch) (Outcome, error) {
	var out Outcome
	if docs.need(in, &out.Need); !out.Need.Empty() {
		return out, nil
	}
	if in.Ruling != nil {
		return c.rule(docs, in)
	}
	if docs.guarded(c, in) {
		if _, _, err := docs.around(c, in.IDs, &out.Need); err != nil || !out.Need.Empty() {
			return out, err
		}
	}
	e := docs.of(in.IDs[0])
	created := e == nil
	if !created && docs.countedBefore(c, e, in) {
		out.Duplicate = true
		return out, nil
	}
	if created {
		e = docs.found(c, in.Identifiers[0], in)
		docs.join(e, in.Identifiers[0], in.IDs[0])
	}
	st := newStitch(c, docs, in, e, created)
	cell := profile.NewCell(c.Namespace, in.Identifiers)
	if known := e.Cell(cell.ID); known != nil {
		cell = known
	} else {
		st.fresh = true
		cell.Whole = e.Evicted
		e.AddCell(cell)
		e.header = true
	}
	if !cell.Sight(&in.Event) {
		out.Duplicate = true
		return out, nil
	}
	e.change(cell)
	e.Sighted()
	if !in.OnlyLinks {
		if err := c.fold(cell, in, epoch, &out); err != nil {
			return out, err
		}
	}
	out.Changes = st.run()
	leads := docs.of(in.IDs[0])
	if len(in.Refused) > 0 {
		out.Changes = append(out.Changes, IdentityChange{Kind: ValuesRefused, After: st.folder.ID(leads.Document), Refused: in.Refused})
	}
	evicted, err := docs.evict(c, leads, in)
	if err != nil {
		return out, fmt.Errorf("evicting: %w", err)
	}
	out.Changes = append(out.Changes, evicted...)
	docs.touch(leads, in)
	return out, nil
}

// fold adds an event to its cell.
func (c *Config) fold(cell *profile.Cell, in *Input, epoch Epoch, out *Outcome) error {
	if err := c.prune(cell, epoch.Pruned); err != nil {
		return err
	}
	bucket, err := cell.Bucket(epoch.Current, epoch.Oldest)
	if err != nil {
		return fmt.Errorf("cell %s: %w", cell.ID, err)
	}
	bucket.Events++
	if bucket.States, out.Violations, err = c.Attributes.Add(bucket.States, &in.Event, in.Matched); err != nil {
		return fmt.Errorf("cell %s, epoch %d: %w", cell.ID, bucket.Epoch, err)
	}
	return nil
}

// prune drops the buckets of a cell before an epoch, if the history at hand has what is in them.
func (c *Config) prune(cell *profile.Cell, epoch uint64) error {
	if cell.Whole || len(cell.Buckets) == 0 || cell.Buckets[0].Epoch >= epoch || c.Histories == nil {
		return nil
	}
	h := c.Histories.Current()
	if h == nil || h.Epoch() < epoch {
		return nil
	}
	past, ok, err := h.Cell(cell.ID)
	if err != nil {
		return fmt.Errorf("cell %s: %w", cell.ID, err)
	}
	var before uint64
	for _, b := range cell.Buckets {
		if b.Epoch < epoch {
			before += b.Events
		}
	}
	if ok && past.Events >= before {
		cell.Prune(epoch)
	}
	return nil
}

// stitch links the leader of one event with each other identifier that the event carried.
type stitch struct {
	config  *Config
	folder  profile.Folder
	docs    *Documents
	in      *Input
	created bool // whether the leader was unknown before, and has met no known identifier yet
	fresh   bool // whether this is the first event that carried these identifiers together
	changes []IdentityChange

	leads  *entry      // the leader's document when the event came
	before identity.ID // its profile ID then, if anything joins it
}

// newStitch is called before the event is folded in: that may change the profile ID of the leader's document.
func newStitch(config *Config, docs *Documents, in *Input, leads *entry, created bool) stitch {
	s := stitch{config: config, folder: config.folder(), docs: docs, in: in, created: created, leads: leads}
	joins := slices.ContainsFunc(in.IDs[1:], func(id identity.ID) bool { return docs.where[id] != leads.Key })
	if joins && !created {
		s.before = s.folder.ID(leads.Document)
	}
	return s
}

// idBefore returns the profile ID of a document as it was before the next change.
func (s *stitch) idBefore(e *entry) identity.ID {
	if e == s.leads && len(s.changes) == 0 && !s.created {
		return s.before
	}
	return s.folder.ID(e.Document)
}

func (s *stitch) run() []IdentityChange {
	leader, leaderID := s.in.Identifiers[0], s.in.IDs[0]
	for i, other := range s.in.Identifiers[1:] {
		link := identity.Link{Leader: leader, Other: other}
		a, b := s.docs.of(leaderID), s.docs.of(s.in.IDs[i+1])
		if b == nil && s.aloneInMany(a, leader) {
			b = s.root(other, s.in.IDs[i+1])
		}
		switch {
		case b != nil && (a != b || s.fresh) && s.shared(a, b, link):
		case a == b:
		case b != nil && s.guarded(a, b):
			s.create(a)
			s.settle(a, b, link)
		case b == nil && s.config.Rules.Exceeded(a.Members, s.in.Identifiers[i+1:i+2]):
			s.create(a)
			s.settle(a, s.root(other, s.in.IDs[i+1]), link)
		case b == nil && other.Key == s.config.Rules.ProfileKey() && s.rooted(a):
			s.create(a)
			s.contest(a, s.root(other, s.in.IDs[i+1]), link)
		case b == nil:
			s.extend(a, link, s.in.IDs[i+1])
		case s.rooted(a) && s.rooted(b):
			s.create(a)
			s.contest(a, b, link)
		default:
			s.merge(a, b, link)
		}
	}
	s.create(s.docs.of(leaderID))
	if a := s.docs.of(leaderID); len(s.in.IDs) > 1 && a.Reunited() {
		s.changes = append(s.changes, s.regroup(s.in.IDs[:1], []*entry{a}).run()...)
	}
	return s.changes
}

// regroup returns what settles the documents of some identifiers and all that hangs together with them, or if that is not at hand those
// named.
func (s *stitch) regroup(ids []identity.ID, named []*entry) *regroup {
	var lacks Need
	set, whole, err := s.docs.around(s.config, ids, &lacks)
	if err != nil {
		set = named
	}
	return &regroup{config: s.config, docs: s.docs, in: s.in, set: set, whole: whole && err == nil && lacks.Empty()}
}

// create tells of the leader's document, if it is new, with the identifiers it has by now.
func (s *stitch) create(a *entry) {
	if !s.created {
		return
	}
	s.created = false
	change := IdentityChange{Kind: ProfileCreated, After: s.folder.ID(a.Document)}
	for _, id := range s.in.Identifiers {
		if a.Has(id) {
			change.Moved = append(change.Moved, id)
		}
	}
	s.changes = append(s.changes, change)
}

// root makes a document of its own for a value of the profile key that nobody has, carried by an event whose leader belongs to another
// value. Its events, if any, are those that the contest for the leader gives it.
func (s *stitch) root(identifier identity.Identifier, id identity.ID) *entry {
	e := s.docs.found(s.config, identifier, s.in)
	s.docs.join(e, identifier, id)
	s.docs.touch(e, s.in)
	s.changes = append(s.changes, IdentityChange{Kind: ProfileCreated, After: id, Moved: []identity.Identifier{identifier}})
	return e
}

// extend adds an identifier that nobody has.
func (s *stitch) extend(a *entry, link identity.Link, id identity.ID) {
	if s.created {
		s.docs.join(a, link.Other, id)
		return
	}
	before := s.idBefore(a)
	s.docs.join(a, link.Other, id)
	s.changes = append(s.changes, IdentityChange{
		Kind: ProfileExtended, Link: link, Moved: []identity.Identifier{link.Other},
		Before: []identity.ID{before}, After: s.folder.ID(a.Document),
	})
}

// merge makes two documents one, of which at most one has a value of the profile key. The smaller one moves.
func (s *stitch) merge(a, b *entry, link identity.Link) {
	into, from := a, b
	if len(b.Members) > len(a.Members) || (len(b.Members) == len(a.Members) && !a.stored) {
		into, from = b, a
	}
	change := IdentityChange{Kind: ProfilesMerged, Link: link, Moved: slices.Clone(from.Members)}
	if s.created { // the event adds new identifiers to a known profile
		change.Kind, change.Moved = ProfileExtended, slices.Clone(a.Members)
		change.Before = []identity.ID{s.folder.ID(b.Document)}
		s.created = false
	} else {
		change.Before = []identity.ID{s.idBefore(into), s.idBefore(from)}
	}
	member := from.Members[0]
	s.docs.move(s.config, from, into, from.Members)
	into.ForgetInner()
	s.docs.dissolve(from, member, s.in)
	change.After = s.folder.ID(into.Document)
	s.changes = append(s.changes, change)
}

// contest settles a link between two documents that have a value of the profile key each.
func (s *stitch) contest(a, b *entry, link identity.Link) {
	rules := s.config.Rules
	verdict := identity.Contest(a.Tree(rules), b.Tree(rules), a.Edge(rules, link))
	into, from := a, b
	if len(verdict.Members) > 0 && !verdict.ToLeader {
		into, from = b, a
	}
	change := IdentityChange{Kind: ProfilesMoved, Link: link, Moved: verdict.Members}
	change.Before = []identity.ID{s.folder.ID(into.Document), s.folder.ID(from.Document)}
	change.After = change.Before[0]
	if len(verdict.Members) == 0 {
		s.refuse(b, link)
		change.Kind, change.Reason = LinkRefused, identity.TwoPersons
		if s.fresh {
			s.changes = append(s.changes, change)
		}
		return
	}
	s.docs.move(s.config, from, into, verdict.Members)
	into.Part(verdict.Members...)
	into.Remember(rules, from.Document, verdict.Members)
	s.docs.touch(into, s.in)
	s.docs.touch(from, s.in)
	s.changes = append(s.changes, change)
}

// refuse remembers a refused link with the document of its lesser end.
func (s *stitch) refuse(b *entry, link identity.Link) {
	if b.Refuse(link) {
		b.header = true
	}
}

// shared settles a link to an identifier that many people share, and reports whether it is one.
func (s *stitch) shared(a, b *entry, link identity.Link) bool {
	rules, alone := s.config.Rules, s.aloneInMany(a, link.Leader)
	if !alone && !rules.Saturated(link.Other.Key, b.Leaders(rules, link.Other, link.Leader)) {
		return false
	}
	s.create(a)
	if alone || a != b && len(b.Members) == 1 { // it joins nobody already
		if s.refuse(b, link); s.fresh {
			ids := []identity.ID{s.folder.ID(a.Document), s.folder.ID(b.Document)}
			s.changes = append(s.changes, IdentityChange{Kind: LinkRefused, Link: link, Reason: identity.SharedByMany, Before: ids, After: ids[0]})
		}
		return true
	}
	s.settle(a, b, link)
	return true
}

// aloneInMany reports whether a document holds nothing but an identifier that many people share.
func (s *stitch) aloneInMany(e *entry, id identity.Identifier) bool {
	rules := s.config.Rules
	return len(e.Members) == 1 && rules.Saturated(id.Key, e.Leaders(rules, id, id)-1)
}

// guarded reports whether there is a ruling about a member of the one and a member of the other, or both together have more values of a
// key than a profile may have, or one might lose such a value to the other and then have room for another.
func (s *stitch) guarded(a, b *entry) bool {
	ruled := len(b.Pairs) > 0 && slices.ContainsFunc(a.Pairs, func(p identity.Pair) bool {
		return a.Has(p.A) && b.Has(p.B) || a.Has(p.B) && b.Has(p.A)
	})
	rules := s.config.Rules
	// Where both have a value of the profile key, members may move; whoever was kept away from them by a ruling may then come back.
	moves := s.rooted(a) && s.rooted(b)
	return ruled || moves && len(a.Pairs)+len(b.Pairs) > 0 || rules.Exceeded(a.Members, b.Members) || moves && (rules.Full(a.Members) || rules.Full(b.Members))
}

// settle decides about a link between documents that rulings or limits have a say about.
func (s *stitch) settle(a, b *entry, link identity.Link) {
	r := s.regroup([]identity.ID{s.in.IDs[0], identity.NewID(s.config.Namespace, link.Other)}, []*entry{a, b})
	leads := s.folder.ID(a.Document)
	changes := r.run()
	for i := range changes {
		changes[i].Link = link
	}
	s.changes = append(s.changes, changes...)
	i := slices.IndexFunc(r.refused, func(r identity.Refused) bool { return r.Link == link })
	if i >= 0 && s.fresh && len(changes) == 0 {
		s.changes = append(s.changes, IdentityChange{
			Kind: LinkRefused, Link: link, Reason: r.refused[i].Reason,
			Before: []identity.ID{leads, s.folder.ID(b.Document)}, After: leads,
		})
	}
}

func (s *stitch) rooted(e *entry) bool {
	return slices.ContainsFunc(e.Members, func(m identity.Identifier) bool { return m.Key == s.config.Rules.ProfileKey() })
}
