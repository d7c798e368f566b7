package arrivals_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/strict"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// applied is a store to which a schedule was applied.
func (r run) applied(t *rapid.T, s arrivals.Schedule) *memory.Store {
	store := memory.New()
	r.applyTo(t, s, store)
	return store
}

func recheck(t *rapid.T, config *update.Config, store update.Store) update.Rechecked {
	done, err := update.Recheck(context.Background(), config, store, nil)
	if err != nil || done.Unsettled > 0 {
		t.Fatal(done, err)
	}
	return done
}

// guards are ways to guard addresses and cookies.
var guards = map[string][2]identity.KeyRule{
	"keep first":      {{Name: "email"}, {Name: "cookie"}},
	"move to latest":  {{Name: "email"}, {Name: "cookie", Policy: identity.MoveToLatest}},
	"unique address":  {{Name: "email", Unique: true}, {Name: "cookie", Policy: identity.MoveToLatest}},
	"shared by two":   {{Name: "email", Saturation: new(1)}, {Name: "cookie", Policy: identity.MoveToLatest, Saturation: new(2)}},
	"shared address":  {{Name: "email", Saturation: new(1), Unique: true}, {Name: "cookie", Saturation: new(1)}},
	"two cookies":     {{Name: "email"}, {Name: "cookie", Limit: &identity.Limit{Count: 2}}},
	"cookies per day": {{Name: "email", Unique: true}, {Name: "cookie", Limit: &identity.Limit{Count: 1, Per: strict.Duration(24 * time.Hour)}}},
}

// With rulings and imported links among the events, and guards, whatever the order, the profiles are the same once they were rechecked, and
// another recheck finds nothing.
func TestRulingsInAnyOrder(t *testing.T) {
	for name, keys := range guards {
		t.Run(name, func(t *testing.T) {
			config, err := history.Guarded(keys[0], keys[1])
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				records := slices.Concat(history.Draw(t), history.DrawRulings(t), history.DrawLinks(t))
				r := run{config: config, workers: 1}
				first := r.applied(t, draw(t, records))
				recheck(t, config, first)
				want := profiles(t, config, first)
				second := r.applied(t, draw(t, records))
				recheck(t, config, second)
				if diff := cmp.Diff(want, profiles(t, config, second)); diff != "" {
					t.Fatalf("(-want +got):\n%s", diff)
				}
				if done := recheck(t, config, second); len(done.Changes)+done.Corrected > 0 {
					t.Fatalf("a second recheck still changed %v", done)
				}
				for _, key := range keys {
					keptWithin(t, config, second, key)
				}
			})
		})
	}
}

// Links that were found elsewhere may come before, between or behind the events: the profiles are the same, and so they are when the
// links come twice.
func TestImportedLinksInAnyOrder(t *testing.T) {
	for _, policy := range []identity.Policy{identity.KeepFirst, identity.MoveToLatest} {
		t.Run(string(policy), func(t *testing.T) {
			config, err := history.Config(policy)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				records, links := history.Draw(t), history.DrawLinks(t)
				want := plainly(t, config, slices.Concat(links, records))
				for name, all := range map[string][]event.Record{
					"behind": slices.Concat(records, links), "twice": slices.Concat(links, records, links),
				} {
					if diff := cmp.Diff(want, plainly(t, config, all)); diff != "" {
						t.Fatalf("links %s (-before +%s):\n%s", name, name, diff)
					}
				}
				r := run{config: config, workers: 2, zombie: true, seed: rapid.Uint64().Draw(t, "seed")}
				if diff := cmp.Diff(want, r.apply(t, draw(t, slices.Concat(records, links)))); diff != "" {
					t.Fatalf("(-before +anyhow):\n%s", diff)
				}
			})
		})
	}
}

// Under other rules a recheck of what was made by the old ones comes to what a replay of all events comes to.
func TestRulesThatChange(t *testing.T) {
	ways := [][]identity.KeyRule{
		{{Name: "user_id"}, {Name: "cookie"}, {Name: "email"}},
		{{Name: "email"}, {Name: "user_id"}, {Name: "cookie", Policy: identity.MoveToLatest}},
		{{Name: "cookie", Limit: &identity.Limit{Count: 2}}, {Name: "email", Policy: identity.MoveToLatest}, {Name: "user_id"}},
	}
	for _, name := range slices.Sorted(maps.Keys(guards)) {
		ways = append(ways, []identity.KeyRule{guards[name][0], guards[name][1]})
	}
	var configs []*update.Config
	for _, keys := range ways {
		config, err := history.Guarded(keys...)
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, config)
	}
	rapid.Check(t, func(t *rapid.T) {
		before := configs[rapid.IntRange(0, len(configs)-1).Draw(t, "before")]
		after := configs[rapid.IntRange(0, len(configs)-1).Draw(t, "after")]
		records := slices.Concat(history.Draw(t), history.DrawRulings(t), history.DrawLinks(t))
		fresh := run{config: after, workers: 1}.applied(t, draw(t, records))
		recheck(t, after, fresh)
		changed := run{config: before, workers: 1}.applied(t, draw(t, records))
		recheck(t, after, changed)
		if diff := cmp.Diff(profiles(t, after, fresh), profiles(t, after, changed)); diff != "" {
			t.Fatalf("(-fresh +changed):\n%s", diff)
		}
		if done := recheck(t, after, changed); len(done.Changes)+done.Corrected > 0 {
			t.Fatalf("a second recheck still changed %v", done)
		}
	})
}

