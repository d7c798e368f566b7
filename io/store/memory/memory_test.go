package memory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/io/store/storetest"
	"github.com/braidhq/braid/transforms/update"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Opener {
		s := memory.New()
		return func(testing.TB) update.Store { return s.Reopen() }
	})
}

func TestURL(t *testing.T) {
	one, err := update.OpenStore(t.Context(), "memory:"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Commit(t.Context(), nil, []update.Write{{Key: []byte("a"), Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{t.Name(): "1", t.Name() + "other": ""} {
		s, err := update.OpenStore(t.Context(), "memory:"+name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.Get(t.Context(), [][]byte{[]byte("a")})
		if err != nil || string(rows[0].Value) != want {
			t.Errorf("memory:%s holds %q, %v, want %q", name, rows[0].Value, err, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFaults: a ledger is told that its commits failed, whether they did or not, and is whole all the same.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		fault   memory.Fault
		applied int
		want    error
	}{
		{memory.None, 5, nil},
		{memory.FailBefore, 4, memory.ErrInjected},
		{memory.FailAfter, 5, memory.ErrInjected},
		{memory.FailConflict, 4, update.ErrConflict},
	} {
		t.Run(fmt.Sprint(test.fault), func(t *testing.T) {
			s := memory.New()
			l := storetest.Ledger{}
			s.SetFault(memory.FailNth(4, test.fault))
			for range 4 {
				if _, err := l.Append(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := l.Append(t.Context(), s.Reopen()); !errors.Is(err, test.want) {
				t.Errorf("the fifth commit returned %v, want %v", err, test.want)
			}
			if n, err := l.Applied(t.Context(), s); err != nil || n != test.applied {
				t.Errorf("%d commits applied, %v, want %d", n, err, test.applied)
			}
			if _, err := l.Append(t.Context(), s); err != nil {
				t.Errorf("the sixth commit: %v", err)
			}
		})
	}
}

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, memory.New()) }
