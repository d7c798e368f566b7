package event

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Cursor walks over the items of a JSON array or the members of a JSON object, in the order of the text. Over anything else it
// finds nothing.
type Cursor struct {
	s      string
	at     int
	object bool
}

// NewCursor returns a cursor before the first item or member.
func NewCursor(v gjson.Result) Cursor {
	c := Cursor{s: v.Raw, at: skipSpace(v.Raw, 0)}
	if c.at >= len(c.s) || c.s[c.at] != '[' && c.s[c.at] != '{' {
		c.at = len(c.s)
		return c
	}
	c.object = c.s[c.at] == '{'
	c.at = skipSpace(c.s, c.at+1)
	return c
}

// Next returns the next value with its name, which is empty in an array; ok is false at the end. A name that an object holds
// twice comes twice; the first one counts.
func (c *Cursor) Next() (name string, value gjson.Result, ok bool) {
	if c.at >= len(c.s) {
		return "", gjson.Result{}, false
	}
	if c.object {
		if c.s[c.at] != '"' {
			c.at = len(c.s)
			return "", gjson.Result{}, false
		}
		end := skipString(c.s, c.at)
		quoted := c.s[c.at:end]
		if c.at = skipSpace(c.s, end); c.at >= len(c.s) || c.s[c.at] != ':' {
			c.at = len(c.s)
			return "", gjson.Result{}, false
		}
		c.at = skipSpace(c.s, c.at+1)
		if name = quoted[1 : len(quoted)-1]; strings.IndexByte(name, '\\') >= 0 {
			name = gjson.Parse(quoted).Str
		}
	}
	end := skipValue(c.s, c.at)
	if end == c.at {
		c.at = len(c.s)
		return "", gjson.Result{}, false
	}
	value = gjson.Parse(c.s[c.at:end])
	if c.at = skipSpace(c.s, end); c.at < len(c.s) && c.s[c.at] == ',' {
		c.at = skipSpace(c.s, c.at+1)
	} else {
		c.at = len(c.s)
	}
	return name, value, true
}