// Where few hang together nothing is left for a recheck: rulings that come last settle all that they touch on the spot.
func TestRulingsSettleAtOnce(t *testing.T) {
	config, err := history.Config(identity.MoveToLatest)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		records, rulings := history.Draw(t), history.DrawRulings(t)
		store := run{config: config, workers: 1}.applied(t, inOrder(slices.Concat(records, rulings)))
		before := profiles(t, config, store)
		if done := recheck(t, config, store); len(done.Changes) > 0 {
			t.Fatalf("%v (-before +after):\n%s", done.Changes, cmp.Diff(before, profiles(t, config, store)))
		}
		keptApart(t, config, store, rulings)
	})
}

// keptWithin checks that no profile has more values of a key than it may have for ever.
func keptWithin(t *rapid.T, config *update.Config, store update.Store, key identity.KeyRule) {
	most := 0
	switch {
	case key.Unique:
		most = 1
	case key.Limit != nil && key.Limit.Per == 0:
		most = key.Limit.Count
	default:
		return
	}
	for d, err := range update.NewReader(config, store).Documents(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range d.Members {
			if m.Key == key.Name {
				n++
			}
		}
		if n > most {
			t.Fatalf("a profile has %v", d.Members)
		}
	}
}

// keptApart checks that identifiers which were forbidden to share a profile, by the latest word on them, do not.
func keptApart(t *rapid.T, config *update.Config, store update.Store, rulings []event.Record) {
	words := map[[2]identity.Identifier]identity.Pair{}
	for _, r := range rulings {
		ruling := config.Prepare(r).Ruling
		ends := [2]identity.Identifier{ruling.A, ruling.B}
		pair := words[ends]
		pair.Rule(*ruling)
		words[ends] = pair
	}
	reader := update.NewReader(config, store)
	for ends, pair := range words {
		a, errA := reader.Document(t.Context(), identity.NewID(config.Namespace, ends[0]))
		b, errB := reader.Document(t.Context(), identity.NewID(config.Namespace, ends[1]))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		late := pair.Forbidden.Compare(pair.Allowed) > 0
		if late && a != nil && b != nil && a.Key == b.Key {
			t.Fatalf("%s and %s share a profile", ends[0], ends[1])
		}
	}
}

// A link that is forbidden afterwards leaves what it would have left if it had been forbidden all along.
func TestForbiddenAfterwards(t *testing.T) {
	config, err := history.Config(identity.KeepFirst)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		records, rulings := history.Draw(t), history.DrawRulings(t)
		r := run{config: config, workers: 1}
		after := r.applied(t, inOrder(slices.Concat(records, rulings)))
		before := r.applied(t, inOrder(slices.Concat(rulings, records)))
		keptApart(t, config, before, rulings)
		recheck(t, config, before)
		if diff := cmp.Diff(profiles(t, config, before), profiles(t, config, after)); diff != "" {
			t.Fatalf("(-before +after):\n%s", diff)
		}
	})
}

// Two people who were merged by one event and unlinked have what they would have without that event; the leader also has the event.
func TestUnlinkedIsNeverMerged(t *testing.T) {
	config, err := history.Config(identity.KeepFirst)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		records := history.Draw(t)
		r := run{config: config, workers: 1}
		alone := r.applied(t, inOrder(records))
		link := history.Link("link", history.Start+31*24*60*60_000, map[string]string{"email": "a@example.com", "cookie": "stranger"})
		stranger := history.Link("before", history.Start+31*24*60*60_000-1, map[string]string{"cookie": "stranger"})
		unlink := history.Ruling("unlink", history.Start+31*24*60*60_000+1, identity.Unlink, "email:a@example.com", "cookie:stranger")
		merged := r.applied(t, inOrder(slices.Concat(records, []event.Record{stranger, link, unlink})))
		apart := r.applied(t, inOrder(slices.Concat(records, []event.Record{stranger})))
		of := func(store update.Store, key, value string) string {
			d, err := update.NewReader(config, store).Find(context.Background(), key, value)
			if err != nil || d == nil {
				t.Fatal(d, err)
			}
			view, err := update.NewReader(config, store).Folder().Fold(d, asOf)
			if err != nil {
				t.Fatal(err)
			}
			return string(view.AppendJSON(nil))
		}
		if diff := cmp.Diff(of(apart, "cookie", "stranger"), of(merged, "cookie", "stranger")); diff != "" {
			t.Fatalf("(-never merged +unlinked):\n%s", diff)
		}
		rest := func(store update.Store) []string {
			return slices.DeleteFunc(profiles(t, config, store), func(p string) bool { return slices.Contains([]string{of(store, "cookie", "stranger")}, p) })
		}
		without := func(all []string, who update.Store) []string {
			d, _ := update.NewReader(config, who).Find(context.Background(), "email", "a@example.com")
			if d == nil {
				return all
			}
			mine := of(who, "email", "a@example.com")
			return slices.DeleteFunc(all, func(p string) bool { return p == mine })
		}
		if diff := cmp.Diff(without(rest(apart), alone), without(rest(merged), merged)); diff != "" {
			t.Fatalf("the others (-never merged +unlinked):\n%s", diff)
		}
	})
}

// inOrder is the schedule in which records arrive as they are listed, in one partition.
func inOrder(records []event.Record) arrivals.Schedule {
	s := arrivals.Schedule{Partitions: make([][]event.Record, 1)}
	for _, r := range records {
		s.Append(0, r)
	}
	return s
}
