// Package storetest is the one suite that every update.Store has to pass.
//
// In goes a function that makes empty stores; out come the findings of named tests: what reads and scans return, when commits
// conflict, that they are atomic and linearizable under concurrency, and that what was committed is there after opening again.
// Ledger and Benchmark serve the crash tests and measurements that each store has beyond the suite.
package storetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms/update"
)

// Opener opens the store under test. Called again after Close it opens the same rows; the suite never holds two open at once.
type Opener func(t testing.TB) update.Store

// Run runs the suite. fresh makes a place for an empty store, such as a directory or a database, and returns what opens it.
func Run(t *testing.T, fresh func(t testing.TB) Opener) {
	tests := []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"Get", testGet},
		{"Scan", testScan},
		{"EmptyValueAndKey", testEmpty},
		{"LargeValues", testLarge},
		{"Conditions", testConditions},
		{"VersionsAreNeverReused", testVersions},
		{"WrongArguments", testArguments},
		{"CancelledContext", testCancelled},
		{"Close", testClose},
		{"Reopen", testReopen},
		{"Ledger", testLedger},
		{"ZombieIsFenced", testZombie},
		{"CountersUnderConflict", testCounters},
		{"TransfersAreAtomic", testTransfers},
		{"ScanIsOneMoment", testScanMoment},
		{"Linearizable", testLinearizable},
		{"Model", testModel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

func open(t testing.TB, opener Opener) update.Store {
	t.Helper()
	s := opener(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func keys(names ...string) [][]byte {
	out := make([][]byte, len(names))
	for i, name := range names {
		out[i] = []byte(name)
	}
	return out
}

func put(key, value string) update.Write { return update.Write{Key: []byte(key), Value: []byte(value)} }
func remove(key string) update.Write     { return update.Write{Key: []byte(key)} }
func at(key string, v update.Version) update.Condition {
	return update.Condition{Key: []byte(key), Version: v}
}

func get(t testing.TB, s update.Store, names ...string) []update.Row {
	t.Helper()
	rows, err := s.Get(t.Context(), keys(names...))
	if err != nil {
		t.Fatalf("Get(%q): %v", names, err)
	}
	if len(rows) != len(names) {
		t.Fatalf("Get(%q): %d rows", names, len(rows))
	}
	return rows
}

func scan(t testing.TB, s update.Store, from, to []byte, limit int) []update.Row {
	t.Helper()
	rows, err := s.Scan(t.Context(), from, to, limit)
	if err != nil {
		t.Fatalf("Scan(%q, %q, %d): %v", from, to, limit, err)
	}
	return rows
}

func commit(t testing.TB, s update.Store, conditions []update.Condition, writes ...update.Write) update.Version {
	t.Helper()
	v, err := s.Commit(t.Context(), conditions, writes)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if len(writes) > 0 && v == 0 {
		t.Fatal("Commit returned version 0")
	}
	return v
}

func conflict(t testing.TB, s update.Store, conditions []update.Condition, writes ...update.Write) {
	t.Helper()
	if _, err := s.Commit(t.Context(), conditions, writes); !errors.Is(err, update.ErrConflict) {
		t.Fatalf("Commit: got %v, want ErrConflict", err)
	}
}

// same compares rows to the letter: nil and empty values differ.
func same(t testing.TB, what string, got, want []update.Row) {
	t.Helper()
	exact := cmp.Comparer(func(a, b update.Row) bool {
		return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil) && a.Version == b.Version
	})
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, got, exact); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func row(key, value string, v update.Version) update.Row {
	return update.Row{Key: []byte(key), Value: []byte(value), Version: v}
}

func absent(key string) update.Row { return update.Row{Key: []byte(key)} }
