package attribute

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/filter/condition"
	"github.com/braidhq/braid/transforms/strict"
)

// Duration is written 30s, 15m, 24h or 7d.
type Duration = strict.Duration

// Operand is what a definition takes from each event: the path of a field, or for a counter a whole number.
type Operand string

// UnmarshalStrict reads a path or a number.
func (o *Operand) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Text, strict.Integer, strict.Decimal:
		*o = Operand(v.Text())
	default:
		v.Report("write for example: value: properties.total", "a field or a number is needed, found %s", v.Kind())
	}
}

// Bounds of Definition.Session.
const (
	MinSession = Duration(accumulator.MinSession)
	MaxSession = Duration(accumulator.MaxSession)
)

// FieldError tells which field of a definition is wrong.
type FieldError struct {
	Field   string // YAML name of the field; name for the name of the attribute itself
	Message string
	Hint    string // how to make it right; may be empty
}

// Error returns field, message and hint.
func (e *FieldError) Error() string {
	if e.Hint == "" {
		return e.Field + ": " + e.Message
	}
	return e.Field + ": " + e.Message + " (" + e.Hint + ")"
}

var attributeName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}$`)

// Validate checks the definition by itself, not whether its event definition exists, and returns one error per thing that is wrong.
func (d Definition) Validate() []*FieldError {
	var errs []*FieldError
	wrong := func(field, hint, format string, args ...any) {
		errs = append(errs, &FieldError{Field: field, Hint: hint, Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case !attributeName.MatchString(d.Name):
		wrong("name", "a letter, then letters, digits and _, at most 64", "%q cannot name an attribute", d.Name)
	case slices.Contains(condition.ReservedWords, d.Name):
		wrong("name", "choose another name", "%q is a word of the expression language", d.Name)
	}
	switch {
	case d.derived() && d.Event != "":
		wrong("event", "leave it out; value names other attributes", "kind %s takes no event", d.Kind)
	case !d.accumulates() && d.Event != "":
		wrong("event", "leave it out; from names an import or a score", "kind %s takes no event", d.Kind)
	case d.accumulates() && d.Event == "":
		wrong("event", "name one of events:", "the event definition is missing")
	}
	k, ok := accumulator.Find(d.Kind)
	if !ok {
		var names []string
		for _, k := range accumulator.Kinds() {
			names = append(names, k.Name)
		}
		hint := strict.Suggest(d.Kind, names)
		if hint == "" {
			hint = "known are: " + strings.Join(names, ", ")
		}
		if d.Kind == "" {
			wrong("kind", hint, "the kind is missing")
		} else {
			wrong("kind", hint, "unknown kind %q", d.Kind)
		}
		return errs
	}
	switch {
	case d.Value == "" && k.Value == accumulator.Required:
		hint := "name a field, for example properties.total"
		if k.Derived {
			hint = "an expression over other attributes, for example revenue / double(orders)"
		}
		wrong("value", hint, "kind %s needs a value", d.Kind)
	case d.Value != "" && k.Value == accumulator.Refused:
		wrong("value", "leave it out", "kind %s takes no value", d.Kind)
	case k.Derived:
		if len(d.Value) > MaxExpression {
			wrong("value", "", "an expression has at most %d bytes", MaxExpression)
		}
	case d.Value != "":
		if message, hint := d.Value.check(k); message != "" {
			wrong("value", hint, "%s", message)
		}
	}
	switch {
	case d.Session == 0 && k.Session == accumulator.Required:
		wrong("session", "for example session: 30m", "kind %s needs a session", d.Kind)
	case d.Session != 0 && k.Session == accumulator.Refused:
		wrong("session", "leave it out; "+kindsWith(func(k accumulator.Kind) bool { return k.Session != accumulator.Refused })+" have one", "kind %s takes no session", d.Kind)
	case d.Session != 0 && (d.Session < MinSession || d.Session > MaxSession):
		wrong("session", "30m is usual", "%s is not within %s and %s", d.Session, MinSession, MaxSession)
	case d.Session%Duration(time.Millisecond) != 0:
		wrong("session", "", "%s is not a whole number of milliseconds", d.Session)
	}
	return append(errs, d.validateOptions(k)...)
}

// roots are the parts of an event that a path may begin with.
var roots = []string{"properties", "context", "identifiers"}

const pathHint = "a field such as properties.total, context.page.url or identifiers.user_id"

// check returns what is wrong with an operand that is not empty, and how to make it right.
func (o Operand) check(k *accumulator.Kind) (message, hint string) {
	if o.number() {
		switch n, err := strconv.ParseInt(string(o), 10, 64); {
		case !k.Constant:
			return fmt.Sprintf("kind %s needs a field, not a number", k.Name), pathHint
		case err != nil || n < 0:
			return fmt.Sprintf("%s is not a whole number of at least 0", o), "a counter only counts up; use sum for other numbers"
		}
		return "", ""
	}
	names := strings.Split(strings.ReplaceAll(strings.ReplaceAll(string(o), `\\`, "_"), `\.`, "_"), ".")
	switch {
	case len(o) > 256:
		return "a path is at most 256 bytes long", ""
	case !slices.Contains(roots, names[0]):
		return fmt.Sprintf("%q does not begin with properties, context or identifiers", string(o)), pathHint
	case len(names) < 2:
		return fmt.Sprintf("%q names no single field", string(o)), pathHint
	case slices.Contains(names, ""):
		return fmt.Sprintf("%q has an empty name between its dots", string(o)), `write a dot within a name as \.`
	case strings.HasSuffix(names[len(names)-1], `\`):
		return fmt.Sprintf(`%q ends with \`, string(o)), ""
	}
	return "", ""
}

// CheckPath returns what is wrong with an operand that is to be a field, and how to put it right.
func (o Operand) CheckPath() (message, hint string) {
	if o.number() {
		return fmt.Sprintf("a field is needed, not %s", o), pathHint
	}
	return o.check(&accumulator.Kind{})
}

// number says whether the operand means a number, be it one that counts or not.
func (o Operand) number() bool {
	return o != "" && strings.ContainsRune("+-.0123456789", rune(o[0]))
}

// constant returns what each event adds when a counter has no field.
func (d Definition) constant(k *accumulator.Kind) (n int64, ok bool) {
	switch {
	case !k.Constant:
		return 0, false
	case d.Value == "":
		return 1, true
	case !d.Value.number():
		return 0, false
	}
	n, err := strconv.ParseInt(string(d.Value), 10, 64)
	return n, err == nil
}
