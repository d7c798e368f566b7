package shop_test

import (
	"slices"
	"testing"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T) *segment.Segment {
	t.Helper()
	s, err := segment.Parse("segment.yaml", shop.Segment)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The segment knows the keys that events carry, in the fields that hold them.
func TestSegmentKnowsTheKeys(t *testing.T) {
	s := parse(t)
	var names []string
	for _, k := range shop.Keys {
		names = append(names, k.Key)
		for table, sources := range s.Tables {
			for _, source := range sources {
				if source.Key == k.Key && source.Field != k.Field {
					t.Errorf("table %s finds %s in %s, the events hold it in %s", table, k.Key, source.Field, k.Field)
				}
			}
		}
	}
	if diff := cmp.Diff(names, s.Rules.Keys()); diff != "" {
		t.Errorf("keys (-shop +segment):\n%s", diff)
	}
}

func TestSegmentFindsTheIdentifiersOfEveryEvent(t *testing.T) {
	s := parse(t)
	rules, sources := s.Rules, s.Tables
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
	for _, e := range shop.Fixture(0) {
		check(&e)
	}
	for e := range shop.NewPeople(shop.PeopleOptions{}).Events(5_000) {
		check(&e)
	}
}
