package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/braidhq/braid/transforms/update"
)

// together runs the workers at once and reports their errors.
func together(t *testing.T, workers int, work func(worker int) error) {
	t.Helper()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			if err := work(worker); err != nil {
				t.Errorf("worker %d: %v", worker, err)
			}
		})
	}
	all.Wait()
}

// transact reads the rows, lets change make writes of them and commits under their versions, again until nothing conflicts.
func transact(t *testing.T, s update.Store, names []string, change func([]update.Row) []update.Write) error {
	for {
		rows, err := s.Get(t.Context(), keys(names...))
		if err != nil {
			return err
		}
		var conditions []update.Condition
		for _, r := range rows {
			conditions = append(conditions, update.Condition{Key: r.Key, Version: r.Version})
		}
		_, err = s.Commit(t.Context(), conditions, change(rows))
		if !errors.Is(err, update.ErrConflict) {
			return err
		}
	}
}

func number(value []byte) int {
	n, _ := strconv.Atoi(string(value))
	return n
}

// testCounters: workers add to shared counters; no addition may get lost or count twice.
func testCounters(t *testing.T, opener Opener) {
	s := open(t, opener)
	const workers, rounds, counters = 6, 60, 4
	name := func(n int) string { return "counter" + strconv.Itoa(n%counters) }
	together(t, workers, func(worker int) error {
		for i := range rounds {
			names := []string{name(worker + i), name(worker + i + 1)}
			err := transact(t, s, names, func(rows []update.Row) []update.Write {
				return []update.Write{
					put(names[0], strconv.Itoa(number(rows[0].Value)+1)),
					put(names[1], strconv.Itoa(number(rows[1].Value)+1)),
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	sum := 0
	for n := range counters {
		sum += number(get(t, s, name(n))[0].Value)
	}
	if want := workers * rounds * 2; sum != want {
		t.Errorf("counters add up to %d, want %d", sum, want)
	}
}

// testTransfers: money moves between accounts while others add them all up, by Get and by Scan. An empty account is a deleted row.
func testTransfers(t *testing.T, opener Opener) {
	s := open(t, opener)
	const accounts, each, movers, rounds = 8, 3, 4, 60
	var names []string
	var writes []update.Write
	for i := range accounts {
		names = append(names, "account"+strconv.Itoa(i))
		writes = append(writes, put(names[i], strconv.Itoa(each)))
	}
	commit(t, s, nil, writes...)
	var moving atomic.Int32
	moving.Store(movers)
	total := func(rows []update.Row, err error) error {
		sum := 0
		for _, r := range rows {
			sum += number(r.Value)
		}
		if err == nil && sum != accounts*each {
			err = fmt.Errorf("accounts add up to %d, want %d", sum, accounts*each)
		}
		return err
	}
	together(t, movers+2, func(worker int) error {
		if worker >= movers {
			for moving.Load() > 0 {
				if err := total(s.Get(t.Context(), keys(names...))); err != nil {
					return fmt.Errorf("by Get: %w", err)
				}
				if err := total(s.Scan(t.Context(), []byte("account"), []byte("accounts"), 100)); err != nil {
					return fmt.Errorf("by Scan: %w", err)
				}
			}
			return nil
		}
		defer moving.Add(-1)
		rng := rand.New(rand.NewPCG(uint64(worker), 1))
		for range rounds {
			from := rng.IntN(accounts)
			to := (from + 1 + rng.IntN(accounts-1)) % accounts
			err := transact(t, s, []string{names[from], names[to]}, func(rows []update.Row) []update.Write {
				if number(rows[0].Value) == 0 {
					return nil
				}
				left := put(names[from], strconv.Itoa(number(rows[0].Value)-1))
				if number(rows[0].Value) == 1 {
					left = remove(names[from])
				}
				return []update.Write{left, put(names[to], strconv.Itoa(number(rows[1].Value)+1))}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := total(s.Get(t.Context(), keys(names...))); err != nil {
		t.Error(err)
	}
}

// testScanMoment: a token wanders through the key space, back and forth; every scan sees it exactly once.
func testScanMoment(t *testing.T, opener Opener) {
	s := open(t, opener)
	const places, steps = 50, 400
	place := func(i int) string { return fmt.Sprintf("place%03d", i) }
	commit(t, s, nil, put(place(0), "token"))
	var done atomic.Bool
	together(t, 3, func(worker int) error {
		if worker == 0 {
			defer done.Store(true)
			rng := rand.New(rand.NewPCG(7, 7))
			now := 0
			for range steps {
				next := (now + 1 + rng.IntN(places-1)) % places
				if _, err := s.Commit(t.Context(), nil, []update.Write{remove(place(now)), put(place(next), "token")}); err != nil {
					return err
				}
				now = next
			}
			return nil
		}
		for !done.Load() {
			rows, err := s.Scan(t.Context(), []byte("place"), nil, places)
			if err != nil {
				return err
			}
			if len(rows) != 1 {
				return fmt.Errorf("the scan saw the token %d times", len(rows))
			}
		}
		return nil
	})
}
