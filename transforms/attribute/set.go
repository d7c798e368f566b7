package attribute

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/catalogue"
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
	definitions []compiled   // in the order of definition
	byEvent     [][]feed     // per event index, ascending by path, each hash and act once
	derived     []derivation // each behind those that it uses
	limits      Limits
	catalogues  catalogue.Set
}

// WithCatalogues returns the same set with what lookups ask.
func (s *Set) WithCatalogues(c catalogue.Set) *Set {
	with := *s
	with.catalogues = c
	return &with
}

// feed is what an event definition's events do to an attribute.
type feed struct {
	*compiled
	act accumulator.Act
}

type compiled struct { // of one that does not accumulate the definition only
	Definition
	meaning  string
	hash     Hash
	kind     *accumulator.Kind
	spec     accumulator.Spec
	path     string            // empty: there is no field to look up
	constant accumulator.Value // what is observed then
	fields   []string          // paths of a list's fields
	zone     int               // place of the attribute that holds the time zone, or -1
}

func (d Definition) compile(event, deleteItem, clear string) compiled {
	k, _ := accumulator.Find(d.Kind)
	c := compiled{Definition: d, meaning: d.meaning(k, event, deleteItem, clear), kind: k, path: string(d.Value), spec: d.spec(), zone: -1}
	c.hash = Hash(xxhash.Sum64String(c.meaning))
	if n, ok := d.constant(k); ok {
		c.path, c.constant = "", accumulator.IntegerValue(n)
	}
	if k.List {
		c.path = string(d.ID)
		for _, f := range d.Fields {
			c.fields = append(c.fields, string(f.path()))
		}
	}
	c.kind = k.With(c.spec)
	if d.Zone != "" && !zoneIsAttribute(d.Zone) {
		c.spec.Location = location(d.Zone)
	}
	return c
}

// feeds returns the event definitions that feed a definition, and how.
func (d Definition) feeds() map[string]accumulator.Act {
	feeds := map[string]accumulator.Act{d.Event: accumulator.ActPut}
	if d.DeleteItem != "" {
		feeds[d.DeleteItem] = accumulator.ActDelete
	}
	if d.Clear != "" {
		feeds[d.Clear] = accumulator.ActClear
	}
	return feeds
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
		for field, event := range map[string]string{"event": d.Event, "delete_item": d.DeleteItem, "clear": d.Clear} {
			ref, ok := events[event]
			if !ok && event != "" {
				wrong = append(wrong, &FieldError{Field: field, Message: fmt.Sprintf("there is no event definition %q", event)})
			}
			if ref.Index < 0 {
				wrong = append(wrong, &FieldError{Field: field, Message: "the event definition has no index"})
			}
		}
		if names[d.Name] {
			wrong = append(wrong, &FieldError{Field: "name", Message: "another attribute has this name"})
		}
		names[d.Name] = true
		for _, e := range wrong {
			errs = append(errs, &DefinitionError{Name: d.Name, Err: e})
		}
		if len(wrong) > 0 {
			continue
		}
		if !d.accumulates() {
			s.definitions[i].Definition = d
			continue
		}
		c := &s.definitions[i]
		*c = d.compile(events[d.Event].Meaning, events[d.DeleteItem].Meaning, events[d.Clear].Meaning)
		if other, ok := byHash[c.hash]; ok {
			if other.meaning != c.meaning {
				errs = append(errs, fmt.Errorf("attribute %q: the hash of its meaning is also that of %q; write its filter another way", d.Name, other.Name))
			}
			continue // both share one state
		}
		byHash[c.hash] = c
		for event, act := range d.feeds() {
			index := events[event].Index
			for len(s.byEvent) <= index {
				s.byEvent = append(s.byEvent, nil)
			}
			s.byEvent[index] = append(s.byEvent[index], feed{c, act})
		}
	}
	errs = append(errs, s.findZones()...)
	var wrong []*DefinitionError
	s.derived, wrong = derive(definitions)
	for _, e := range wrong {
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, cs := range s.byEvent {
		slices.SortFunc(cs, func(a, b feed) int {
			return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.hash, b.hash), cmp.Compare(a.act, b.act))
		})
	}
	return s, nil
}

// Hash returns the hash of the definition with the given name.
func (s *Set) Hash(name string) (Hash, bool) {
	if i := s.place(name); i >= 0 && s.definitions[i].kind != nil {
		return s.definitions[i].hash, true
	}
	return 0, false
}

// Hashes returns the hashes of all definitions that accumulate, each once.
func (s *Set) Hashes() []Hash {
	var all []Hash
	for _, c := range s.definitions {
		if c.kind != nil && !slices.Contains(all, c.hash) {
			all = append(all, c.hash)
		}
	}
	return all
}

