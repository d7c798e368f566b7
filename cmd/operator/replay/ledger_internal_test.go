package replay

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/braidhq/braid/transforms/event"
)

// TestLedgerRemembersExactly compares the ledger with a set of pairs, over its encoding.
func TestLedgerRemembersExactly(t *testing.T) {
	reasons := []event.Reason{"a", "b", "c"}
	const most = 20
	rapid.Check(t, func(t *rapid.T) {
		l, err := readLedger("", [16]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		done := map[event.Reason][most]bool{}
		for range rapid.IntRange(0, 8).Draw(t, "runs") {
			from := rapid.Int64Range(0, most).Draw(t, "from")
			to := rapid.Int64Range(from, most).Draw(t, "to")
			chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(reasons), 0, 2, rapid.ID).Draw(t, "reasons")
			l.add(from, to, chosen)
			if len(chosen) == 0 {
				chosen = reasons
			}
			for _, r := range chosen {
				d := done[r]
				for i := from; i < to; i++ {
					d[i] = true
				}
				done[r] = d
			}
			text, err := l.encode()
			if err != nil {
				t.Fatal(err)
			}
			if l, err = readLedger(text, [16]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range reasons {
			for i, want := range done[r] {
				if l.has(int64(i), r) != want {
					t.Fatalf("%s at %d: %v, want %v in %+v", r, i, !want, want, l)
				}
			}
		}
		for i := range l.next() {
			if !l.has(i, "another") {
				t.Fatalf("next is %d, but %d is not dealt with", l.next(), i)
			}
		}
		if other, err := readLedger("", [16]byte{2}); err != nil || other.has(0, "a") {
			t.Fatal("another topic has the ledger")
		}
	})
}

func FuzzReadLedger(f *testing.F) {
	f.Add(`{"topic":"01000000000000000000000000000000","done":{"*":[[0,5]],"a":[[7,9]]}}`)
	f.Add(`{"topic":"01000000000000000000000000000000","done":{"*":[]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := readLedger(text, [16]byte{1})
		if err != nil {
			return
		}
		l.has(3, "a")
		l.add(2, 4, nil)
		if !l.has(3, "a") || l.next() < 0 {
			t.Errorf("%+v", l)
		}
	})
}
