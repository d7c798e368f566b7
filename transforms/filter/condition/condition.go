// Package condition is a filter as a structure that a form can show and edit: in go structures, out come CEL expressions, and the other way
// round. Whatever CEL says that no operator does stands in a leaf of its own, so each expression has a structure and both mean the same.
package condition

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/strict"
)

// Condition is one node of a structure. It says exactly one thing: All, Any or Not of others, an operator about Field, something about the
// items of a list, or CEL.
type Condition struct {
	All []Condition `yaml:"all,omitempty" json:"all,omitempty"`
	Any []Condition `yaml:"any,omitempty" json:"any,omitempty"`
	Not *Condition  `yaml:"not,omitempty" json:"not,omitempty"`

	// Field is a path such as properties.total; about an item of a list it is item, or item.sku. A dot within a name is written \.
	Field        string    `yaml:"field,omitempty" json:"field,omitempty"`
	Equal        *Literal  `yaml:"equal,omitempty" json:"equal,omitempty"`
	Greater      *Literal  `yaml:"greater,omitempty" json:"greater,omitempty"`
	GreaterEqual *Literal  `yaml:"greater_equal,omitempty" json:"greater_equal,omitempty"`
	Less         *Literal  `yaml:"less,omitempty" json:"less,omitempty"`
	LessEqual    *Literal  `yaml:"less_equal,omitempty" json:"less_equal,omitempty"`
	Between      []Literal `yaml:"between,omitempty" json:"between,omitempty"` // two, both included
	In           []Literal `yaml:"in,omitempty" json:"in,omitempty"`
	Contains     *string   `yaml:"contains,omitempty" json:"contains,omitempty"`
	StartsWith   *string   `yaml:"starts_with,omitempty" json:"starts_with,omitempty"`
	EndsWith     *string   `yaml:"ends_with,omitempty" json:"ends_with,omitempty"`
	Regexp       *string   `yaml:"regexp,omitempty" json:"regexp,omitempty"`   // RE2, anywhere
	IsNull       *bool     `yaml:"is_null,omitempty" json:"is_null,omitempty"` // missing or null
	Before       string    `yaml:"before,omitempty" json:"before,omitempty"`   // RFC 3339
	After        string    `yaml:"after,omitempty" json:"after,omitempty"`
	// OlderThan and NewerThan compare a moment with that of the event.
	OlderThan strict.Duration `yaml:"older_than,omitempty" json:"older_than,omitempty"`
	NewerThan strict.Duration `yaml:"newer_than,omitempty" json:"newer_than,omitempty"`

	// AnyOf, AllOf and Of are paths of lists: Where holds for any, for all or for AtLeast of their items.
	AnyOf   string     `yaml:"any_of,omitempty" json:"any_of,omitempty"`
	AllOf   string     `yaml:"all_of,omitempty" json:"all_of,omitempty"`
	Of      string     `yaml:"of,omitempty" json:"of,omitempty"`
	AtLeast int        `yaml:"at_least,omitempty" json:"at_least,omitempty"`
	Where   *Condition `yaml:"where,omitempty" json:"where,omitempty"`

	CEL string `yaml:"cel,omitempty" json:"cel,omitempty"`
}

// Literal is a text, a number or a bool as CEL writes it.
type Literal struct{ text string }

// Text returns a literal text.
func Text(s string) Literal { return Literal{quote(s)} }

// Integer returns a literal whole number.
func Integer(n int64) Literal { return Literal{strconv.FormatInt(n, 10)} }

// Bool returns a literal bool.
func Bool(b bool) Literal { return Literal{strconv.FormatBool(b)} }

// Double returns a literal number.
func Double(f float64) Literal {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return Literal{s}
}

// quote writes a text as a CEL string, which JSON's strings are.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(strings.ToValidUTF8(s, "\uFFFD")); err != nil { // no text fails
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// UnmarshalStrict reads a scalar.
func (l *Literal) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Text:
		*l = Text(v.Text())
	case strict.Boolean, strict.Integer:
		l.text = v.Text()
	case strict.Decimal:
		f, err := strconv.ParseFloat(v.Text(), 64)
		if err != nil {
			v.Report("", "%q is not a number", v.Text())
			return
		}
		*l = Double(f)
	default:
		v.Report("to ask whether a field is missing or null write is_null: true", "a text, a number, true or false is needed, found %s", v.Kind())
	}
}

// MarshalJSON writes a scalar.
func (l Literal) MarshalJSON() ([]byte, error) { return []byte(l.text), nil }

// MarshalYAML writes a scalar.
func (l Literal) MarshalYAML() ([]byte, error) { return []byte(l.text), nil }

// Error tells what is wrong with which node.
type Error struct {
	Path    string // of the node: any[1].where
	Message string
	Hint    string
}

// Error returns path, message and hint.
func (e *Error) Error() string {
	s := e.Message
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Roots are what a path outside of lists may begin with; time and received stand alone.
var Roots = []string{"properties", "context", "identifiers", "time", "received", "table", "event_id"}

func duration(d strict.Duration) string {
	return fmt.Sprintf("duration(%s)", quote(time.Duration(d).String()))
}
