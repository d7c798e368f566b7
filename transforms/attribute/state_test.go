package attribute_test

import (
	"bytes"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/google/go-cmp/cmp"
)

func TestMergeIsAUnion(t *testing.T) {
	set := newSet(t, referenceDefinitions...)
	viewed := add(t, set, nil, happening{order: event.Order{Time: 1, ID: "v"}})
	bought := add(t, set, nil, happening{order: event.Order{Time: 2, ID: "b"}, total: "5", bought: true})
	ab, err := attribute.Merge(viewed, bought)
	if err != nil {
		t.Fatal(err)
	}
	ba, err := attribute.Merge(bought, viewed)
	if err != nil || !cmp.Equal(ab, ba) {
		t.Errorf("Merge is not commutative: %v", err)
	}
	if err := ab.Check(); err != nil {
		t.Error(err)
	}
	got := answers(t, set, 3, ab)
	if got["events"] != "2" || got["views"] != "3" || got["revenue"] != "5" {
		t.Errorf("results = %v", got)
	}
	for name, pair := range map[string][2]attribute.States{"left": {nil, ab}, "right": {ab, nil}} {
		if same, err := attribute.Merge(pair[0], pair[1]); err != nil || !cmp.Equal(same, ab) {
			t.Errorf("%s identity: %v, %v", name, same, err)
		}
	}
	if h, _ := set.Hash("revenue"); ab.Find(h) == nil || ab.Find(h+1) != nil {
		t.Error("Find")
	}
}

// FuzzStates feeds arbitrary states to everything that reads them.
func FuzzStates(f *testing.F) {
	set := newSet(f, referenceDefinitions...)
	var seed attribute.States
	h := happening{order: event.Order{Time: 1291161600000, ID: "e"}, total: "5", label: `"x"`}
	for i := range 3 {
		h.bought, h.order.Time = i%2 == 0, h.order.Time+int64(i)*3_000_000
		seed = add(f, set, seed, h)
		f.Add(seed.Append(nil))
		for _, st := range seed {
			f.Add(attribute.States{st}.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		states, err := attribute.DecodeStates(b)
		if err != nil {
			return
		}
		if again := states.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("% x decodes to %v, which encodes to % x", b, states, again)
		}
		sound := states.Check() == nil
		_, resultErr := set.Results(1291161600000, states, nil)
		self, mergeErr := attribute.Merge(states, states)
		_, _ = attribute.Merge(states, seed)
		_, _, _ = set.Add(states, h.event(), []int{0, 1, 2})
		if !sound {
			return
		}
		if mergeErr != nil {
			t.Fatalf("Check accepts what Merge does not: %v", mergeErr)
		}
		if err := self.Check(); err != nil {
			t.Fatalf("Merge wrote what Check refuses: %v", err)
		}
		for _, st := range states {
			if _, known := wanted(set)[st.Hash]; known && resultErr != nil {
				return // a sound state of one kind under the hash of another
			}
		}
		if resultErr != nil {
			t.Fatalf("Check accepts what Results does not: %v", resultErr)
		}
	})
}

func wanted(set *attribute.Set) map[attribute.Hash]bool {
	hashes := map[attribute.Hash]bool{}
	for _, d := range referenceDefinitions {
		h, _ := set.Hash(d.Name)
		hashes[h] = true
	}
	return hashes
}
