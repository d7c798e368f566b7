package event

import (
	"cmp"
	"strings"
)

// How far the order time may be from the receive time, in milliseconds. A clock that is further off does not win over others.
const (
	OrderPast   int64 = 7 * 24 * 60 * 60 * 1000
	OrderFuture int64 = 5 * 60 * 1000
)

// Order is what orders events: order time, then the client's sequence number, then event ID. No two events compare equal unless
// they are the same one.
type Order struct {
	Time int64 // order time in epoch milliseconds
	Seq  uint64
	ID   string
}

// Compare returns -1 when o comes before p, 1 when it comes after it, and 0 when both are equal.
func (o Order) Compare(p Order) int {
	if c := cmp.Compare(o.Time, p.Time); c != 0 {
		return c
	}
	if c := cmp.Compare(o.Seq, p.Seq); c != 0 {
		return c
	}
	return strings.Compare(o.ID, p.ID)
}

// OrderTime returns event time clamped to [received - OrderPast, received + OrderFuture]; all in epoch milliseconds.
func OrderTime(time, received int64) int64 {
	return min(max(time, received-OrderPast), received+OrderFuture)
}
