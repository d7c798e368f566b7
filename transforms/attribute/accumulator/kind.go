package accumulator

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

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
	// About says in a few words what an attribute of the kind answers, and what before the first event.
	About string
	// Version of the encoding, from 1 on; it is kept with each state. The laws hold among states of one version.
	Version uint8
	// Value says whether definitions have a value, by default they have none. Events in which it is absent or null are left out.
	Value Need
	// Session says whether definitions have a session, by default they have none.
	Session Need
	// Window says whether definitions may have a window, by default they may not. The accumulator knows nothing of it: it is given the
	// observations of one pane each, and the states of a window's panes are merged.
	Window Need
	// Accumulator does the work.
	Accumulator Accumulator
	// Upgrade returns the bytes in Version of a state that an older version wrote. Nil when there was no older version.
	Upgrade func(version uint8, state []byte) ([]byte, error)

	// Constant says that the value may be a whole number instead of a field, and is 1 by default. Custom kinds have none.
	Constant bool
	// Unit says whether definitions have a unit of time. Custom kinds have none.
	Unit Need
	// Items says that definitions bound a number of items. Custom kinds have none.
	Items bool
	// List says that definitions describe items. Custom kinds have none.
	List bool

	// Derived says that the value is an expression over other attributes; there is no accumulator. Custom kinds are none.
	Derived bool
	// Lookup says that what the expression gives is looked up in a catalogue.
	Lookup bool
	// Imported says that the value comes from a batch run; there is no accumulator. Custom kinds are none.
	Imported bool

	tag       byte   // on the wire; custom kinds share tagCustom and are told apart by name
	meaning   string // kinds of one meaning share their states; the name by default
	session   *Kind  // what stands in when the definition has a session
	ownWindow bool   // the accumulator does without panes
}

// Accumulates reports whether events are summarized at all.
func (k *Kind) Accumulates() bool { return !k.Derived && !k.Imported }

// Meaning returns the name under which a kind keeps its states; kinds of one meaning share them.
func (k *Kind) Meaning() string {
	if k.meaning != "" {
		return k.meaning
	}
	return k.Name
}

// Reads reports whether the kind reads the states of another.
func (k *Kind) Reads(o *Kind) bool { return k == o || k.tag == o.tag && k.tag != tagCustom }

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

