package condition

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/event"
)

// Expression returns the CEL expression that means the same. The error is an *Error.
func (c Condition) Expression() (string, error) {
	w := writer{}
	text := w.node(c, "", "")
	if w.err != nil {
		return "", w.err
	}
	return text, nil
}

// writer writes expressions and keeps the first error.
type writer struct{ err *Error }

func (w *writer) fail(path, hint, format string, args ...any) string {
	if w.err == nil {
		w.err = &Error{Path: path, Hint: hint, Message: fmt.Sprintf(format, args...)}
	}
	return "false"
}

// node writes one node; item is the name of the item under way, "" outside of lists.
func (w *writer) node(c Condition, path, item string) string {
	said := c.said()
	switch {
	case len(said) == 0:
		return w.fail(path, "for example {field: properties.type, equal: product}", "the condition says nothing")
	case len(said) > 1:
		return w.fail(path, "join them by all: or any:", "%s and %s cannot stand in one condition", said[0], said[1])
	}
	switch said[0] {
	case "all", "any":
		parts, operator := c.All, " && "
		if said[0] == "any" {
			parts, operator = c.Any, " || "
		}
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = w.node(part, fmt.Sprintf("%s[%d]", join(path, said[0]), i), item)
			if part.loose() {
				texts[i] = "(" + texts[i] + ")"
			}
		}
		return strings.Join(texts, operator)
	case "not":
		return "!(" + w.node(*c.Not, join(path, "not"), item) + ")"
	case "cel":
		return c.CEL
	case "any_of", "all_of", "at_least":
		return w.items(c, path, item)
	}
	return w.operator(c, said[0], path, item)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// loose reports whether a node needs parentheses beside an operator.
func (c Condition) loose() bool {
	return len(c.All) > 0 || len(c.Any) > 0 || c.CEL != "" || len(c.Between) > 0 || c.IsNull != nil && *c.IsNull || c.AtLeast > 0
}

// said returns the names of what a node says.
func (c Condition) said() []string {
	var said []string
	for _, s := range [...]struct {
		name string
		set  bool
	}{
		{"all", len(c.All) > 0}, {"any", len(c.Any) > 0}, {"not", c.Not != nil}, {"cel", c.CEL != ""},
		{"any_of", c.AnyOf != ""}, {"all_of", c.AllOf != ""}, {"at_least", c.AtLeast != 0 || c.Of != ""},
		{"equal", c.Equal != nil}, {"greater", c.Greater != nil}, {"greater_equal", c.GreaterEqual != nil}, {"less", c.Less != nil},
		{"less_equal", c.LessEqual != nil}, {"between", len(c.Between) > 0}, {"in", len(c.In) > 0}, {"contains", c.Contains != nil},
		{"starts_with", c.StartsWith != nil}, {"ends_with", c.EndsWith != nil}, {"regexp", c.Regexp != nil}, {"is_null", c.IsNull != nil},
		{"before", c.Before != ""}, {"after", c.After != ""}, {"older_than", c.OlderThan != 0}, {"newer_than", c.NewerThan != 0},
	} {
		if s.set {
			said = append(said, s.name)
		}
	}
	return said
}

func (w *writer) items(c Condition, path, item string) string {
	list := c.AnyOf + c.AllOf + c.Of
	if c.Where == nil {
		return w.fail(path, "for example where: {field: item.sku, equal: mat}", "what must hold for the items is missing")
	}
	if c.Field != "" {
		return w.fail(path, "leave it out", "a condition about items has no field")
	}
	name := "item"
	if item != "" {
		name = item + "_"
	}
	from := w.path(list, path, item)
	where := w.node(*c.Where, join(path, "where"), name)
	switch {
	case c.AnyOf != "":
		return from + ".exists(" + name + ", " + where + ")"
	case c.AllOf != "":
		return from + ".all(" + name + ", " + where + ")"
	case c.AtLeast < 1:
		return w.fail(path, "at_least: 2", "at_least is missing, or less than 1")
	}
	return fmt.Sprintf("%s.filter(%s, %s).size() >= %d", from, name, where, c.AtLeast)
}

