package update

import (
	"fmt"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// Epoch is where in the sequence of epochs an event stands.
type Epoch struct {
	Current uint64 // the event's own
	Oldest  uint64 // oldest one that a batch still tells apart
}

// Outcome is what one event did.
type Outcome struct {
	Need       Need // what the working set lacks; when it is not empty nothing was changed
	Duplicate  bool // a sender's retry of an event that was counted; nothing was changed
	Changes    []IdentityChange
	Violations []attribute.Violation // values that attributes could not take
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
	// Reason says why a link was refused.
	Reason identity.Reason
}

// Step folds one event into the documents. When they lack something the event needs, it says so and changes nothing; load that and
// call it again. The error means that a stored accumulator is damaged.
func (c *Config) Step(docs *Documents, in *Input, epoch Epoch) (Outcome, error) {
	var out Outcome
	if docs.need(in, &out.Need); !out.Need.Empty() {
		return out, nil
	}
	if in.Ruling != nil {
		return c.rule(docs, in)
	}
	if docs.ruled(in) {
		if _, _, err := docs.around(c, in.IDs, &out.Need); err != nil || !out.Need.Empty() {
			return out, err
		}
	}
	e := docs.of(in.IDs[0])
	created := e == nil
	if created {
		e = docs.found(in.IDs[0])
		docs.join(e, in.Identifiers[0], in.IDs[0])
	}
	st := newStitch(c, docs, in, e, created)
	cell := profile.NewCell(c.Namespace, in.Identifiers)
	if known := e.Cell(cell.ID); known != nil {
		cell = known
	} else {
		e.AddCell(cell)
		e.header = true
	}
	if !cell.Sight(&in.Event) {
		out.Duplicate = true
		return out, nil
	}
	e.change(cell)
	e.Sighted()
	bucket, err := cell.Bucket(epoch.Current, epoch.Oldest)
	if err != nil {
		return out, fmt.Errorf("cell %s: %w", cell.ID, err)
	}
	bucket.Events++
	if bucket.States, out.Violations, err = c.Attributes.Add(bucket.States, &in.Event, in.Matched); err != nil {
		return out, fmt.Errorf("cell %s, epoch %d: %w", cell.ID, bucket.Epoch, err)
	}
	st.fresh = cell.Events() == 1
	out.Changes = st.run()
	docs.touch(docs.of(in.IDs[0]), in)
	return out, nil
}
