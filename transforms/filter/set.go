package filter

import (
	"errors"
	"fmt"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/filter/condition"
	"github.com/braidhq/braid/transforms/strict"
)

// Definition names the events of one table that match an expression; without one, all of the table's events match.
type Definition struct {
	// Name of the event definition, unique within the segment.
	Name string `yaml:"-" json:"-"`
	// Table whose events are meant; required.
	Table string `yaml:"table" json:"table" jsonschema:"required,description=Event table whose events are meant."`
	// Where is a CEL expression over the event; default: every event of the table.
	Where Where `yaml:"where,omitempty" json:"where,omitempty"`
}

// Where is a CEL expression. In YAML it may also be written as a structure, see condition.Condition.
type Where string

// UnmarshalStrict reads an expression or a structure.
func (w *Where) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Text:
		*w = Where(v.Text())
	case strict.Map:
		var c condition.Condition
		if v.Decode(&c); v.Failed() {
			return
		}
		expression, err := c.Expression()
		var wrong *condition.Error
		if errors.As(err, &wrong) {
			v.Report(wrong.Hint, "%s", (&condition.Error{Path: wrong.Path, Message: wrong.Message}).Error())
			return
		}
		*w = Where(expression)
	case strict.Null:
	default:
		v.Report("for example {field: properties.type, equal: product}", "a CEL expression or a condition is needed, found %s", v.Kind())
	}
}

// DefinitionError tells which definition cannot be compiled, and why.
type DefinitionError struct {
	Index int    // position in the list given to NewSet
	Name  string // name of the definition
	Err   error  // of type Errors
}

// Error returns the definition and what is wrong with its expression.
func (e *DefinitionError) Error() string { return fmt.Sprintf("event %s: where: %v", e.Name, e.Err) }

// Unwrap returns what is wrong with the expression.
func (e *DefinitionError) Unwrap() error { return e.Err }

// Set is a list of definitions, compiled and indexed by table. It is safe for concurrent use.
type Set struct {
	names    []string
	programs []*Program // nil when there is no expression
	tables   map[string][]int
	failed   func(definition int, err error)
}

// NewSet compiles definitions. The error joins a *DefinitionError for each one that is wrong.
func NewSet(definitions []Definition) (*Set, error) {
	s := &Set{names: make([]string, len(definitions)), programs: make([]*Program, len(definitions)), tables: map[string][]int{}}
	var errs []error
	for i, d := range definitions {
		s.names[i] = d.Name
		s.tables[d.Table] = append(s.tables[d.Table], i)
		if d.Where == "" {
			continue
		}
		p, err := Compile(string(d.Where))
		if err != nil {
			errs = append(errs, &DefinitionError{Index: i, Name: d.Name, Err: err})
			continue
		}
		s.programs[i] = p
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// Name returns the name of a definition by its index.
func (s *Set) Name(definition int) string { return s.names[definition] }

// OnError has report called, possibly by several goroutines at once, whenever a definition cannot be evaluated for an event for
// another reason than a missing field. It must be called before the first Match.
func (s *Set) OnError(report func(definition int, err error)) { s.failed = report }

// Match appends the indexes of the definitions that the event matches to dst, in ascending order. A definition that cannot be
// evaluated does not match.
func (s *Set) Match(e *event.Event, dst []int) []int {
	for _, i := range s.tables[e.Table] {
		p := s.programs[i]
		if p == nil {
			dst = append(dst, i)
			continue
		}
		matched, err := p.Match(e)
		if err != nil && err != ErrMissing && s.failed != nil {
			s.failed(i, err)
		}
		if matched {
			dst = append(dst, i)
		}
	}
	return dst
}
