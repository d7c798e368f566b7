package accumulator

import (
	"cmp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/braidhq/braid/transforms/attribute/decimal"
)

// Type says what a Value is.
type Type uint8

// The types of values, in the order in which Compare puts them.
const (
	Null    Type = iota // nothing
	Bool                // true or false
	Integer             // a whole number of 64 bits: what counting kinds answer
	Decimal             // an exact number: what was read from events, and what sums answer
	Time                // a moment in milliseconds
	Text                // a text in UTF-8
	List                // a list or an object in canonical JSON: what is answered, never what is observed
)

var typeNames = [...]string{"null", "bool", "integer", "decimal", "time", "text", "list"}

// String returns the name of the type in lower case.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// Value is one value of an attribute. The zero Value is null. Values are told apart by Equal and ordered by Compare, not by ==.
type Value struct {
	text string
	dec  decimal.Decimal
	n    int64 // bool, integer, time
	typ  Type
}

// Moments that a Value can hold: the years 1 to 9999, which RFC 3339 can write.
const (
	minTime = -62135596800000
	maxTime = 253402300799999
)

// BoolValue returns a bool.
func BoolValue(b bool) Value {
	v := Value{typ: Bool}
	if b {
		v.n = 1
	}
	return v
}

// IntegerValue returns a whole number.
func IntegerValue(n int64) Value { return Value{typ: Integer, n: n} }

// DecimalValue returns an exact number.
func DecimalValue(d decimal.Decimal) Value { return Value{typ: Decimal, dec: d} }

// TextValue returns a text; bytes that are not UTF-8 become U+FFFD.
func TextValue(s string) Value {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return Value{typ: Text, text: s}
}

// ListValue returns a list or an object, given as canonical JSON.
func ListValue(json []byte) Value { return Value{typ: List, text: string(json)} }

// JSON returns the list that v is, as canonical JSON.
func (v Value) JSON() (json string, ok bool) { return v.text, v.typ == List }

// TimeValue returns a moment given in epoch milliseconds, moved into the years 1 to 9999.
func TimeValue(ms int64) Value { return Value{typ: Time, n: min(max(ms, minTime), maxTime)} }

// Type returns what v is.
func (v Value) Type() Type { return v.typ }

// IsNull says whether v is null.
func (v Value) IsNull() bool { return v.typ == Null }

// Bool returns the bool that v is; ok is false when it is none.
func (v Value) Bool() (b, ok bool) { return v.n == 1, v.typ == Bool }

// Int64 returns the number that v is, if it is whole and fits.
func (v Value) Int64() (n int64, ok bool) {
	switch v.typ {
	case Integer:
		return v.n, true
	case Decimal:
		return v.dec.Int64()
	}
	return 0, false
}

// Decimal returns the exact number that v, an integer or a decimal, is.
func (v Value) Decimal() (d decimal.Decimal, ok bool) {
	switch v.typ {
	case Integer:
		return decimal.FromInt(v.n), true
	case Decimal:
		return v.dec, true
	}
	return decimal.Decimal{}, false
}

// Text returns the text that v is.
func (v Value) Text() (s string, ok bool) { return v.text, v.typ == Text }

// Time returns the moment that v is, in epoch milliseconds.
func (v Value) Time() (ms int64, ok bool) {
	if v.typ != Time {
		return 0, false
	}
	return v.n, true
}

// Compare returns -1, 0 or 1: a total order over all values. Values of different types follow the order of the types, but integers
// and decimals are numbers alike: 2 equals 2.0.
func (v Value) Compare(w Value) int {
	if v.typ != w.typ {
		a, aok := v.Decimal()
		b, bok := w.Decimal()
		if aok && bok {
			return a.Compare(b)
		}
		return cmp.Compare(v.typ, w.typ)
	}
	switch v.typ {
	case Decimal:
		return v.dec.Compare(w.dec)
	case Text, List:
		return strings.Compare(v.text, w.text)
	}
	return cmp.Compare(v.n, w.n)
}

// Equal says whether both are the same value. The text "2" is not the number 2.
func (v Value) Equal(w Value) bool { return v.Compare(w) == 0 }

// String returns the canonical JSON.
func (v Value) String() string { return string(v.AppendJSON(nil)) }

// MarshalJSON returns the canonical JSON.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// AppendJSON appends the canonical JSON: equal values give equal bytes. Numbers are exact, without exponent or trailing zeros;
// a time is a text in RFC 3339, UTC, with milliseconds unless they are zero; texts are escaped only where JSON demands it.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.typ {
	case Bool:
		return strconv.AppendBool(dst, v.n == 1)
	case Integer:
		return strconv.AppendInt(dst, v.n, 10)
	case Decimal:
		return v.dec.Append(dst)
	case Time:
		dst = time.UnixMilli(v.n).UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.999Z07:00")
		return append(dst, '"')
	case Text:
		return appendJSONText(dst, v.text)
	case List:
		return append(dst, v.text...)
	}
	return append(dst, "null"...)
}

// appendJSONText follows RFC 8785, the canonical form of JSON.
func appendJSONText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