// place returns the place of a definition, or -1.
func (s *Set) place(name string) int {
	return slices.IndexFunc(s.definitions, func(c compiled) bool { return c.Name == name })
}

// read returns the state of a definition and what the accumulator is told: where an attribute holds the time zone, that of the person.
func (s *Set) read(c *compiled, now int64, states States, imported Imported) (body []byte, spec accumulator.Spec, err error) {
	spec = c.spec
	if c.zone >= 0 && s.definitions[c.zone].kind == nil {
		spec.Location = locationOf(imported[s.definitions[c.zone].From])
	} else if c.zone >= 0 {
		zone := &s.definitions[c.zone] // which has none itself
		state, err := zone.find(states)
		if err != nil {
			return nil, spec, &StateError{Hash: zone.hash, Err: err}
		}
		answer, err := zone.kind.Accumulator.Result(state, zone.spec, now)
		if err != nil {
			return nil, spec, &StateError{Hash: zone.hash, Err: err}
		}
		spec.Location = locationOf(answer.Value)
	}
	if body, err = c.find(states); err != nil {
		return nil, spec, &StateError{Hash: c.hash, Err: err}
	}
	return body, spec, nil
}

// Results answers all definitions, in their order, at the moment now (epoch milliseconds). A state that cannot be read answers null
// and is part of the error, which joins one *StateError for each.
func (s *Set) Results(now int64, states States, imported Imported) ([]accumulator.Result, error) {
	out := make([]accumulator.Result, len(s.definitions))
	var errs []error
	for i := range s.definitions {
		if c := &s.definitions[i]; c.From != "" {
			out[i] = accumulator.Result{Name: c.Name, Value: imported[c.From]}
		}
	}
	for _, zoned := range [...]bool{false, true} { // those in whose zone days are cut come first
		for i := range s.definitions {
			c := &s.definitions[i]
			if c.kind == nil || c.zone >= 0 != zoned {
				continue
			}
			body, err := c.find(states)
			if err == nil {
				spec := c.spec
				if zoned {
					spec.Location = locationOf(out[c.zone].Value)
				}
				out[i], err = c.kind.Accumulator.Result(body, spec, now)
			}
			if err != nil {
				out[i] = accumulator.Result{}
				errs = append(errs, &StateError{Hash: c.hash, Err: err})
			}
			out[i].Name = c.Name
		}
	}
	for _, d := range s.derived {
		out[d.place] = d.answer(out, s.catalogues)
		out[d.place].Name = s.definitions[d.place].Name
	}
	return out, errors.Join(errs...)
}

// Next returns the earliest moment after now at which one of the named attributes may change although nothing happens; 0 when none does.
func (s *Set) Next(names []string, now int64, states States, imported Imported) (next int64, err error) {
	for _, c := range s.accumulated(names) {
		timed, ok := c.kind.Accumulator.(accumulator.Timed)
		if !ok {
			continue
		}
		body, spec, err := s.read(c, now, states, imported)
		if err != nil {
			return 0, err
		}
		at, err := timed.Next(body, spec, now)
		if err != nil {
			return 0, &StateError{Hash: c.hash, Err: err}
		}
		if at > now && (next == 0 || at < next) {
			next = at
		}
	}
	return next, nil
}

// accumulated returns those of the named attributes that have states, and those that derived ones among them are made of in the end.
func (s *Set) accumulated(names []string) (all []*compiled) {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	for _, d := range slices.Backward(s.derived) { // what they use stands before them
		if wanted[s.definitions[d.place].Name] {
			for _, used := range d.Names() {
				wanted[used] = true
			}
		}
	}
	for i := range s.definitions {
		if c := &s.definitions[i]; wanted[c.Name] && c.kind != nil {
			all = append(all, c)
		}
	}
	return all
}

// Panes returns what each pane of a windowed attribute answers by itself at a moment, earliest first; nil when it has none.
func (s *Set) Panes(name string, now int64, states States, imported Imported) ([]accumulator.PaneResult, error) {
	i := s.place(name)
	if i < 0 || s.definitions[i].kind == nil {
		return nil, nil
	}
	c := &s.definitions[i]
	body, spec, err := s.read(c, now, states, imported)
	if err != nil {
		return nil, err
	}
	return c.kind.Panes(body, spec, now)
}

// find returns the body of the definition's state, nil when there is none.
func (c *compiled) find(states States) ([]byte, error) {
	i, ok := states.search(c.hash)
	if !ok {
		return nil, nil
	}
	k, body, err := accumulator.Open(states[i].Data)
	if err == nil && !c.kind.Reads(k) {
		err = fmt.Errorf("%w: kind %s where %s belongs", accumulator.ErrDamaged, k.Name, c.kind.Name)
	}
	return body, err
}
