package identity

import "github.com/braidhq/braid/transforms/event"

// Link joins the leading identifier of an event with another one it carried. Leader is the more identifying of the two.
type Link struct {
	Leader Identifier
	Other  Identifier
}

// Compare orders links by their ends.
func (l Link) Compare(o Link) int {
	if c := l.Leader.Compare(o.Leader); c != 0 {
		return c
	}
	return l.Other.Compare(o.Other)
}

// Weight orders links: of two links that exclude each other the lighter one holds. It is the sighting that counts by the policy
// of the link's lower-priority key, and all keep_first links are lighter than all move_to_latest ones. More sightings can only
// make a link lighter.
type Weight struct {
	Policy Policy
	At     event.Order // first sighting under keep_first, latest under move_to_latest
}

// Compare orders weights, lightest first.
func (w Weight) Compare(o Weight) int {
	late, oLate := w.Policy == MoveToLatest, o.Policy == MoveToLatest
	switch {
	case late && oLate:
		return o.At.Compare(w.At)
	case late:
		return 1
	case oLate:
		return -1
	}
	return w.At.Compare(o.At)
}

// Edge is a link with its weight, and when it was first and last seen.
type Edge struct {
	Link
	Weight
	First, Last event.Order
}

// Compare orders edges by weight; the ends of the links break ties, so that the order is total.
func (e Edge) Compare(o Edge) int {
	if c := e.Weight.Compare(o.Weight); c != 0 {
		return c
	}
	return e.Link.Compare(o.Link)
}

// Weigh returns the edge of a link that was first seen at first and last at last.
func (r *Rules) Weigh(link Link, first, last event.Order) Edge {
	w := Weight{Policy: r.Policy(link.Other.Key), At: first}
	if w.Policy == MoveToLatest {
		w.At = last
	}
	return Edge{Link: link, Weight: w, First: first, Last: last}
}
