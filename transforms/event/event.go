// Package event is the core that understands one record of the stream: in goes a Record, out comes an Event whose identity, table
// and times are known and whose other fields are looked up lazily in the raw JSON, or a Rejection that says what is wrong.
//
// A record is checked in one pass and never decoded as a whole. When a JSON key occurs twice in an object the first one counts,
// everywhere and on every level. A lone surrogate escape (a cut emoji) reads as U+FFFD.
package event

import (
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Event is one decoded event. Raw, Table and the results of Field share memory with the record it came from, which therefore must
// not be changed; whoever keeps one of them beyond the bundle clones it.
type Event struct {
	ID       string // unique per sender's event: 1 to 256 bytes
	Table    string // event table, not empty
	Time     int64  // event time in epoch milliseconds
	Received int64  // receive time in epoch milliseconds
	Order    Order  // what orders events of one profile
	Source   string // where it came from, may be empty
	Raw      []byte // the JSON as received
	Position Position

	indexed bool // whether the spans below are known; an Event that was not made by Decode is searched from its top
	spans   [topFields]span
}

// span is the place of a value within Raw; a span of length zero means that the field is absent.
type span struct{ from, to int32 }

// The fields on the top level of an event.
const (
	topID = iota
	topTable
	topTime
	topIdentifiers
	topProperties
	topContext
	topFields
)

func topField(name string) int {
	switch name {
	case "event_id":
		return topID
	case "table":
		return topTable
	case "time":
		return topTime
	case "identifiers":
		return topIdentifiers
	case "properties":
		return topProperties
	case "context":
		return topContext
	}
	return -1
}

// Field returns the value at a dotted path, for example "properties.total" or "properties.items.0.sku". A dot inside a name is
// written "\.". The result does not exist (Exists is false) when nothing is there; its Raw holds numbers exactly as sent.
func (e *Event) Field(path string) gjson.Result {
	v, ok := e.at(path)
	if !ok {
		return gjson.Result{}
	}
	return gjson.Parse(v)
}

// at returns the raw JSON at a path, as it lies within Raw.
func (e *Event) at(path string) (string, bool) {
	name, rest, more := cutPath(path)
	v, ok := e.top(name)
	if ok && more {
		v, ok = descend(v, rest)
	}
	return v, ok
}

// SetText returns the event's JSON with a text in place of the value at a path, as Field finds it; the JSON as it is when there is none.
func (e *Event) SetText(path, text string) []byte {
	v, ok := e.at(path)
	if !ok || v == "" {
		return e.Raw
	}
	at := int(uintptr(unsafe.Pointer(unsafe.StringData(v))) - uintptr(unsafe.Pointer(unsafe.SliceData(e.Raw)))) // v lies within Raw
	out := make([]byte, 0, len(e.Raw)+len(text)+2)
	out = gjson.AppendJSONString(append(out, e.Raw[:at]...), text)
	return append(out, e.Raw[at+len(v):]...)
}

// KeyField returns the value that a stitching key finds under the given field name, a plain name or a dotted path: it looks in
// identifiers, then in properties, then in context. Null and the empty string count as absent.
func (e *Event) KeyField(name string) gjson.Result {
	for _, top := range [...]string{"identifiers", "properties", "context"} {
		v, ok := e.top(top)
		if ok {
			v, ok = descend(v, name)
		}
		if !ok || v == "null" || v == `""` {
			continue
		}
		return gjson.Parse(v)
	}
	return gjson.Result{}
}

// top returns the raw JSON of a field on the top level.
func (e *Event) top(name string) (string, bool) {
	if !e.indexed {
		return member(e.text(), name)
	}
	if f := topField(name); f >= 0 {
		s := e.spans[f]
		return e.text()[s.from:s.to], s.to > s.from
	}
	return member(e.text(), name)
}

// text is Raw as a string without a copy; records are never changed.
func (e *Event) text() string { return text(e.Raw) }

func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Member returns the value of a name in a JSON object: the first one, when the name occurs more than once. It does not exist when
// object is not a JSON object or lacks the name.
func Member(object gjson.Result, name string) gjson.Result {
	v, ok := member(object.Raw, name)
	if !ok {
		return gjson.Result{}
	}
	return gjson.Parse(v)
}

// PathHead returns the first name of a path, as it stands in the JSON.
func PathHead(path string) string {
	name, _, _ := cutPath(path)
	return name
}

// SplitPath returns the names of a path, as they stand in the JSON.
func SplitPath(path string) []string {
	var names []string
	for more := true; more; {
		var name string
		name, path, more = cutPath(path)
		names = append(names, name)
	}
	return names
}

func cutPath(path string) (name, rest string, more bool) {
	i := strings.IndexAny(path, `.\`)
	switch {
	case i < 0:
		return path, "", false
	case path[i] == '.':
		return path[:i], path[i+1:], true
	}
	var b strings.Builder
	for i = 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path):
			i++
			b.WriteByte(path[i])
		case path[i] == '.':
			return b.String(), path[i+1:], true
		default:
			b.WriteByte(path[i])
		}
	}
	return b.String(), "", false
}

// descend follows a path through objects by name and through arrays by decimal index.
func descend(v, path string) (string, bool) {
	for more := true; more; {
		var name string
		name, path, more = cutPath(path)
		var ok bool
		if len(v) > 0 && v[0] == '[' {
			v, ok = item(v, name)
		} else {
			v, ok = member(v, name)
		}
		if !ok {
			return "", false
		}
	}
	return v, true
}
