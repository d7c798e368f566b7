package update_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ranked are the keys of the test below by priority; the profile key may be any of them.
var ranked = []string{"email", "user_id", "cookie"}

// sighting is an event as the oracle reads it: identifiers by priority of their keys.
type sighting struct {
	at  int64
	ids []string
}

// people is the oracle: all links of all events, earliest first, each of which holds unless it would join two values of the profile
// key.
func people(events []sighting, profileKey string) []string {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b sighting) int { return int(a.at - b.at) })
	person := map[string]string{}
	values := func(p string) (n int) {
		for id, q := range person {
			if q == p && strings.HasPrefix(id, profileKey+":") {
				n++
			}
		}
		return n
	}
	for _, e := range events {
		for _, id := range e.ids {
			if person[id] == "" {
				person[id] = id
			}
		}
	}
	for _, e := range events {
		for _, other := range slices.Sorted(slices.Values(e.ids[1:])) { // links of one event weigh the same: their names decide
			a, b := person[e.ids[0]], person[other]
			if a == b || values(a) > 0 && values(b) > 0 {
				continue
			}
			for id, p := range person {
				if p == b {
					person[id] = a
				}
			}
		}
	}
	groups := map[string][]string{}
	for id, p := range person {
		groups[p] = append(groups[p], id)
	}
	var all []string
	for _, ids := range groups {
		slices.Sort(ids)
		all = append(all, strings.Join(ids, " "))
	}
	slices.Sort(all)
	return all
}

// The profile key is exclusive wherever it stands among the keys: values of it that more identifying keys carry never meet in one
// profile, in whatever order and bundles the events come.
func TestProfileKeyIsExclusive(t *testing.T) {
	for _, profileKey := range ranked {
		t.Run(profileKey, func(t *testing.T) {
			config := newConfig(t, profileKey, identity.KeyRule{Name: "email"}, identity.KeyRule{Name: "user_id"}, identity.KeyRule{Name: "cookie"})
			rapid.Check(t, func(t *rapid.T) {
				var events []sighting
				var records []event.Record
				for i := range rapid.IntRange(1, 12).Draw(t, "events") {
					e := sighting{at: int64(i) * 10}
					for _, key := range ranked {
						if n := rapid.IntRange(-1, 3).Draw(t, key); n >= 0 {
							e.ids = append(e.ids, fmt.Sprintf("%s:v%d", key, n))
						}
					}
					if len(e.ids) > 0 {
						events = append(events, e)
						records = append(records, record(e.at, fmt.Sprint("e", i), strings.Join(e.ids, " ")))
					}
				}
				store := memory.New()
				worker := update.NewWorker(config, store)
				var bundle []*update.Input
				for i, r := range rapid.Permutation(records).Draw(t, "order") {
					r.Position = event.Position{Topic: topic, Offset: int64(i)}
					bundle = append(bundle, config.Prepare(r))
					if i+1 == len(records) || rapid.Bool().Draw(t, "commit") {
						if _, err := worker.Apply(t.Context(), bundle); err != nil {
							t.Fatal(err)
						}
						worker.Settle()
						bundle = nil
					}
				}
				counted := map[string]uint64{}
				for doc, err := range update.NewReader(config, store).Documents(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					var ids []string
					for _, m := range doc.Members {
						ids = append(ids, m.String())
					}
					var n uint64
					for _, c := range doc.Cells {
						n += c.Events()
					}
					counted[strings.Join(ids, " ")] = n
				}
				got := slices.Sorted(maps.Keys(counted))
				want := people(events, profileKey)
				for i := range want { // members are sorted by key, then value
					ids := strings.Fields(want[i])
					slices.Sort(ids)
					want[i] = strings.Join(ids, " ")
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("people (-oracle +documents):\n%s", diff)
				}
				var total uint64
				for _, n := range counted {
					total += n
				}
				if total != uint64(len(records)) {
					t.Fatalf("%d events of %d", total, len(records))
				}
			})
		})
	}
}
