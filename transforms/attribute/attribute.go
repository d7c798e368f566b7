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
//	first_time, last_time
//	            order time of the first or last event
//
// Custom kinds are added with Register.
package attribute

import (
	"encoding/binary"
	"strconv"
)

// Definition says what one attribute summarizes.
type Definition struct {
	// Name of the attribute: lower case letters, digits and _; the key in YAML.
	Name string `yaml:"-" json:"-"`
	// Kind of the accumulator; required.
	Kind string `yaml:"kind" json:"kind" jsonschema:"required,description=How events are summarized: counter; sum; min; max; first; last; single; distinct; sessions; first_time; last_time or a custom kind."`
	// Event is the name of an event definition; required.
	Event string `yaml:"event" json:"event" jsonschema:"required,description=Name of the event definition whose events count."`
	// Value is the path of a field, for example properties.total. A counter also takes a whole number here, which each event adds;
	// its default is 1. The other kinds either require it or refuse it.
	Value Operand `yaml:"value,omitempty" json:"value,omitempty" jsonschema:"oneof_type=string;integer,description=Field of the event: properties or context or identifiers followed by .name; for a counter also a whole number."`
	// Session is the longest pause within a session, from 1s to 30d. Required by sessions; on a counter it counts the current session only.
	Session Duration `yaml:"session,omitempty" json:"session,omitempty" jsonschema:"description=Longest pause within a session: 1s to 30d."`
	// Sensitive attributes are never given to public services; default false.
	Sensitive bool `yaml:"sensitive,omitempty" json:"sensitive,omitempty" jsonschema:"default=false,description=Never given to public services."`
}

// Hash identifies what a definition means: kind, value, session, and what its event definition selects. Neither its own name nor
// that of its event counts, so renaming keeps the history and changing a filter begins a new one.
type Hash uint64

// meaning is what Hash is made of, given what the event definition selects.
func (d Definition) meaning(k *Kind, event string) string {
	name := k.meaning
	if name == "" {
		name = k.Name
	}
	value := d.Value
	if n, ok := d.constant(k); ok {
		value = Operand(strconv.FormatInt(n, 10))
	}
	b := []byte("braid attribute 1")
	for _, s := range [...]string{name, event, string(value)} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return string(binary.AppendVarint(b, int64(d.Session)))
}
