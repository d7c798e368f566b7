// Package accumulator has the ways to summarize events: in go observations, what one event says about one attribute each, out comes an
// answer. An accumulator's state is bytes in the one form that a multiset of observations has, whatever the order in which they were
// added and merged.
package accumulator

import (
	"errors"
	"fmt"
	"time"

	"github.com/braidhq/braid/transforms/event"
)

// ErrDamaged is wrapped by errors about bytes that no accumulator wrote.
var ErrDamaged = errors.New("damaged state")

// Observation is what one event says about one attribute.
type Observation struct {
	Order event.Order // which event it was and when
	Value Value       // what the definition's value finds in it; null for kinds without a value; of a list the item
	// Of a list only:
	Act    Act     // what becomes of the item
	Fields []Value // what is told of it, one for each of Spec.Fields; null where it is told nothing
}

// Spec is what a definition tells its accumulator.
type Spec struct {
	// Session is the longest pause within a session, a whole number of milliseconds; zero when the definition has none.
	Session time.Duration
	// Window is how far back observations count, zero when all do; Pane the steps in which it moves on, a whole number of milliseconds.
	Window, Pane time.Duration
	// Days says that the window is made of whole days in Location, today being the last.
	Days bool
	// Location is where days are cut; nil is UTC. It matters to Result only.
	Location *time.Location
	// Unit is what durations are answered in; default a day, or for session_duration a second.
	Unit time.Duration
	// Items is how many items are kept or answered; zero when the kind has no such bound.
	Items int
	// Fields say how a list sums up what it was told of an item.
	Fields []Field
}

// Bounds of Spec.Session.
const (
	MinSession = time.Second
	MaxSession = 30 * 24 * time.Hour
)

// Result is what an attribute answers.
type Result struct {
	Name        string // of the definition
	Value       Value
	Overflow    bool // the exact value is beyond a limit of the kind; what Value then says is told there
	Approximate bool // Value is an estimate
}

// Accumulator is a commutative monoid over observations, kept as bytes: no bytes at all are its identity, and each multiset of
// observations has exactly one form, whatever the order of adding and merging. Package attributetest checks these laws.
//
// Methods only read the states they are given and append to dst; both may not be kept. They are called concurrently. Bytes that no
// Add or Merge made give an error that wraps ErrDamaged, never a panic.
type Accumulator interface {
	// Add appends state with o folded in. An observation that does not fit is refused with a *Violation: see Refuse.
	Add(dst, state []byte, spec Spec, o Observation) ([]byte, error)

	// Merge appends the state of all observations of a and of b together, of which neither is empty. It must do without the
	// definition, so what it needs from Spec is part of the state.
	Merge(dst, a, b []byte) ([]byte, error)

	// Result answers at the moment now (epoch milliseconds) what state, which may be empty, amounts to.
	Result(state []byte, spec Spec, now int64) (Result, error)

	// Check returns nil when state has the one right form, and an error that wraps ErrDamaged otherwise.
	Check(state []byte) error
}

// Reason says why a value did not count.
type Reason string

// The reasons of violations.
const (
	WrongType  Reason = "wrong_type"   // another type than the kind takes
	TooLong    Reason = "too_long"     // a text longer than Limits.ValueBytes
	OutOfRange Reason = "out_of_range" // a number that the kind cannot hold
)

// Violation tells that an event matched a definition, yet its value did not fit and was left out. It never holds the value itself.
type Violation struct {
	Attribute string // name of the definition
	Reason    Reason
	Detail    string // what was found, what is needed, where
}

// Error says which attribute it is about and what is wrong.
func (v *Violation) Error() string {
	return fmt.Sprintf("attribute %q: %s: %s", v.Attribute, v.Reason, v.Detail)
}

// Timed is implemented by accumulators whose answers may change by time alone.
type Timed interface {
	// Next returns the earliest moment after now (epoch milliseconds) at which the answer may be another one although nothing happens, or
	// 0 when there is none. It may return one at which the answer is the same.
	Next(state []byte, spec Spec, now int64) (int64, error)
}

// earlier returns the earlier of two moments after now; 0 and moments that are not after now are none.
func earlier(a, b, now int64) int64 {
	if a <= now {
		a = 0
	}
	if b > now && (a == 0 || b < a) {
		return b
	}
	return a
}

// Refuse returns the error with which an Accumulator turns down an observation; detail does not repeat the value.
func Refuse(reason Reason, detail string) error { return &Violation{Reason: reason, Detail: detail} }

// ErrUnchanged is what Accumulator.Add may return instead of a copy of state when the observation changes nothing.
var ErrUnchanged = errors.New("nothing changed")
