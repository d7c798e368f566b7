// Package audience is the core that says who belongs to which audience: in go conditions over attributes, identifiers and other audiences,
// and what is known of a person, out come the names of the audiences that the person is in.
package audience

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/filter"
)

// MaxCondition is how many bytes a condition may have.
const MaxCondition = 2000

// Names by which conditions know identifiers and other audiences: identifiers.email is the address seen last, audiences.gold whether the
// person is in that audience.
const (
	NameIdentifiers = "identifiers"
	NameAudiences   = "audiences"
)

// Definition is one audience.
type Definition struct {
	Name string
	When string // CEL
}

// DefinitionError tells which audience is wrong.
type DefinitionError struct {
	Name         string
	Message      string
	Hint         string
	Line, Column int // within the condition, from 1; 0 when it is about all of it
}

// Error names the audience.
func (e *DefinitionError) Error() string { return fmt.Sprintf("audience %q: %s", e.Name, e.Message) }

// Set is a set of compiled audiences, each behind those it names. It is safe for concurrent use; a nil Set is empty.
type Set struct {
	audiences  []compiled
	attributes []string // that any condition uses, ascending
	meaning    string
}

type compiled struct {
	name       string
	condition  *filter.Expression
	attributes []string // that it uses itself
}

// others returns the audiences that the condition names.
func (c compiled) others() []string { return c.condition.Fields(NameAudiences) }

var audienceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// NewSet compiles audiences; attributes are the names of all attributes.
func NewSet(definitions []Definition, attributes []string) (*Set, []*DefinitionError) {
	if len(definitions) == 0 {
		return &Set{}, nil
	}
	names := append(slices.Clone(attributes), NameIdentifiers, NameAudiences)
	slices.Sort(names)
	vocabulary, err := filter.NewVocabulary(names)
	if err != nil {
		return nil, []*DefinitionError{{Name: definitions[0].Name, Message: err.Error()}}
	}
	all := map[string]compiled{}
	known := map[string]bool{}
	var errs []*DefinitionError
	for _, d := range definitions {
		known[d.Name] = true
	}
	for _, d := range definitions {
		wrong := func(hint, format string, args ...any) {
			errs = append(errs, &DefinitionError{Name: d.Name, Message: fmt.Sprintf(format, args...), Hint: hint})
		}
		switch {
		case !audienceName.MatchString(d.Name):
			wrong("lower-case letters, digits and _, beginning with a letter, at most 64", "%q cannot name an audience", d.Name)
			continue
		case d.When == "":
			wrong(`for example 'orders > 3'`, "the condition is missing")
			continue
		case len(d.When) > MaxCondition:
			wrong("", "a condition has at most %d bytes", MaxCondition)
			continue
		}
		c := compiled{name: d.Name}
		expression, err := vocabulary.Compile(d.When)
		var mistakes filter.Errors
		if errors.As(err, &mistakes) {
			for _, m := range mistakes {
				errs = append(errs, &DefinitionError{d.Name, m.Message, m.Hint, m.Line, m.Column})
			}
			continue
		}
		if !expression.CanBeBool() {
			wrong("compare it with something, for example 'orders > 3'", "the condition is neither true nor false")
			continue
		}
		c.condition = expression
		for _, name := range expression.Names() {
			if name != NameIdentifiers && name != NameAudiences {
				c.attributes = append(c.attributes, name)
			}
		}
		for _, other := range expression.Fields(NameAudiences) {
			if !known[other] {
				wrong("", "there is no audience %q", other)
			}
		}
		all[d.Name] = c
	}
	order, circles := filter.Order(slices.Sorted(maps.Keys(all)), func(name string) []string { return all[name].others() })
	for _, circle := range circles {
		errs = append(errs, &DefinitionError{Name: circle[0], Message: "audiences name each other in a circle"})
	}
	s := &Set{}
	for _, name := range order {
		c := all[name]
		s.audiences = append(s.audiences, c)
		s.attributes = append(s.attributes, c.attributes...)
		s.meaning += fmt.Sprintf("%s: %s\n", c.name, c.condition)
	}
	slices.Sort(s.attributes)
	s.attributes = slices.Compact(s.attributes)
	return s, errs
}

// Empty reports whether there are no audiences.
func (s *Set) Empty() bool { return s == nil || len(s.audiences) == 0 }

// Meaning returns a text that differs between sets that mean something else.
func (s *Set) Meaning() string {
	if s == nil {
		return ""
	}
	return s.meaning
}

// Attributes returns the attributes that any condition uses, ascending.
func (s *Set) Attributes() []string {
	if s == nil {
		return nil
	}
	return s.attributes
}

// Members returns the audiences that a person is in, ascending, by the answers of attributes and the values seen last of each key. Where a
// condition has no answer, such as where a null is compared by size, the person is not in it.
func (s *Set) Members(results []accumulator.Result, identifiers map[string]string) []string {
	if s.Empty() {
		return nil
	}
	in := map[string]any{}
	var members []string
	for _, c := range s.audiences {
		got, err := c.condition.Eval(func(name string) any {
			switch name {
			case NameIdentifiers:
				return identifiers
			case NameAudiences:
				return in
			}
			for i := range results {
				if results[i].Name == name {
					return attribute.Plain(results[i].Value)
				}
			}
			return nil
		})
		is := err == nil && got == true
		if in[c.name] = is; is {
			members = append(members, c.name)
		}
	}
	slices.Sort(members)
	return members
}

// Because returns what an audience's condition looks at: the attributes it uses, and those of the audiences it names.
func (s *Set) Because(name string) []string {
	if s == nil {
		return nil
	}
	var names []string
	for _, c := range s.audiences {
		if c.name != name {
			continue
		}
		names = append(names, c.attributes...)
		for _, other := range c.others() {
			names = append(names, s.Because(other)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
