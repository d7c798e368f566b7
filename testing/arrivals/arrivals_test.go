package arrivals_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// asOf is a moment within the sessions of an hour's history.
const asOf = arrivals.Start + 10*60_000

// The same events give the same profiles, byte for byte, in any order, in any partitions and bundles, with epochs cut anywhere,
// whatever is replayed and whichever commits fail, with one worker or several at once. Effects have no gaps.
func TestAnyArrivalGivesTheSameProfiles(t *testing.T) {
	for _, policy := range []identity.Policy{identity.KeepFirst, identity.MoveToLatest} {
		t.Run(string(policy), func(t *testing.T) {
			config, err := arrivals.Config(policy)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				history := arrivals.History(t)
				want := plainly(t, config, history)
				for _, workers := range []int{1, 3} {
					s := arrivals.Draw(t, history)
					got := faultily(t, config, s, workers, rapid.Uint64().Draw(t, "seed"))
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%d workers (-want +got):\n%s\n%s", workers, diff, s.Describe())
					}
				}
			})
		})
	}
}

// plainly applies a history in order, one event at a time, in one partition.
func plainly(t *rapid.T, config *update.Config, history []event.Record) []string {
	store := memory.New()
	worker := update.NewWorker(config, store)
	for i, r := range history {
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

// faultily applies a schedule with several workers at once, while one commit in ten fails, half of them after it was applied.
func faultily(t *rapid.T, config *update.Config, s arrivals.Schedule, workers int, seed uint64) []string {
	ctx := context.Background()
	store := memory.New()
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	store.SetFault(func(int, []update.Condition, []update.Write) memory.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(20) {
		case 0:
			return memory.FailBefore
		case 1:
			return memory.FailAfter
		}
		return memory.None
	})
	s.End()
	var ledger arrivals.Ledger
	var wait sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		var own []int
		for p := w; p < len(s.Partitions); p += workers {
			own = append(own, p)
		}
		wait.Go(func() {
			c := arrivals.Consumer{Config: config, Store: store, Random: rand.New(rand.NewPCG(seed, uint64(w+1)))}
			c.Effects = func(effects []update.Effect) {
				mu.Lock()
				defer mu.Unlock()
				if err := ledger.Add(effects); err != nil {
					errs <- err
				}
			}
			if err := c.Consume(ctx, s, own); err != nil {
				errs <- err
			}
		})
	}
	wait.Wait()
	store.SetFault(nil)
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	progress, err := update.ReadProgress(ctx, store, config.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Check(progress); err != nil {
		t.Fatal(err)
	}
	return profiles(t, config, store)
}
