package profile_test

import (
	"errors"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"pgregory.net/rapid"
)

// past is a history of what was given to it.
type past struct {
	epoch    uint64
	cells    map[identity.ID]profile.Bucket
	imported attribute.Imported
}

func (h *past) Epoch() uint64 { return h.epoch }

func (h *past) Cell(id identity.ID) (profile.Bucket, bool, error) {
	b, ok := h.cells[id]
	return b, ok, nil
}

func (h *past) Imported(identity.ID) (attribute.Imported, error) { return h.imported, nil }

// historyOf is what a batch run over the epochs before one finds of cells that have all their buckets.
func historyOf(t testing.TB, epoch uint64, cells ...*profile.Cell) *past {
	t.Helper()
	h := &past{epoch: epoch, cells: map[identity.ID]profile.Bucket{}}
	for _, c := range cells {
		var sum profile.Bucket
		for _, b := range c.Buckets {
			if b.Epoch >= epoch {
				continue
			}
			states, err := attribute.Merge(sum.States, b.States)
			if err != nil {
				t.Fatal(err)
			}
			sum = profile.Bucket{Epoch: epoch - 1, Events: sum.Events + b.Events, States: states, Batch: true}
		}
		if sum.Events > 0 {
			h.cells[c.ID] = sum
		}
	}
	return h
}

// Whatever was coalesced and pruned, a profile over a history is the one that all epochs give.
func TestHistoryHasNoSeam(t *testing.T) {
	f := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		whole, live := profile.NewCell("test", ids("cookie:a")), profile.NewCell("test", ids("cookie:a"))
		var epoch, oldest, pruned uint64
		for i := range rapid.IntRange(1, 20).Draw(rt, "events") {
			epoch += rapid.Uint64Range(0, 2).Draw(rt, "epoch")
			if next := rapid.Uint64Range(oldest, epoch).Draw(rt, "oldest"); rapid.Bool().Draw(rt, "run") {
				oldest = next
				pruned = rapid.Uint64Range(pruned, oldest).Draw(rt, "pruned")
			}
			e := newEvent(string(rune('a'+i)), start+int64(i)*1000, `{"total":1.5}`)
			fold(t, f, whole, e, epoch, 0)
			live.Prune(pruned)
			fold(t, f, live, e, epoch, oldest)
		}
		want, err := f.Fold(documentOf(whole), start)
		if err != nil {
			rt.Fatal(err)
		}
		at := rapid.Uint64Range(oldest, epoch+1).Draw(rt, "at")
		with := *f
		with.History = historyOf(t, at, whole)
		got, err := with.Fold(documentOf(live), start)
		if err != nil {
			rt.Fatal(err)
		}
		if a, b := string(want.AppendJSON(nil)), string(got.AppendJSON(nil)); a != b {
			rt.Fatalf("over epoch %d, floor %d:\n%s\nwant\n%s", at, live.Floor, b, a)
		}
		if _, err := f.Fold(documentOf(live), start); live.Pruned != errors.Is(err, profile.ErrHistory) {
			rt.Fatalf("without a history, pruned %v: %v", live.Pruned, err)
		}
		if with.History = historyOf(t, 0, whole); live.Pruned {
			if _, err := with.Fold(documentOf(live), start); live.Floor > 0 && !errors.Is(err, profile.ErrHistory) {
				rt.Fatalf("an older history: %v", err)
			}
		}
		copied, err := live.Marshal()
		if err != nil {
			rt.Fatal(err)
		}
		back, err := profile.UnmarshalCell(live.ID, copied)
		if err != nil || back.Floor != live.Floor || back.Pruned != live.Pruned {
			rt.Fatal(back, err)
		}
	})
}

// What was imported for the value of the profile key is part of the profile, also of one whose key nobody but it has.
func TestImported(t *testing.T) {
	set, err := attribute.NewSet([]attribute.Definition{
		{Name: "tier", Kind: "imported", From: "loyalty.tier"},
		{Name: "gold", Kind: "derived", Value: `tier == "Gold"`},
	}, nil, attribute.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	f := newFolder(t)
	f.Attributes = set
	f.History = &past{imported: attribute.Imported{"loyalty.tier": accumulator.TextValue("Gold")}}
	for key, want := range map[string]string{"user_id:7": `"Gold"`, "cookie:a": "null"} {
		c := profile.NewCell("test", ids(key))
		c.Sight(&event.Event{ID: "e", Received: start})
		v, err := f.Fold(documentOf(c), start)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(v.Attributes[0].Value.AppendJSON(nil)); got != want {
			t.Errorf("%s: tier %s, want %s", key, got, want)
		}
	}
}

// A retry is known in the partition of the first try, whatever other partitions do meanwhile.
func TestPartitionsAreRememberedApart(t *testing.T) {
	type arrival struct {
		partition int32
		id        string
		received  int64
	}
	arrivals := rapid.Custom(func(t *rapid.T) arrival {
		return arrival{rapid.Int32Range(0, 2).Draw(t, "partition"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id"), start + rapid.Int64Range(0, 3*hour).Draw(t, "received")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(arrivals, 1, 30).Draw(rt, "arrivals")
		count := func(c *profile.Cell, a arrival) bool {
			return c.Sight(&event.Event{ID: a.id, Received: a.received, Position: event.Position{Partition: a.partition}})
		}
		together := profile.NewCell("test", ids("cookie:a"))
		apart := map[int32]*profile.Cell{}
		for i, a := range all {
			if apart[a.partition] == nil {
				apart[a.partition] = profile.NewCell("test", ids("cookie:a"))
			}
			if got, want := count(together, a), count(apart[a.partition], a); got != want {
				rt.Fatalf("arrival %d counts: %v, alone in its partition %v", i, got, want)
			}
		}
	})
}
