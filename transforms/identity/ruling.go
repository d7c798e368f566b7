package identity

import (
	"fmt"

	"github.com/braidhq/braid/transforms/event"
)

// RulingKind is what somebody decided about two identifiers.
type RulingKind string

// The kinds of ruling.
const (
	// Unlink parts two identifiers: of the links that hold them together the latest goes. Links that are seen again join again.
	Unlink RulingKind = "unlink"
	// Forbid parts them for good: they never share a profile, until that is allowed.
	Forbid RulingKind = "forbid"
	// Allow takes a Forbid back.
	Allow RulingKind = "allow"
)

// Ruling is a decision about two identifiers, made by people or imported. Like events rulings have an order, and of those about
// the same pair the latest counts.
type Ruling struct {
	Kind RulingKind
	A, B Identifier
	At   event.Order
}

// NewRuling returns a ruling, whose identifiers may come in any order.
func NewRuling(kind RulingKind, a, b Identifier, at event.Order) (Ruling, error) {
	switch kind {
	case Unlink, Forbid, Allow:
	default:
		return Ruling{}, fmt.Errorf("unknown ruling %q; use %s, %s or %s", string(kind), Unlink, Forbid, Allow)
	}
	switch c := a.Compare(b); {
	case c == 0:
		return Ruling{}, fmt.Errorf("%s: an identifier cannot be kept from itself", a)
	case c > 0:
		a, b = b, a
	}
	return Ruling{Kind: kind, A: a, B: b, At: at}, nil
}

// Pair is all that was ruled about two identifiers: the latest ruling of each kind. An order without ID stands for none.
type Pair struct {
	A, B                         Identifier // A before B by Compare
	Unlinked, Forbidden, Allowed event.Order
}

// Rule adds a ruling about the pair and reports whether that changed anything. In which order rulings are added does not matter.
func (p *Pair) Rule(r Ruling) bool {
	latest := &p.Unlinked
	switch r.Kind {
	case Forbid:
		latest = &p.Forbidden
	case Allow:
		latest = &p.Allowed
	}
	if ruled(*latest) && r.At.Compare(*latest) <= 0 {
		return false
	}
	p.A, p.B, *latest = r.A, r.B, r.At
	return true
}

// Merge adds what was ruled about the same pair elsewhere.
func (p *Pair) Merge(o Pair) {
	for kind, at := range map[RulingKind]event.Order{Unlink: o.Unlinked, Forbid: o.Forbidden, Allow: o.Allowed} {
		if ruled(at) {
			p.Rule(Ruling{Kind: kind, A: o.A, B: o.B, At: at})
		}
	}
}

// Compare orders pairs by their ends.
func (p Pair) Compare(o Pair) int {
	if c := p.A.Compare(o.A); c != 0 {
		return c
	}
	return p.B.Compare(o.B)
}

// Forbids reports whether the two may not share a profile, whatever links there are.
func (p Pair) Forbids() bool {
	return ruled(p.Forbidden) && (!ruled(p.Allowed) || p.Forbidden.Compare(p.Allowed) > 0)
}

// Binds returns the reason for which a link that was last seen at an order may not join the two, or "".
func (p Pair) Binds(last event.Order) Reason {
	switch {
	case p.Forbids():
		return PairForbidden
	case ruled(p.Unlinked) && last.Compare(p.Unlinked) <= 0:
		return PairUnlinked
	}
	return ""
}

func ruled(o event.Order) bool { return o.ID != "" }

// Reason says why a link was refused.
type Reason string

// The reasons for which a link is refused.
const (
	TwoPersons    Reason = "two_profile_keys" // it would join two values of the profile key, and is not the lightest that could
	LimitReached  Reason = "limit_reached"    // it would join more values of a key than a profile may have
	SharedByMany  Reason = "saturated"        // one of its ends is shared by many people
	TooManyCells  Reason = "too_many_cells"   // no link: identifiers were evicted, for their profile has too many cells
	PairForbidden Reason = "forbidden"        // it would join two identifiers that were forbidden to share a profile
	PairUnlinked  Reason = "unlinked"         // it would join two identifiers that were unlinked, and was not seen since
)
