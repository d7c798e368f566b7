package arrivals_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"pgregory.net/rapid"
)

// A profile that may tell few sets of identifiers apart forgets identifiers, but no event; and whoever asks by one that was forgotten finds
// the profile that has its events, unless it came back. That holds while consumers race, commits fail and records come again.
func TestEvictionLosesNoEvent(t *testing.T) {
	for _, policy := range []identity.Policy{identity.KeepFirst, identity.MoveToLatest} {
		t.Run(string(policy), func(t *testing.T) {
			config, err := history.Config(policy)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			evicted := 0
			rapid.Check(t, func(t *rapid.T) {
				records := onceEach(t, history.Draw(t))
				bounded := *config
				bounded.CellsPerProfile = rapid.IntRange(1, 4).Draw(t, "cells")
				r := run{config: &bounded, workers: 2, zombie: true, seed: rapid.Uint64().Draw(t, "seed")}
				store := memory.New()
				r.applyTo(t, draw(t, records), store)

				reader := update.NewReader(&bounded, store)
				folder := reader.Folder()
				var events uint64
				members := map[identity.Identifier]bool{}
				for d, err := range reader.Documents(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					v, err := folder.Fold(d, asOf)
					if err != nil {
						t.Fatal(err)
					}
					events += v.Events
					for _, m := range d.Members {
						members[m] = true
					}
				}
				if want := uint64(len(records)); events != want {
					t.Fatalf("%d events in all profiles, want %d", events, want)
				}
				for _, r := range records {
					for _, id := range bounded.Prepare(r).Identifiers {
						d, err := reader.Find(ctx, id.Key, id.Value)
						if err != nil || d == nil {
							t.Fatalf("%s: %v, %v", id, d, err)
						}
						if !members[id] {
							evicted++
							if d.Has(id) {
								t.Fatalf("%s is a member that no document has", id)
							}
						}
					}
				}
			})
			if evicted == 0 {
				t.Fatal("nothing was evicted in any case")
			}
		})
	}
}

// onceEach leaves senders' retries out.
func onceEach(t *rapid.T, records []event.Record) []event.Record {
	known := map[string]bool{}
	var once []event.Record
	for _, r := range records {
		var e struct {
			ID string `json:"event_id"`
		}
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		if !known[e.ID] {
			known[e.ID] = true
			once = append(once, r)
		}
	}
	return once
}
