// Package attributetest checks that an accumulator keeps the laws that make attributes independent of order: in go a kind and a
// generator of what it observes, out comes a passed or failed test. Authors of custom kinds call Laws in a test of their own.
package attributetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"pgregory.net/rapid"
)

// Observations returns a generator of observations of the given values whose orders often collide: equal times, equal sequence
// numbers, even equal IDs. Times lie within two days from 2010-12-01 on, many of them close together.
func Observations(values *rapid.Generator[accumulator.Value]) *rapid.Generator[accumulator.Observation] {
	const day = 24 * 60 * 60 * 1000
	times := rapid.OneOf(rapid.Int64Range(0, 2*day), rapid.Int64Range(0, 100), rapid.Int64Range(0, 60*60*1000))
	ids := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "", "018f2b7a-41b5-7c3e-9d10-0a1b2c3d4e5f"}), rapid.StringMatching(`[a-f0-9]{1,8}`),
		rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`))
	return rapid.Custom(func(t *rapid.T) accumulator.Observation {
		return accumulator.Observation{
			Order: event.Order{
				Time: 1291161600000 + times.Draw(t, "time"),
				Seq:  rapid.Uint64Range(0, 2).Draw(t, "seq"),
				ID:   ids.Draw(t, "id"),
			},
			Value: values.Draw(t, "value"),
		}
	})
}

// Laws checks with random observations that the kind's accumulator is a commutative monoid with one form per multiset: any order of
// adding, any split, any tree of merges gives the same bytes, which Check accepts and Result reads; that inputs stay unchanged;
// and that damaged bytes do not make it panic. Observations that the accumulator refuses are left out.
func Laws(t *testing.T, kind accumulator.Kind, spec accumulator.Spec, observations *rapid.Generator[accumulator.Observation]) {
	t.Helper()
	l := laws{kind.Accumulator, spec}
	rapid.Check(t, func(t *rapid.T) {
		all := l.accepted(t, rapid.SliceOfN(observations, 1, 60).Draw(t, "observations"))
		whole := l.fold(t, all)
		if len(all) == 0 {
			l.result(t, nil)
			return
		}
		if err := l.acc.Check(whole); err != nil {
			t.Fatalf("Check refuses what Add wrote (% x): %v", whole, err)
		}
		l.result(t, whole)
		same := func(what string, got []byte) {
			if !bytes.Equal(got, whole) {
				t.Fatalf("%s gives % x, adding in the order of drawing gives % x", what, got, whole)
			}
		}
		shuffled := rapid.Permutation(all).Draw(t, "shuffled")
		same("another order", l.fold(t, shuffled))

		i := rapid.IntRange(0, len(all)).Draw(t, "i")
		j := rapid.IntRange(i, len(all)).Draw(t, "j")
		a, b, c := l.fold(t, shuffled[:i]), l.fold(t, shuffled[i:j]), l.fold(t, shuffled[j:])
		same("(a+b)+c", l.merge(t, l.merge(t, a, b), c))
		same("a+(b+c)", l.merge(t, a, l.merge(t, b, c)))
		same("(c+b)+a", l.merge(t, l.merge(t, c, b), a))
		same("(a+c)+b", l.merge(t, l.merge(t, a, c), b))
		grown := l.merge(t, a, b)
		for _, o := range shuffled[j:] {
			grown = l.add(t, grown, o)
		}
		same("adding to merged states", grown)

		l.timed(t, whole)
		l.damaged(t, whole, all[0])
	})
}

// timed checks that an answer changes by time alone at no earlier moment than the accumulator says.
func (l laws) timed(t *rapid.T, state []byte) {
	acc, ok := l.acc.(accumulator.Timed)
	now := 1291161600000 + rapid.Int64Range(0, 4*24*60*60*1000).Draw(t, "now")
	later := now + rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, 60*60*1000), rapid.Int64Range(0, 40*24*60*60*1000)).Draw(t, "later")
	if ok {
		next, err := acc.Next(state, l.spec, now)
		if err != nil || next != 0 && next <= now {
			t.Fatalf("Next of % x at %d is %d, %v", state, now, next, err)
		}
		if next != 0 {
			later = min(later, next-1)
		}
	}
	before, err := l.acc.Result(state, l.spec, now)
	if err != nil {
		t.Fatal(err)
	}
	after, err := l.acc.Result(state, l.spec, later)
	if err != nil || !before.Value.Equal(after.Value) || before.Overflow != after.Overflow {
		t.Fatalf("Result of % x is %v at %d and %v, %v at %d, in between it should not change by time alone", state, before, now, after, err, later)
	}
}

type laws struct {
	acc  accumulator.Accumulator
	spec accumulator.Spec
}

// prefix stands for what is already in the buffer that an accumulator appends to.
var prefix = []byte("before")

// accepted returns the observations that are not refused, which must not depend on the state.
func (l laws) accepted(t *rapid.T, all []accumulator.Observation) (kept []accumulator.Observation) {
	var refused *accumulator.Violation
	for _, o := range all {
		if _, err := l.acc.Add(nil, nil, l.spec, o); !errors.As(err, &refused) {
			kept = append(kept, o)
		}
	}
	return kept
}

func (l laws) fold(t *rapid.T, all []accumulator.Observation) (state []byte) {
	for _, o := range all {
		state = l.add(t, state, o)
	}
	return state
}

func (l laws) add(t *rapid.T, state []byte, o accumulator.Observation) []byte {
	before := slices.Clone(state)
	out, err := l.acc.Add(slices.Clone(prefix), state, l.spec, o)
	if !bytes.Equal(before, state) {
		t.Fatalf("Add changed the state it was given from % x to % x", before, state)
	}
	if errors.Is(err, accumulator.ErrUnchanged) && len(state) > 0 {
		return state
	}
	return l.appended(t, "Add", out, err)
}

func (l laws) merge(t *rapid.T, a, b []byte) []byte {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	beforeA, beforeB := slices.Clone(a), slices.Clone(b)
	out, err := l.acc.Merge(slices.Clone(prefix), a, b)
	if !bytes.Equal(beforeA, a) || !bytes.Equal(beforeB, b) {
		t.Fatalf("Merge changed a state it was given")
	}
	return l.appended(t, "Merge", out, err)
}

func (l laws) appended(t *rapid.T, what string, out []byte, err error) []byte {
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	state, ok := bytes.CutPrefix(out, prefix)
	if !ok {
		t.Fatalf("%s did not append to what it was given", what)
	}
	if len(state) == 0 {
		t.Fatalf("%s wrote an empty state, which means that nothing was observed", what)
	}
	return state
}

func (l laws) result(t *rapid.T, state []byte) {
	now := 1291161600000 + rapid.Int64Range(0, 4*24*60*60*1000).Draw(t, "now")
	r, err := l.acc.Result(state, l.spec, now)
	if err != nil {
		t.Fatalf("Result of % x: %v", state, err)
	}
	again, err := l.acc.Result(state, l.spec, now)
	if err != nil || !r.Value.Equal(again.Value) || r.Overflow != again.Overflow || r.Approximate != again.Approximate {
		t.Fatalf("Result of % x is %v at first, then %v, %v", state, r, again, err)
	}
}

// damaged feeds changed bytes to every method: errors are fine, panics are not, and what Check accepts must be readable.
func (l laws) damaged(t *rapid.T, state []byte, o accumulator.Observation) {
	bad := slices.Clone(state)
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= rapid.Byte().Draw(t, "flip")
	}
	bad = bad[:rapid.IntRange(1, len(bad)).Draw(t, "length")]
	_, _ = l.acc.Add(nil, bad, l.spec, o)
	_, _ = l.acc.Merge(nil, bad, state)
	_, _ = l.acc.Merge(nil, state, bad)
	if timed, ok := l.acc.(accumulator.Timed); ok {
		_, _ = timed.Next(bad, l.spec, 1291161600000)
	}
	_, resultErr := l.acc.Result(bad, l.spec, 1291161600000)
	if err := l.acc.Check(bad); err != nil && !errors.Is(err, accumulator.ErrDamaged) {
		t.Fatalf("Check of % x: %v does not wrap ErrDamaged", bad, err)
	} else if err == nil && resultErr != nil {
		t.Fatalf("Check accepts % x, Result does not: %v", bad, resultErr)
	}
}