var identifier = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// path writes a path as CEL does.
func (w *writer) path(path, at, item string) string {
	names := event.SplitPath(path)
	switch root := names[0]; {
	case item != "" && root == "item":
		names[0] = item
	case !slices.Contains(Roots, root):
		return w.fail(at, "a field such as properties.total, context.page.url or identifiers.user_id", "%q does not begin with %s", path, strings.Join(Roots, ", "))
	case len(names) > 1 == slices.Contains(Roots[3:], root):
		return w.fail(at, "", "%q is no field", path)
	}
	return strings.Join(steps(names), "")
}

// steps writes the names of a path, each as it follows the one before it.
func steps(names []string) []string {
	texts := []string{names[0]}
	for _, name := range names[1:] {
		if identifier.MatchString(name) && !slices.Contains(ReservedWords, name) {
			texts = append(texts, "."+name)
		} else {
			texts = append(texts, "["+quote(name)+"]")
		}
	}
	return texts
}

// ReservedWords are the words of CEL that name nothing in expressions.
var ReservedWords = strings.Fields("true false null in as break const continue else for function if import let loop package namespace return var void while")

func (w *writer) operator(c Condition, name, path, item string) string {
	if c.Field == "" {
		return w.fail(path, "for example field: properties.type", "%s needs a field", name)
	}
	field := w.path(c.Field, path, item)
	at := join(path, name)
	switch name {
	case "equal":
		return field + " == " + c.Equal.text
	case "greater":
		return field + " > " + c.Greater.text
	case "greater_equal":
		return field + " >= " + c.GreaterEqual.text
	case "less":
		return field + " < " + c.Less.text
	case "less_equal":
		return field + " <= " + c.LessEqual.text
	case "between":
		if len(c.Between) != 2 {
			return w.fail(at, "between: [10, 20]", "two bounds are needed, found %d", len(c.Between))
		}
		return field + " >= " + c.Between[0].text + " && " + field + " <= " + c.Between[1].text
	case "in":
		texts := make([]string, len(c.In))
		for i, l := range c.In {
			texts[i] = l.text
		}
		return field + " in [" + strings.Join(texts, ", ") + "]"
	case "contains":
		return field + ".contains(" + quote(*c.Contains) + ")"
	case "starts_with":
		return field + ".startsWith(" + quote(*c.StartsWith) + ")"
	case "ends_with":
		return field + ".endsWith(" + quote(*c.EndsWith) + ")"
	case "regexp":
		if _, err := regexp.Compile(*c.Regexp); err != nil {
			return w.fail(at, "RE2 syntax", "%v", err)
		}
		return field + ".matches(" + quote(*c.Regexp) + ")"
	case "is_null":
		missing := w.missing(c.Field, item)
		if *c.IsNull {
			return missing
		}
		return "!(" + missing + ")"
	}
	return w.moment(c, name, field, at)
}

// missing says that a field, or one that it lies in, is not there or null.
func (w *writer) missing(path, item string) string {
	names := event.SplitPath(path)
	if names[0] == "item" && item != "" {
		names[0] = item
	}
	texts := steps(names)
	var tests []string
	whole := texts[0]
	for i, text := range texts[1:] {
		if strings.HasPrefix(text, ".") {
			tests = append(tests, "!has("+whole+text+")")
		} else {
			tests = append(tests, "!("+quote(names[i+1])+" in "+whole+")")
		}
		whole += text
	}
	return strings.Join(append(tests, whole+" == null"), " || ")
}

// moment compares moments: time and received are some, other fields hold them as texts.
func (w *writer) moment(c Condition, name, field, at string) string {
	if field != "time" && field != "received" {
		field = "timestamp(" + field + ")"
	}
	switch name {
	case "before", "after":
		text, operator := c.Before, " < "
		if name == "after" {
			text, operator = c.After, " > "
		}
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return w.fail(at, "2026-01-31T00:00:00Z", "%q is no moment in RFC 3339", text)
		}
		return field + operator + "timestamp(" + quote(text) + ")"
	case "older_than":
		return "time - " + field + " > " + duration(c.OlderThan)
	}
	return "time - " + field + " < " + duration(c.NewerThan)
}
