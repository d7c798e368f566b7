package audience_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/audience"
)

// Conditions name other audiences where they select them, not where a text looks like it; each is decided after those it names.
func TestAudiencesThatNameEachOther(t *testing.T) {
	set, wrong := audience.NewSet([]audience.Definition{
		{Name: "a", When: `audiences.b && !audiences.c`}, {Name: "b", When: `orders > 1`}, {Name: "c", When: `note == "audiences.nobody"`},
	}, []string{"orders", "note", "other"})
	if len(wrong) > 0 {
		t.Fatal(wrong[0])
	}
	answers := []accumulator.Result{{Name: "orders", Value: accumulator.IntegerValue(2)}, {Name: "note", Value: accumulator.TextValue("x")}}
	if diff := cmp.Diff([]string{"a", "b"}, set.Members(answers, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"note", "orders"}, set.Because("a")); diff != "" {
		t.Errorf("because (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"note", "orders"}, set.Attributes()); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	answers[1].Value = accumulator.TextValue("audiences.nobody")
	if diff := cmp.Diff([]string{"b", "c"}, set.Members(answers, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
