package attribute

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// EventRef is an event definition as attributes see it.
type EventRef struct {
	Index   int    // its number in the matches that Set.Add is given
	Meaning string // what it selects, for example table and filter; when this changes, attributes over it begin anew
}

// Limits bound attributes.
type Limits struct {
	// ValueBytes is the length that a text taken from an event may have; default 500.
	ValueBytes int
	// Definitions is how many definitions a set may have; default 200.
	Definitions int
}

// WithDefaults returns l with its zero fields set to their defaults.
func (l Limits) WithDefaults() Limits {
	l.ValueBytes = cmp.Or(l.ValueBytes, 500)
	l.Definitions = cmp.Or(l.Definitions, 200)
	return l
}

// Set is a set of compiled definitions. It is never changed, so it may be used concurrently.
type Set struct {
	definitions []compiled    // in the order of definition
	byEvent     [][]*compiled // per event index, ascending by path, each hash once
	limits      Limits
}

type compiled struct {
	Definition
	meaning  string
	hash     Hash
	kind     *Kind
	spec     Spec
	path     string // empty: there is no field to look up
	constant Value  // what is observed then
}

func (d Definition) compile(event string) compiled {
	k, _ := kindByName(d.Kind)
	c := compiled{Definition: d, meaning: d.meaning(k, event), kind: k, path: string(d.Value), spec: Spec{Session: time.Duration(d.Session)}}
	c.hash = Hash(xxhash.Sum64String(c.meaning))
	if n, ok := d.constant(k); ok {
		c.path, c.constant = "", IntegerValue(n)
	}
	c.kind = k.with(c.spec)
	return c
}

// NewSet compiles definitions; events holds the event definitions by name. The error joins one error per definition that is wrong,
// and each names the definition.
func NewSet(definitions []Definition, events map[string]EventRef, limits Limits) (*Set, error) {
	limits = limits.WithDefaults()
	if len(definitions) > limits.Definitions {
		return nil, fmt.Errorf("%d attributes, the limit is %d", len(definitions), limits.Definitions)
	}
	s := &Set{limits: limits, definitions: make([]compiled, len(definitions))}
	names := map[string]bool{}
	byHash := map[Hash]*compiled{}
	var errs []error
	for i, d := range definitions {
		wrong := d.Validate()
		ref, ok := events[d.Event]
		if !ok && d.Event != "" {
			wrong = append(wrong, &FieldError{Field: "event", Message: fmt.Sprintf("there is no event definition %q", d.Event)})
		}
		if names[d.Name] {
			wrong = append(wrong, &FieldError{Field: "name", Message: "another attribute has this name"})
		}
		if ref.Index < 0 {
			wrong = append(wrong, &FieldError{Field: "event", Message: "the event definition has no index"})
		}
		names[d.Name] = true
		for _, e := range wrong {
			errs = append(errs, fmt.Errorf("attribute %q: %w", d.Name, e))
		}
		if len(wrong) > 0 {
			continue
		}
		c := &s.definitions[i]
		*c = d.compile(ref.Meaning)
		if other, ok := byHash[c.hash]; ok {
			if other.meaning != c.meaning {
				errs = append(errs, fmt.Errorf("attribute %q: the hash of its meaning is also that of %q; write its filter another way", d.Name, other.Name))
			}
			continue // both share one state
		}
		byHash[c.hash] = c
		for len(s.byEvent) <= ref.Index {
			s.byEvent = append(s.byEvent, nil)
		}
		s.byEvent[ref.Index] = append(s.byEvent[ref.Index], c)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, cs := range s.byEvent {
		slices.SortFunc(cs, func(a, b *compiled) int {
			return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.hash, b.hash))
		})
	}
	return s, nil
}

// Hash returns the hash of the definition with the given name.
func (s *Set) Hash(name string) (Hash, bool) {
	for i := range s.definitions {
		if s.definitions[i].Name == name {
			return s.definitions[i].hash, true
		}
	}
	return 0, false
}

// Results answers all definitions, in their order, at the moment now (epoch milliseconds). A state that cannot be read answers null
// and is part of the error, which joins one *StateError for each.
func (s *Set) Results(now int64, states States) ([]Result, error) {
	out := make([]Result, len(s.definitions))
	var errs []error
	for i := range s.definitions {
		c := &s.definitions[i]
		body, err := c.find(states)
		if err == nil {
			out[i], err = c.kind.Accumulator.Result(body, c.spec, now)
		}
		if err != nil {
			out[i] = Result{}
			errs = append(errs, &StateError{Hash: c.hash, Err: err})
		}
		out[i].Name = c.Name
	}
	return out, errors.Join(errs...)
}

// find returns the body of the definition's state, nil when there is none.
func (c *compiled) find(states States) ([]byte, error) {
	i, ok := states.search(c.hash)
	if !ok {
		return nil, nil
	}
	k, body, err := open(states[i].Data)
	if err == nil && k != c.kind && (k.tag != c.kind.tag || k.tag == tagCustom) {
		err = fmt.Errorf("%w: kind %s where %s belongs", ErrDamaged, k.Name, c.kind.Name)
	}
	return body, err
}
