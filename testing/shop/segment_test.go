package shop_test

import (
	"slices"
	"testing"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/strict"
	"github.com/google/go-cmp/cmp"
)

// segment is as much of the configuration language as segment.yaml uses.
type segment struct {
	Segment    string             `yaml:"segment"`
	ProfileKey string             `yaml:"profile_key"`
	Keys       []identity.KeyRule `yaml:"keys"`
	Tables     map[string]struct {
		Keys map[string]string `yaml:"keys"`
	} `yaml:"tables"`
	Events map[string]struct {
		Table string `yaml:"table"`
		Where string `yaml:"where"`
	} `yaml:"events"`
	Attributes map[string]attribute.Definition `yaml:"attributes"`
}

func readSegment(t *testing.T) segment {
	t.Helper()
	var s segment
	if err := strict.Decode("segment.yaml", shop.Segment, &s, nil).Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSegmentRefersOnlyToWhatItHas(t *testing.T) {
	s := readSegment(t)
	var filters int
	for name, e := range s.Events {
		if _, ok := s.Tables[e.Table]; !ok {
			t.Errorf("event %s: there is no table %q", name, e.Table)
		}
		filters += len(e.Where)
	}
	if filters > 1000 {
		t.Errorf("the filters have %d characters", filters)
	}
	for name, a := range s.Attributes {
		if _, ok := s.Events[a.Event]; !ok {
			t.Errorf("attribute %s: there is no event %q", name, a.Event)
		}
		a.Name = name
		for _, err := range a.Validate() {
			t.Errorf("attribute %s: %v", name, err)
		}
	}
	var names []string
	for _, k := range shop.Keys {
		names = append(names, k.Key)
		for table, mapped := range s.Tables {
			if field, ok := mapped.Keys[k.Key]; ok && field != k.Field {
				t.Errorf("table %s finds %s in %s, the events hold it in %s", table, k.Key, field, k.Field)
			}
		}
	}
	rules, err := identity.NewRules(s.Keys, s.ProfileKey)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, rules.Keys()); diff != "" {
		t.Errorf("keys (-shop +segment):\n%s", diff)
	}
}

func TestSegmentFindsTheIdentifiersOfEveryEvent(t *testing.T) {
	s := readSegment(t)
	rules, err := identity.NewRules(s.Keys, s.ProfileKey)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string][]identity.Source{}
	for table, mapped := range s.Tables {
		for key, field := range mapped.Keys {
			sources[table] = append(sources[table], identity.Source{Key: key, Field: field})
		}
	}
	check := func(e *shop.Event) {
		decoded, err := event.Decode(e.Record(), event.Limits{})
		if err != nil {
			if e.Outcome != shop.Rejected {
				t.Errorf("%v: %.300s", err, e.Value)
			}
			return
		}
		var want []identity.Identifier
		for i, value := range e.Identifiers {
			if value != "" {
				want = append(want, identity.Identifier{Key: shop.Keys[i].Key, Value: value})
			}
		}
		got, _ := rules.Identify(&decoded, sources[decoded.Table])
		if !slices.Equal(got, want) {
			t.Errorf("identified by %v, want %v: %.300s", got, want, e.Value)
		}
	}
	for _, e := range month(t) {
		check(&e)
	}
	for e := range shop.NewPeople(shop.PeopleOptions{}).Events(5_000) {
		check(&e)
	}
}
