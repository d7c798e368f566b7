// Package attribute is the core that summarizes events into attributes: in go the events that matched a definition, out comes one
// answer per definition.
//
// A Set holds the definitions. Set.Add folds an event into States, the accumulators of one cell, one State per definition;
// Merge joins the States of two cells, whatever they saw and in whatever order; Set.Results reads the answers at a moment. A
// State is bytes in the one canonical form that its observations have, and says by itself how it is merged, so Merge needs no
// definitions and equal histories have equal bytes.
//
// The kinds:
//
//	counter     how many events, or the total of a constant or of a field of whole numbers that are not negative; with session,
//	            the same of the current session only, and 0 once its pause has passed
//	sum         total of a field, an exact decimal; 0 before the first event
//	min, max    least and greatest number of a field; texts are not ordered and hence refused
//	first, last value of a field, a text, number or bool, in the first or last event; single is another name for last
//	distinct    how many different texts, numbers and bools a field had
//	sessions    how many sessions, which is runs of events with pauses of at most session between them
//	first_time, last_time, since_first, since_last
//	            order time of the first or last event, and how long ago that was
//	session_start, session_duration
//	            when the current session began, and how long it is from its first to its last event
//	average     mean of a field, rounded to 9 digits after the point
//	top, most_frequent
//	            the values a field had most often with their counts, or the one; exact up to 256 different values
//	list        items that events tell of, take out and clear, such as a cart
//
// Most take a window: then events count for that long only, and time alone changes the answer.
//
// Custom kinds are added with Register.
package attribute

import (
	"encoding/binary"
	"strconv"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
)

// Definition says what one attribute summarizes.
type Definition struct {
	// Name of the attribute: lower case letters, digits and _; the key in YAML.
	Name string `yaml:"-" json:"-"`
	// Kind of the accumulator; required.
	Kind string `yaml:"kind" json:"kind" jsonschema:"required,description=How events are summarized: one of counter sum average min max first last single distinct top most_frequent list sessions session_start session_duration first_time last_time since_first since_last derived lookup imported or a custom kind."`
	// Event is the name of an event definition; required by all kinds but derived and imported.
	Event string `yaml:"event,omitempty" json:"event,omitempty" jsonschema:"description=Name of the event definition whose events count."`
	// Value is the path of a field, for example properties.total. A counter also takes a whole number here, which each event adds;
	// its default is 1. The other kinds either require it or refuse it.
	Value Operand `yaml:"value,omitempty" json:"value,omitempty" jsonschema:"oneof_type=string;integer,description=Field of the event: properties or context or identifiers followed by .name; for a counter also a whole number."`
	// Session is the longest pause within a session, from 1s to 30d. Required by sessions; on a counter it counts the current session only.
	Session Duration `yaml:"session,omitempty" json:"session,omitempty" jsonschema:"description=Longest pause within a session: 1s to 30d."`
	// Window is how far back events count, from 1m to 400d; default all.
	Window Duration `yaml:"window,omitempty" json:"window,omitempty" jsonschema:"description=How far back events count: 1m to 400d. It moves on with time."`
	// Pane is the steps in which the window moves on: 1m, 15m, 1h or 1d. Default 1m for windows of at most 6h, 1h up to 14d, else 1d; with Zone 15m.
	Pane Duration `yaml:"pane,omitempty" json:"pane,omitempty" jsonschema:"enum=1m,enum=15m,enum=1h,enum=1d,description=Steps in which the window moves on. Default 1m for windows of at most 6h\\, 1h up to 14d\\, else 1d."`
	// Zone makes the window one of whole local days, today the last: an IANA name, or the name of an attribute that holds one. Where that is
	// unknown it is UTC.
	Zone string `yaml:"zone,omitempty" json:"zone,omitempty" jsonschema:"description=Time zone such as Europe/Berlin\\, or the name of an attribute that holds one: the window is made of whole days there\\, today being the last."`
	// Unit is what a duration is answered in: second, minute, hour or day. Default day, and second for session_duration.
	Unit string `yaml:"unit,omitempty" json:"unit,omitempty" jsonschema:"enum=second,enum=minute,enum=hour,enum=day,description=What a duration is answered in. Default day\\, for session_duration second."`
	// ID is the path of what a list tells its items apart by; required by list.
	ID Operand `yaml:"id,omitempty" json:"id,omitempty" jsonschema:"type=string,description=Field that tells the items of a list apart."`
	// Fields are what a list tells of its items: name and aggregation.
	Fields Fields `yaml:"fields,omitempty" json:"fields,omitempty"`
	// MaxItems is how many items a list keeps, those touched last, or a top answers; default 100 and 10.
	MaxItems int `yaml:"max_items,omitempty" json:"max_items,omitempty" jsonschema:"minimum=1,maximum=1000,description=How many items a list keeps\\, those touched last (default 100)\\, or a top answers (default 10)."`
	// DeleteItem is the event definition whose events take an item out of a list; its ID is found under ID.
	DeleteItem string `yaml:"delete_item,omitempty" json:"delete_item,omitempty" jsonschema:"description=Name of the event definition whose events take an item out of a list."`
	// Clear is the event definition whose events take all items out of a list.
	Clear string `yaml:"clear,omitempty" json:"clear,omitempty" jsonschema:"description=Name of the event definition whose events take all items out of a list."`
	// Catalogue is the name of the catalogue that a lookup asks, and Column that of the column it answers; both required by lookup.
	Catalogue string `yaml:"catalogue,omitempty" json:"catalogue,omitempty" jsonschema:"description=Name of the catalogue that a lookup asks for the row under its value."`
	Column    string `yaml:"column,omitempty" json:"column,omitempty" jsonschema:"description=Column of the catalogue that a lookup answers."`
	// From is where an imported attribute comes from: IMPORT.COLUMN or SCORE.COLUMN; required by imported.
	From string `yaml:"from,omitempty" json:"from,omitempty" jsonschema:"description=Where an imported attribute comes from: the name of an import or a score\\, a point\\, and the name of a column."`
	// Sensitive attributes are never given to public services; default false.
	Sensitive bool `yaml:"sensitive,omitempty" json:"sensitive,omitempty" jsonschema:"default=false,description=Never given to public services."`
}

// Hash identifies what a definition means: kind, value, session, and what its event definition selects. Neither its own name nor
// that of its event counts, so renaming keeps the history and changing a filter begins a new one.
type Hash uint64

// meaning is what Hash is made of, given what the event definition selects.
func (d Definition) meaning(k *accumulator.Kind, event, deleteItem, clear string) string {
	name := k.Meaning()
	value := d.Value
	if n, ok := d.constant(k); ok {
		value = Operand(strconv.FormatInt(n, 10))
	}
	b := []byte("braid attribute 1")
	for _, s := range [...]string{name, event, string(value)} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendVarint(b, int64(d.Session))
	if d.Window != 0 && k.With(d.spec()) != k { // of panes; the others cut in Result
		b = append(b, "window"...)
		for _, n := range [...]Duration{d.Window, d.pane()} {
			b = binary.AppendVarint(b, int64(n))
		}
		b = strconv.AppendBool(b, d.Zone != "")
	}
	if k.List {
		b = append(b, "list"...)
		b = binary.AppendUvarint(b, uint64(d.spec().Items))
		for _, s := range [...]string{string(d.ID), deleteItem, clear} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
		for _, f := range d.Fields {
			for _, s := range [...]string{f.Name, string(f.path()), f.Aggregate} {
				b = binary.AppendUvarint(b, uint64(len(s)))
				b = append(b, s...)
			}
		}
	}
	return string(b)
}
