package directive

import (
	"encoding/json"
	"strings"

	"github.com/braidhq/braid/transforms/profile"
)

// object is a JSON object that is put together field by field; its members stand in the order in which they were set.
type object struct{ members []*member }

type member struct {
	name  string
	raw   string // JSON; empty when it is an object
	under object
}

// set gives a value, which is JSON, to a dotted path, in which a dot within a name is written "\.". It returns what is wrong.
func (o *object) set(path, raw string) string {
	name, rest, nested := cutPath(path)
	if name == "" {
		return "has an empty name between its dots"
	}
	var m *member
	for _, known := range o.members {
		if known.name == name {
			m = known
		}
	}
	switch {
	case m == nil:
		m = &member{name: name}
		o.members = append(o.members, m)
	case !nested || m.raw != "":
		return "is set twice"
	}
	if nested {
		return m.under.set(rest, raw)
	}
	m.raw = raw
	return ""
}

func cutPath(path string) (name, rest string, nested bool) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
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

func (m *member) append(dst []byte) []byte {
	if m.raw != "" {
		return append(dst, m.raw...)
	}
	dst = append(dst, '{')
	for i, inner := range m.under.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = inner.append(append(profile.AppendText(dst, inner.name), ':'))
	}
	return append(dst, '}')
}

func isJSON(text string) bool { return json.Valid([]byte(text)) }
