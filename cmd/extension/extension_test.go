package extension_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/cmd/extension"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
)

func suffix(text string) extension.EventFunc {
	return func(d event.Draft) ([]event.Draft, error) {
		d.ID += text
		return []event.Draft{d}, nil
	}
}

func twice(d event.Draft) ([]event.Draft, error) {
	e := d
	e.ID += "2"
	return []event.Draft{d, e}, nil
}

func TestApply(t *testing.T) {
	refused := errors.New("no")
	for _, test := range []struct {
		name   string
		events []extension.Event
		want   []string
		err    error
	}{
		{"nothing added", nil, []string{"e"}, nil},
		{"in order", []extension.Event{{"a", suffix("a")}, {"b", twice}, {"c", suffix("c")}}, []string{"eac", "ea2c"}, nil},
		{"dropped", []extension.Event{{"a", func(event.Draft) ([]event.Draft, error) { return nil, nil }}, {"b", twice}}, nil, nil},
		{"refused", []extension.Event{{"a", twice}, {"b", func(event.Draft) ([]event.Draft, error) { return nil, refused }}}, nil, refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			drafts, err := extension.Set{Events: test.events}.Apply(event.Draft{ID: "e"})
			if !errors.Is(err, test.err) || err != nil && !strings.HasPrefix(err.Error(), "b: ") {
				t.Fatal(err)
			}
			var ids []string
			for _, d := range drafts {
				ids = append(ids, d.ID)
			}
			if diff := cmp.Diff(test.want, ids); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	pass := func(_ beam.Scope, events beam.PCollection) beam.PCollection { return events }
	good := extension.Set{Events: []extension.Event{{"a", twice}}, Transforms: []extension.Transform{{"a", pass}}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := extension.Set{
		Events:     []extension.Event{{"a b", twice}, {"a", twice}, {"a", twice}},
		Transforms: []extension.Transform{{"t", nil}},
	}
	err := bad.Register()
	if err == nil {
		t.Fatal("registered")
	}
	for _, want := range []string{`event function "a b": a name is`, `event function "a" is there twice`, `transform "t" has no function`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := (extension.Set{Attributes: []accumulator.Kind{{Name: "counter"}}}).Register(); err == nil {
		t.Error("a kind without version and accumulator was registered")
	}
}

// still is an accumulator that keeps one byte.
type still struct{ byte }

func (s still) Add(dst, _ []byte, _ accumulator.Spec, _ accumulator.Observation) ([]byte, error) {
	return append(dst, s.byte), nil
}
func (s still) Merge(dst, a, _ []byte) ([]byte, error) { return append(dst, a...), nil }
func (s still) Result([]byte, accumulator.Spec, int64) (accumulator.Result, error) {
	return accumulator.Result{}, nil
}
func (s still) Check([]byte) error { return nil }

func TestRegisterTwice(t *testing.T) {
	set := extension.Set{Attributes: []accumulator.Kind{{Name: "still", Version: 1, Accumulator: still{1}}}}
	for range 2 {
		if err := set.Register(); err != nil {
			t.Error(err)
		}
	}
	set.Attributes[0].Accumulator = still{2}
	if err := set.Register(); err == nil {
		t.Error("another kind took the name")
	}
}
