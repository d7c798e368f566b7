package profile_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const hour int64 = 60 * 60 * 1000

func sight(c *profile.Cell, id string, received int64) bool {
	return c.Sight(&event.Event{ID: id, Received: received, Order: event.Order{Time: received, ID: id}})
}

func TestRetriesDoNotCount(t *testing.T) {
	type arrival struct {
		id       string
		received int64
		counts   bool
	}
	cases := []struct {
		name     string
		arrivals []arrival
	}{
		{"at once", []arrival{{"a", 0, true}, {"a", 0, false}}},
		{"within the hour", []arrival{{"a", 0, true}, {"a", hour, false}}},
		{"after the hour", []arrival{{"a", 0, true}, {"a", hour + 1, true}}},
		{"the retry came first", []arrival{{"a", hour, true}, {"a", 0, false}}},
		{"the retry came first, by more than an hour", []arrival{{"a", hour + 1, true}, {"a", 0, true}}},
		{"another ID", []arrival{{"a", 0, true}, {"b", 0, true}, {"a", 1, false}, {"b", 1, false}}},
		{"others in between", []arrival{{"a", 0, true}, {"b", hour / 2, true}, {"c", hour, true}, {"a", hour, false}}},
		{"the hour counts from what was counted", []arrival{{"a", 0, true}, {"a", hour, false}, {"a", hour + 1, true}}},
		{"a far later event does not make a nearer retry count", []arrival{{"a", 5 * hour, true}, {"b", 5*hour + 10, true}, {"a", 6 * hour, false}}},
		{"before 1970", []arrival{{"a", -10, true}, {"a", -5, false}, {"a", 10, false}, {"a", hour, true}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			base := start
			if c.arrivals[0].received < 0 {
				base = 0
			}
			cell := profile.NewCell("test", ids("cookie:a"))
			for i, a := range c.arrivals {
				if got := sight(cell, a.id, base+a.received); got != a.counts {
					t.Errorf("arrival %d, %s at %d: counts is %v", i, a.id, a.received, got)
				}
			}
		})
	}
}

// The memory of a cell holds the last 1,024 events of the last hour.
func TestSeenIsBounded(t *testing.T) {
	const entry = 16
	cell := profile.NewCell("test", ids("cookie:a"))
	for i := range profile.SeenEvents {
		sight(cell, strconv.Itoa(i), start)
	}
	if len(cell.Seen) != profile.SeenEvents*entry || sight(cell, "0", start) {
		t.Fatalf("%d bytes for %d events", len(cell.Seen), profile.SeenEvents)
	}
	sight(cell, "one more", start)
	if len(cell.Seen) != profile.SeenEvents*entry {
		t.Errorf("%d bytes, the limit is %d", len(cell.Seen), profile.SeenEvents*entry)
	}
	if sight(cell, "1", start) || !sight(cell, "0", start) {
		t.Error("not the earliest was forgotten")
	}
	sight(cell, "later", start+hour+1)
	if len(cell.Seen) != entry {
		t.Errorf("%d bytes after more than an hour, want one entry", len(cell.Seen))
	}
	if before := slices.Clone(cell.Seen); !sight(cell, "long ago", start) || !slices.Equal(before, cell.Seen) {
		t.Error("an event of more than an hour before the latest is to count and not to be remembered")
	}
}

func TestFirstAndLast(t *testing.T) {
	f := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		cell := profile.NewCell("test", ids("cookie:a"))
		times := rapid.SliceOfN(rapid.Int64Range(-5, 5), 1, 10).Draw(rt, "times")
		var orders []event.Order
		for i, at := range times {
			e := newEvent(fmt.Sprint("e", i), start+at, `{}`)
			orders = append(orders, e.Order)
			fold(t, f, cell, e, 0, 0)
		}
		first, last := slices.MinFunc(orders, event.Order.Compare), slices.MaxFunc(orders, event.Order.Compare)
		if cell.First != first || cell.Last != last || cell.Events() != uint64(len(times)) {
			rt.Fatalf("%v to %v, %d events; want %v to %v, %d", cell.First, cell.Last, cell.Events(), first, last, len(times))
		}
	})
}

func TestBucketsCoalesce(t *testing.T) {
	type step struct{ epoch, oldest uint64 }
	cases := []struct {
		name  string
		steps []step
		want  map[uint64]uint64 // events by epoch
	}{
		{"one per epoch", []step{{0, 0}, {1, 0}, {1, 0}, {4, 0}}, map[uint64]uint64{0: 1, 1: 2, 4: 1}},
		{"below the oldest they become one", []step{{0, 0}, {1, 0}, {2, 0}, {5, 3}}, map[uint64]uint64{2: 3, 5: 1}},
		{"the oldest itself stays", []step{{2, 0}, {3, 0}, {5, 3}}, map[uint64]uint64{2: 1, 3: 1, 5: 1}},
		{"a late one joins those coalesced", []step{{1, 0}, {2, 0}, {5, 3}, {1, 3}}, map[uint64]uint64{2: 3, 5: 1}},
		{"a late one later than those coalesced", []step{{1, 0}, {5, 4}, {3, 4}}, map[uint64]uint64{3: 2, 5: 1}},
		{"out of order", []step{{4, 0}, {1, 0}, {2, 0}}, map[uint64]uint64{1: 1, 2: 1, 4: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFolder(t)
			cell := profile.NewCell("test", ids("cookie:a"))
			for i, s := range c.steps {
				fold(t, f, cell, newEvent(fmt.Sprint("e", i), start, `{"n":1}`), s.epoch, s.oldest)
			}
			got := map[uint64]uint64{}
			for _, b := range cell.Buckets {
				got[b.Epoch] = b.Events
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("events by epoch (-want +got):\n%s", diff)
			}
		})
	}
}

// Wherever epochs are cut and coalesced, the buckets ascend, at most one of them lies below the oldest epoch, none that a batch
// tells apart is touched, and together they hold every event.
func TestBucketsKeepTheSum(t *testing.T) {
	f := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		cell, whole := profile.NewCell("test", ids("cookie:a")), profile.NewCell("test", ids("cookie:a"))
		oldest := uint64(0)
		from := map[uint64]uint64{} // events by epoch
		for i := range rapid.IntRange(1, 25).Draw(rt, "events") {
			epoch := rapid.Uint64Range(0, 8).Draw(rt, "epoch")
			oldest = max(oldest, rapid.Uint64Range(0, 8).Draw(rt, "oldest"))
			e := newEvent(fmt.Sprint("e", i), start+int64(i), `{"n":`+strconv.Itoa(i)+`}`)
			fold(t, f, cell, e, epoch, oldest)
			fold(t, f, whole, e, 0, 0)
			from[epoch]++
			below := 0
			for i, b := range cell.Buckets {
				if i > 0 && cell.Buckets[i-1].Epoch >= b.Epoch {
					rt.Fatalf("buckets do not ascend: %v", cell.Buckets)
				}
				if b.Epoch < oldest {
					below++
				} else if b.Events != from[b.Epoch] {
					rt.Fatalf("epoch %d holds %d events, want %d", b.Epoch, b.Events, from[b.Epoch])
				}
			}
			if below > 1 {
				rt.Fatalf("%d buckets below %d: %v", below, oldest, cell.Buckets)
			}
		}
		want, got := view(t, f, documentOf(whole)), view(t, f, documentOf(cell))
		if diff := cmp.Diff(string(want.AppendJSON(nil)), string(got.AppendJSON(nil))); diff != "" {
			rt.Fatalf("coalesced (-want +got):\n%s", diff)
		}
	})
}
