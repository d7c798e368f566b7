// Package extension is what a company's own binary adds to braid: functions over single events, transforms over streams of events,
// and kinds of attributes. In go options of cmd.Main; out comes a Set that the jobs look at when they start.
package extension

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
)

// EventFunc looks at one event on its way in and returns what is to become of it: the event itself, changed or not, several events,
// or none. It runs in ingest, before the event is acknowledged, so it must be quick, and it is called concurrently. An event that
// comes with the same input must come out the same, for senders retry. An error refuses the event; the sender is told its text.
type EventFunc func(d event.Draft) ([]event.Draft, error)

// TransformFunc takes a PCollection<event.Draft> and returns a PCollection<event.Draft>. It runs in the prepare job, element by
// element. Its DoFns must be registered with Beam, like any.
type TransformFunc func(s beam.Scope, events beam.PCollection) beam.PCollection

// Event is a named EventFunc.
type Event struct {
	Name string
	Func EventFunc
}

// Transform is a named TransformFunc.
type Transform struct {
	Name string
	Func TransformFunc
}

// Set is all that a binary adds, each list in the order in which it was added. The zero Set adds nothing.
type Set struct {
	Events     []Event
	Transforms []Transform
	Attributes []accumulator.Kind
}

var plainName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,63}$`)

// Validate returns what is wrong with the set: names missing, wrong or used twice among events or among transforms, functions missing.
func (s Set) Validate() error {
	var errs []error
	check := func(what, name string, missing bool, seen map[string]bool) {
		switch {
		case !plainName.MatchString(name):
			errs = append(errs, fmt.Errorf("%s %q: a name is a letter, then letters, digits, _ . and -, at most 64", what, name))
		case seen[name]:
			errs = append(errs, fmt.Errorf("%s %q is there twice", what, name))
		case missing:
			errs = append(errs, fmt.Errorf("%s %q has no function", what, name))
		}
		seen[name] = true
	}
	events, transforms := map[string]bool{}, map[string]bool{}
	for _, e := range s.Events {
		check("event function", e.Name, e.Func == nil, events)
	}
	for _, t := range s.Transforms {
		check("transform", t.Name, t.Func == nil, transforms)
	}
	return errors.Join(errs...)
}

// Register validates the set and makes its attribute kinds known. It belongs at the start of a program; a kind that is known
// already, because the program comes by twice, is left as it is.
func (s Set) Register() error {
	if err := s.Validate(); err != nil {
		return err
	}
	for _, kind := range s.Attributes {
		known, ok := accumulator.Find(kind.Name)
		if ok && known.Version == kind.Version && reflect.DeepEqual(known.Accumulator, kind.Accumulator) {
			continue
		}
		if err := accumulator.Register(kind); err != nil {
			return err
		}
	}
	return nil
}

// TransformNames returns the names of the transforms, in their order.
func (s Set) TransformNames() []string {
	var names []string
	for _, t := range s.Transforms {
		names = append(names, t.Name)
	}
	return names
}

// Apply passes one event through all event functions, each taking what the one before it returned. The error names the function.
func (s Set) Apply(d event.Draft) ([]event.Draft, error) {
	drafts := []event.Draft{d}
	for _, e := range s.Events {
		var next []event.Draft
		for _, draft := range drafts {
			out, err := e.Func(draft)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name, err)
			}
			next = append(next, out...)
		}
		drafts = next
	}
	return drafts, nil
}