// Register makes a custom kind known to definitions. It belongs at the start of a program, before the first event.
func Register(k Kind) error {
	switch {
	case !kindName.MatchString(k.Name):
		return fmt.Errorf("attribute kind %q: a name has lower case letters, digits and _, begins with a letter and is at most 64 long", k.Name)
	case k.Version == 0:
		return fmt.Errorf("attribute kind %q: versions begin with 1", k.Name)
	case k.Accumulator == nil:
		return fmt.Errorf("attribute kind %q: the accumulator is missing", k.Name)
	case k.Value > Required || k.Session > Required || k.Window > Required:
		return fmt.Errorf("attribute kind %q: value, session and window are Refused, Optional or Required", k.Name)
	}
	custom.Lock()
	defer custom.Unlock()
	if _, ok := Find(k.Name); ok {
		return fmt.Errorf("attribute kind %q exists already", k.Name)
	}
	k.tag, k.Constant, k.Unit, k.Items, k.List, k.Derived, k.Lookup, k.Imported, k.meaning, k.session, k.ownWindow = tagCustom, false, Refused, false, false, false, false, false, "", nil, false
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

// With returns the kind that a definition with the given spec accumulates by.
func (k *Kind) With(spec Spec) *Kind {
	switch {
	case spec.Session > 0 && k.session != nil:
		return k.session
	case spec.Window > 0 && !k.ownWindow:
		return &Kind{Name: k.Name, Version: windowVersion, Accumulator: windowed{k}, tag: tagWindowed}
	}
	return k
}

// Find returns the kind of a name.
func Find(name string) (*Kind, bool) {
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
	{
		Name: "counter", tag: 1, Version: 1, Value: Optional, Constant: true, Session: Optional, Window: Optional, Accumulator: counter{}, session: sessionCounter,
		About: "number of events, or total of a whole number that each adds; 0 at first. With session: of the current session, 0 when it is over",
	},
	{
		Name: "sum", tag: 2, Version: 1, Value: Required, Window: Optional, Accumulator: sum{},
		About: "exact total of a field; 0 at first",
	},
	{
		Name: "min", tag: 3, Version: 1, Value: Required, Window: Optional, Accumulator: extreme{-1},
		About: "least number of a field",
	},
	{
		Name: "max", tag: 4, Version: 1, Value: Required, Window: Optional, Accumulator: extreme{+1},
		About: "greatest number of a field",
	},
	{
		Name: "first", tag: 5, Version: 1, Value: Required, Window: Optional, Accumulator: register{-1},
		About: "value of a field in the first event that has one",
	},
	{
		Name: "last", tag: 6, Version: 1, Value: Required, Window: Optional, Accumulator: register{+1}, ownWindow: true,
		About: "value of a field in the last event that has one",
	},
	{
		Name: "single", tag: 6, Version: 1, Value: Required, Window: Optional, Accumulator: register{+1}, meaning: "last", ownWindow: true,
		About: "another name for last",
	},
	{
		Name: "distinct", tag: 7, Version: 1, Value: Required, Window: Optional, Accumulator: distinct{},
		About: "number of different values of a field; exact up to 4,096, then an estimate (standard error 1.6 %), marked approximate",
	},
	{
		Name: "sessions", tag: 8, Version: 1, Session: Required, Window: Optional, Accumulator: sessions{limit: maxSessionCells}, ownWindow: true,
		About: "number of sessions: runs of events with pauses of at most session; exact up to 1,024 stretches as long as the pause, then marked overflow",
	},
	{
		Name: "first_time", tag: 10, Version: 1, Accumulator: moment{-1},
		About: "moment of the first event",
	},
	{
		Name: "last_time", tag: 11, Version: 1, Accumulator: moment{+1},
		About: "moment of the last event",
	},
	{
		Name: "since_first", tag: 10, Version: 1, Unit: Optional, Accumulator: since{moment{-1}}, meaning: "first_time",
		About: "how long ago the first event was, in whole units",
	},
	{
		Name: "since_last", tag: 11, Version: 1, Unit: Optional, Accumulator: since{moment{+1}}, meaning: "last_time",
		About: "how long ago the last event was, in whole units",
	},
	{
		Name: "session_start", tag: 9, Version: 1, Session: Required, Constant: true, Accumulator: sessionSpan{sessionCounter.Accumulator.(sessions), true}, meaning: "counter",
		About: "moment at which the current session began; null when it is over",
	},
	{
		Name: "session_duration", tag: 9, Version: 1, Session: Required, Constant: true, Unit: Optional, Accumulator: sessionSpan{sessionCounter.Accumulator.(sessions), false}, meaning: "counter",
		About: "time from the first to the last event of the current session, in whole units; 0 when it is over",
	},
	{
		Name: "average", tag: 12, Version: 1, Value: Required, Window: Optional, Accumulator: average{},
		About: "mean of a field, rounded to 9 digits after the point",
	},
	{
		Name: "top", tag: 13, Version: 1, Value: Required, Window: Optional, Items: true, Accumulator: top{},
		About: "values that a field had most often, with their counts; exact up to 256 different values, then of a sample of so many, marked overflow",
	},
	{
		Name: "most_frequent", tag: 13, Version: 1, Value: Required, Window: Optional, Accumulator: mostFrequent{}, meaning: "top",
		About: "value that a field had most often; exact up to 256 different values, then of a sample of so many, marked overflow",
	},
	{
		Name: "list", tag: 14, Version: 1, Window: Optional, Items: true, List: true, Accumulator: list{}, ownWindow: true,
		About: "items that events tell of, first come first; see below",
	},
	{
		Name: "imported", Imported: true,
		About: "what the last batch run found for the person in a column of an import or a score; null when nothing",
	},
	{
		Name: "lookup", Value: Required, Derived: true, Lookup: true,
		About: "a column of the row that a catalogue has under what an expression over other attributes gives; null when there is none",
	},
	{
		Name: "derived", Value: Required, Derived: true,
		About: "what an expression (CEL) over other attributes gives; null when it gives nothing, such as where null is added to a number",
	},
}

// sessionCounter is a counter whose definition has a session.
var sessionCounter = &Kind{Name: "counter", tag: 9, Version: 1, Accumulator: sessions{limit: maxCounterCells, current: true}}

// tagWindowed begins a state that is made of panes.
const tagWindowed = 15

// byTag finds the built-in kind of a state.
var byTag = func() (kinds [16]*Kind) {
	for _, k := range slices.Backward(builtin) { // of several names for one kind the first
		if !k.Accumulates() {
			continue
		}
		kinds[k.tag] = k
		if k.session != nil {
			kinds[k.session.tag] = k.session
		}
	}
	return kinds
}()

func init() { // it merges what other kinds wrote
	byTag[tagWindowed] = &Kind{Name: "windowed", Version: windowVersion, Accumulator: windowed{}, tag: tagWindowed}
}

// Merge appends the state of all that two states have seen. The error wraps ErrDamaged or ErrKind.
func Merge(dst, a, b []byte) ([]byte, error) {
	kind, bodyA, err := Open(a)
	if err != nil {
		return dst, err
	}
	kindB, bodyB, err := Open(b)
	if err != nil {
		return dst, err
	}
	if kind.tag != kindB.tag || kind.Name != kindB.Name {
		return dst, fmt.Errorf("%w: kinds %s and %s under one hash", ErrDamaged, kind.Name, kindB.Name)
	}
	return kind.Accumulator.Merge(kind.AppendHeader(dst), bodyA, bodyB)
}

// AppendHeader begins a state: tag, version, and the name of a custom kind.
func (k *Kind) AppendHeader(dst []byte) []byte {
	dst = append(dst, k.tag, k.Version)
	if k.tag == tagCustom {
		dst = append(dst, byte(len(k.Name)))
		dst = append(dst, k.Name...)
	}
	return dst
}

// Open returns the kind of a state and its body in the kind's present version. The error wraps ErrDamaged or ErrKind.
func Open(data []byte) (*Kind, []byte, error) {
	k, version, body, err := readHeader(data)
	if err == nil {
		body, err = k.present(version, body)
	}
	return k, body, err
}

// readHeader reads what AppendHeader wrote, of whatever version.
func readHeader(data []byte) (k *Kind, version uint8, body []byte, err error) {
	if len(data) < 3 {
		return nil, 0, nil, fmt.Errorf("%w: %d bytes", ErrDamaged, len(data))
	}
	tag, version, body := data[0], data[1], data[2:]
	switch {
	case tag == tagCustom:
		n := int(body[0])
		if len(body) < 2+n {
			return nil, 0, nil, fmt.Errorf("%w: cut off", ErrDamaged)
		}
		name := string(body[1 : 1+n])
		if !kindName.MatchString(name) {
			return nil, 0, nil, fmt.Errorf("%w: name of a kind", ErrDamaged)
		}
		body = body[1+n:]
		var ok bool
		if k, ok = customKind(name); !ok {
			return nil, 0, nil, fmt.Errorf("%w: %s is not registered", ErrKind, name)
		}
	case int(tag) < len(byTag) && byTag[tag] != nil:
		k = byTag[tag]
	default:
		return nil, 0, nil, fmt.Errorf("%w: number %d", ErrKind, tag)
	}
	switch {
	case version == 0:
		return nil, 0, nil, fmt.Errorf("%w: version 0", ErrDamaged)
	case version > k.Version:
		return nil, 0, nil, fmt.Errorf("%w: %s of version %d, newer than %d; run a newer braid", ErrKind, k.Name, version, k.Version)
	}
	return k, version, body, nil
}

// present returns the body of a state in the kind's present version.
func (k *Kind) present(version uint8, body []byte) ([]byte, error) {
	if version == k.Version {
		return body, nil
	}
	if k.Upgrade == nil {
		return nil, fmt.Errorf("%w: %s of version %d, which nothing upgrades to %d", ErrKind, k.Name, version, k.Version)
	}
	body, err := k.Upgrade(version, body)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, fmt.Errorf("%w: nothing left of version %d of %s", ErrDamaged, version, k.Name)
	}
	return body, nil
}
