package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/braidhq/braid/transforms/update"
)

// Ledger is a sequence of commits whose traces tell exactly how many of them took effect, and whether one did in part only. A crash
// test appends until the store dies and checks what is found after it. Prefix keeps several ledgers in one store apart.
type Ledger struct {
	Prefix string
}

const (
	ledgerSlots   = 7
	ledgerPadding = 3000
)

func (l Ledger) name(parts ...any) []byte { return []byte(l.Prefix + fmt.Sprint(parts...)) }

// Append makes the next commit and returns its number, counted from 1, with the error of the commit. After an error that does not
// wrap update.ErrConflict it may have taken effect or not.
func (l Ledger) Append(ctx context.Context, s update.Store) (int, error) {
	rows, err := s.Get(ctx, [][]byte{l.name("head")})
	if err != nil {
		return 0, err
	}
	n := number(rows[0].Value) + 1
	value := strconv.AppendInt(nil, int64(n), 10)
	padded := append(bytes.Repeat([]byte{'0'}, ledgerPadding), value...)
	_, err = s.Commit(ctx, []update.Condition{{Key: l.name("head"), Version: rows[0].Version}}, []update.Write{
		{Key: l.name("head"), Value: value},
		{Key: l.name("slot", n%ledgerSlots), Value: value},
		{Key: l.name("padded", n%3), Value: padded},
		{Key: l.name("trail", fmt.Sprintf("%09d", n)), Value: value},
		{Key: l.name("trail", fmt.Sprintf("%09d", n-1))},
	})
	return n, err
}

// Applied returns how many commits took effect, or an error that says which trace contradicts it.
func (l Ledger) Applied(ctx context.Context, s update.Store) (int, error) {
	asked := [][]byte{l.name("head")}
	for i := range ledgerSlots {
		asked = append(asked, l.name("slot", i))
	}
	for i := range 3 {
		asked = append(asked, l.name("padded", i))
	}
	rows, err := s.Get(ctx, asked)
	if err != nil {
		return 0, err
	}
	n := number(rows[0].Value)
	var wrong []error
	expect := func(r update.Row, i, every int) {
		want := n - (n-i+every)%every // the last commit up to n that is i modulo every
		if want <= 0 {
			want = 0
		}
		if number(r.Value) != want {
			wrong = append(wrong, fmt.Errorf("row %q holds commit %d, want %d", r.Key, number(r.Value), want))
		}
	}
	for i := range ledgerSlots {
		expect(rows[1+i], i, ledgerSlots)
	}
	for i := range 3 {
		expect(rows[1+ledgerSlots+i], i, 3)
	}
	trail, err := s.Scan(ctx, l.name("trail"), l.name("traim"), 10)
	if err != nil {
		return 0, err
	}
	if n > 0 && (len(trail) != 1 || number(bytes.TrimLeft(trail[0].Value, "0")) != n) || n == 0 && len(trail) > 0 {
		wrong = append(wrong, fmt.Errorf("the trail holds %d rows", len(trail)))
	}
	if len(wrong) > 0 {
		return n, fmt.Errorf("ledger %q with head %d: %w", l.Prefix, n, errors.Join(wrong...))
	}
	return n, nil
}

func testLedger(t *testing.T, opener Opener) {
	s := opener(t)
	l := Ledger{Prefix: "ledger/"}
	for want := range 40 {
		if got, err := l.Applied(t.Context(), s); err != nil || got != want {
			t.Fatalf("after %d commits: %d, %v", want, got, err)
		}
		if n, err := l.Append(t.Context(), s); err != nil || n != want+1 {
			t.Fatalf("commit %d: %d, %v", want+1, n, err)
		}
		if want%13 == 12 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = opener(t)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
