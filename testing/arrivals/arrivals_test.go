package arrivals_test

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// asOf is a moment within the sessions of an hour's history.
const asOf = history.Start + 10*60_000

// The same events give the same profiles, byte for byte, in any order, in any partitions and bundles, with epochs cut anywhere,
// whatever is replayed and whichever commits fail, with one worker, several at once, or two consumers that both believe that all
// partitions are theirs. Effects have no gaps.
func TestAnyArrivalGivesTheSameProfiles(t *testing.T) {
	for _, policy := range []identity.Policy{identity.KeepFirst, identity.MoveToLatest} {
		t.Run(string(policy), func(t *testing.T) {
			config, err := history.Config(policy)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				records := history.Draw(t)
				want := plainly(t, config, records)
				for _, r := range []run{{workers: 1}, {workers: 3}, {workers: 2, zombie: true}} {
					s := draw(t, records)
					r.config, r.seed = config, rapid.Uint64().Draw(t, "seed")
					if diff := cmp.Diff(want, r.apply(t, s)); diff != "" {
						t.Fatalf("%d workers, zombie: %v (-want +got):\n%s\n%s", r.workers, r.zombie, diff, s.Describe())
					}
				}
			})
		})
	}
}

// The same over a store on disk.
func TestAnyArrivalOnDisk(t *testing.T) {
	config, err := history.Config(identity.MoveToLatest)
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	cases := 0
	rapid.Check(t, func(t *rapid.T) {
		if cases++; cases%20 != 1 { // opening a store takes a while
			return
		}
		records := history.Draw(t)
		s := draw(t, records)
		dir, err := os.MkdirTemp(parent, "store")
		if err != nil {
			t.Fatal(err)
		}
		open := func() update.Store {
			store, err := pebble.Open(dir, pebble.Options{Durability: pebble.Process, MemTable: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
		store := open()
		r := run{config: config, workers: 2, zombie: true, seed: rapid.Uint64().Draw(t, "seed")}
		got := r.applyTo(t, s, store)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		want := plainly(t, config, records)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s", diff, s.Describe())
		}
		store = open()
		again := profiles(t, config, store)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, again); diff != "" {
			t.Fatalf("opened again (-want +got):\n%s", diff)
		}
	})
}

// draw draws a schedule of records.
func draw(t *rapid.T, records []event.Record) arrivals.Schedule {
	choose := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	return arrivals.Draw(choose, records, arrivals.Options{Received: history.Start})
}

// plainly applies a history in order, one event at a time, in one partition.
func plainly(t *rapid.T, config *update.Config, records []event.Record) []string {
	store := memory.New()
	worker := update.NewWorker(config, store)
	for i, r := range records {
		r.Position = event.Position{Topic: arrivals.Topic, Offset: int64(i)}
		if _, err := worker.Apply(context.Background(), []*update.Input{config.Prepare(r)}); err != nil {
			t.Fatal(err)
		}
	}
	return profiles(t, config, store)
}

func profiles(t *rapid.T, config *update.Config, store update.Store) []string {
	all, err := arrivals.Profiles(context.Background(), config, store, asOf)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// run is how a schedule is consumed.
type run struct {
	config  *update.Config
	workers int
	zombie  bool // whether another consumer has all partitions at the same time
	seed    uint64
}

// apply consumes a schedule while one commit in ten fails, half of them after it was applied, and returns the profiles.
func (r run) apply(t *rapid.T, s arrivals.Schedule) []string {
	store := memory.New()
	store.SetFault(arrivals.Faults(rand.New(rand.NewPCG(r.seed, 0))))
	return r.applyTo(t, s, store)
}

func (r run) applyTo(t *rapid.T, s arrivals.Schedule, store update.Store) []string {
	ctx := context.Background()
	s.End(history.Start)
	consumers := make([][]int, r.workers)
	for p := range s.Partitions {
		consumers[p%r.workers] = append(consumers[p%r.workers], p)
		if r.zombie && p == 0 {
			consumers = append(consumers, nil)
		}
		if r.zombie {
			consumers[r.workers] = append(consumers[r.workers], p)
		}
	}
	var mu sync.Mutex
	var ledger arrivals.Ledger
	var wait sync.WaitGroup
	errs := make(chan error, len(consumers))
	for i, own := range consumers {
		wait.Go(func() {
			var failed error
			random := rand.New(rand.NewPCG(r.seed, uint64(i+1)))
			config := *r.config
			config.CellsWithin = []int{-1, 150, 300, 0}[random.IntN(4)]
			c := arrivals.Consumer{Config: &config, Store: store, Random: random}
			c.Effects = func(effects []update.Effect) {
				mu.Lock()
				defer mu.Unlock()
				if err := ledger.Add(effects); err != nil {
					failed = err
				}
			}
			if err := c.Consume(ctx, s, own); err != nil {
				failed = err
			}
			if failed != nil {
				errs <- failed
			}
		})
	}
	wait.Wait()
	if store, ok := store.(*memory.Store); ok {
		store.SetFault(nil)
	}
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	progress, err := update.ReadProgress(ctx, store, r.config.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Check(progress); err != nil {
		t.Fatal(err)
	}
	orphans(t, r.config, store)
	return profiles(t, r.config, store)
}

// orphans fails when a cell has a row of its own and is in no document beside it.
func orphans(t *rapid.T, config *update.Config, store update.Store) {
	cells := map[string]bool{}
	for doc, err := range update.NewReader(config, store).Documents(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range doc.Cells {
			cells[string(doc.Key[:])+string(c.ID[:])] = true
		}
	}
	prefix := config.Namespace + "/c/"
	rows, err := store.Scan(context.Background(), []byte(prefix), []byte(config.Namespace+"/c0"), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !cells[string(row.Key[len(prefix):])] {
			t.Errorf("a cell that no document has: %q", row.Key)
		}
	}
}
