package attribute

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/braidhq/braid/transforms/event"
)

// Observation is what one event says about one attribute.
type Observation struct {
	Order event.Order // which event it was and when
	Value Value       // what the definition's value finds in it; null for kinds without a value
}

// Spec is what a definition tells its accumulator.
type Spec struct {
	// Session is the longest pause within a session, a whole number of milliseconds; zero when the definition has none.
	Session time.Duration
}

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

// Need says whether a kind takes a field of a definition.
type Need uint8

// What a kind does with a field.
const (
	Refused  Need = iota // setting it is an error
	Optional             // it may be set
	Required             // leaving it out is an error
)

// Kind is a way to accumulate, as definitions name it.
type Kind struct {
	// Name is what definitions say; lower case letters, digits and _; at most 64.
	Name string
	// Version of the encoding, from 1 on; it is kept with each state. The laws hold among states of one version.
	Version uint8
	// Value says whether definitions have a value, by default they have none. Events in which it is absent or null are left out.
	Value Need
	// Session says whether definitions have a session, by default they have none.
	Session Need
	// Accumulator does the work.
	Accumulator Accumulator
	// Upgrade returns the bytes in Version of a state that an older version wrote. Nil when there was no older version.
	Upgrade func(version uint8, state []byte) ([]byte, error)

	tag      byte   // on the wire; custom kinds share tagCustom and are told apart by name
	meaning  string // kinds of one meaning share their states; the name by default
	constant bool   // the value may be a whole number instead of a path
	session  *Kind  // what stands in when the definition has a session
}

// tagCustom is the first byte of the state of a custom kind; its name follows the version.
const tagCustom = 0xff

// ErrKind is wrapped by errors about states of a kind, or of a version of it, that this binary does not have.
var ErrKind = errors.New("kind of state unknown here")

var kindName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// custom holds the registered kinds; it is copied on write.
var custom struct {
	sync.Mutex
	kinds atomic.Pointer[map[string]*Kind]
}

// Register makes a custom kind known to NewSet, Merge and Results. It belongs at the start of a program, before the first event.
func Register(k Kind) error {
	switch {
	case !kindName.MatchString(k.Name):
		return fmt.Errorf("attribute kind %q: a name has lower case letters, digits and _, begins with a letter and is at most 64 long", k.Name)
	case k.Version == 0:
		return fmt.Errorf("attribute kind %q: versions begin with 1", k.Name)
	case k.Accumulator == nil:
		return fmt.Errorf("attribute kind %q: the accumulator is missing", k.Name)
	case k.Value > Required || k.Session > Required:
		return fmt.Errorf("attribute kind %q: value and session are Refused, Optional or Required", k.Name)
	}
	custom.Lock()
	defer custom.Unlock()
	if _, ok := kindByName(k.Name); ok {
		return fmt.Errorf("attribute kind %q exists already", k.Name)
	}
	k.tag, k.meaning, k.constant, k.session = tagCustom, "", false, nil
	kinds := map[string]*Kind{}
	if old := custom.kinds.Load(); old != nil {
		kinds = maps.Clone(*old)
	}
	kinds[k.Name] = &k
	custom.kinds.Store(&kinds)
	return nil
}

// Kinds returns all known kinds by ascending name.
func Kinds() []Kind {
	var all []Kind
	for _, k := range builtin {
		all = append(all, *k)
	}
	if kinds := custom.kinds.Load(); kinds != nil {
		for _, k := range *kinds {
			all = append(all, *k)
		}
	}
	slices.SortFunc(all, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// LookupKind returns the kind that a definition with the given kind and spec accumulates by.
func LookupKind(name string, spec Spec) (Kind, bool) {
	k, ok := kindByName(name)
	if !ok {
		return Kind{}, false
	}
	return *k.with(spec), true
}

func (k *Kind) with(spec Spec) *Kind {
	if spec.Session > 0 && k.session != nil {
		return k.session
	}
	return k
}

func kindByName(name string) (*Kind, bool) {
	for _, k := range builtin {
		if k.Name == name {
			return k, true
		}
	}
	return customKind(name)
}

func customKind(name string) (*Kind, bool) {
	kinds := custom.kinds.Load()
	if kinds == nil {
		return nil, false
	}
	k, ok := (*kinds)[name]
	return k, ok
}

// builtin lists the kinds that definitions can name. Tags are forever.
var builtin = []*Kind{
	{Name: "counter", tag: 1, Version: 1, Value: Optional, constant: true, Session: Optional, Accumulator: counter{}, session: sessionCounter},
	{Name: "sum", tag: 2, Version: 1, Value: Required, Accumulator: sum{}},
	{Name: "min", tag: 3, Version: 1, Value: Required, Accumulator: extreme{-1}},
	{Name: "max", tag: 4, Version: 1, Value: Required, Accumulator: extreme{+1}},
	{Name: "first", tag: 5, Version: 1, Value: Required, Accumulator: register{-1}},
	{Name: "last", tag: 6, Version: 1, Value: Required, Accumulator: register{+1}},
	{Name: "single", tag: 6, Version: 1, Value: Required, Accumulator: register{+1}, meaning: "last"},
	{Name: "distinct", tag: 7, Version: 1, Value: Required, Accumulator: distinct{}},
	{Name: "sessions", tag: 8, Version: 1, Session: Required, Accumulator: sessions{limit: maxSessionCells}},
	{Name: "first_time", tag: 10, Version: 1, Accumulator: moment{-1}},
	{Name: "last_time", tag: 11, Version: 1, Accumulator: moment{+1}},
}

// sessionCounter is a counter whose definition has a session.
var sessionCounter = &Kind{Name: "counter", tag: 9, Version: 1, Accumulator: sessions{limit: maxCounterCells, current: true}}

// byTag finds the built-in kind of a state.
var byTag = func() (kinds [16]*Kind) {
	for _, k := range slices.Backward(builtin) { // of two names for one kind the first
		kinds[k.tag] = k
		if k.session != nil {
			kinds[k.session.tag] = k.session
		}
	}
	return kinds
}()
