package accumulator

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// maxTop is how many different values are counted.
const maxTop = 256

// top counts how often each value came. Up to maxTop different values are all there are; of more, those with the least hashes (XXH64 of
// their canonical JSON) are kept, each with its exact count, and the answer says overflow: it is the top of a fair sample. Which hashes
// are the least depends on the set of values only, and a value once left out never comes back.
//
// In bytes: uvarint values*2, + 1 when some are left out; then by ascending hash the value, numbers always as decimals, and its count as
// an uvarint.
type top struct{}

type tally struct {
	value []byte // encoded
	count uint64
	hash  uint64 // set when it is needed
}

type tallies struct {
	gone bool
	all  []tally
}

func hashOf(value []byte) uint64 {
	v, _, _ := DecodeValue(value) // it was checked
	var buf [512]byte
	return xxhash.Sum64(v.AppendJSON(buf[:0]))
}

func readTallies(state []byte, buf []tally) (tallies, error) {
	r := Reader{b: state}
	flagged := r.Uvarint()
	n := flagged >> 1
	t := tallies{gone: flagged&1 == 1, all: buf}
	if n == 0 || n > maxTop || t.gone && n < maxTop {
		return t, ErrDamaged
	}
	for range n {
		from := r.b
		if typ := r.skipValue(); typ == Null || typ == Integer || typ == Time {
			r.Fail()
		}
		e := tally{value: from[:len(from)-len(r.b)]}
		e.count = r.Uvarint()
		if r.bad || e.count == 0 || e.count > math.MaxInt64 {
			return t, ErrDamaged
		}
		t.all = append(t.all, e)
	}
	return t, r.Done()
}

func (t *tallies) append(dst []byte) []byte {
	if len(t.all) > maxTop {
		t.all, t.gone = t.all[:maxTop], true
	}
	head := uint64(len(t.all)) << 1
	if t.gone {
		head |= 1
	}
	dst = binary.AppendUvarint(dst, head)
	for _, e := range t.all {
		dst = append(dst, e.value...)
		dst = binary.AppendUvarint(dst, e.count)
	}
	return dst
}

func compareHash(a, b tally) int {
	if c := cmp.Compare(a.hash, b.hash); c != 0 {
		return c
	}
	return bytes.Compare(a.value, b.value)
}

func (t *tallies) hashed() []tally {
	for i := range t.all {
		t.all[i].hash = hashOf(t.all[i].value)
	}
	return t.all
}

// Add implements Accumulator.
func (top) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	v := o.Value
	switch v.Type() {
	case Null, Time, List:
		return dst, Refuse(WrongType, "a "+v.Type().String()+", where a text, number or bool is needed")
	case Integer:
		d, _ := v.Decimal()
		v = DecimalValue(d)
	}
	var buf [64]byte
	e := tally{value: AppendValue(buf[:0], v), count: 1}
	if len(state) == 0 {
		t := tallies{all: []tally{e}}
		return t.append(dst), nil
	}
	var room [32]tally
	t, err := readTallies(state, room[:0])
	if err != nil {
		return dst, err
	}
	if i := slices.IndexFunc(t.all, func(o tally) bool { return bytes.Equal(o.value, e.value) }); i >= 0 {
		t.all[i].count = addCapped(t.all[i].count, 1)
		return t.append(dst), nil
	}
	e.hash = hashOf(e.value)
	i, _ := slices.BinarySearchFunc(t.hashed(), e, compareHash)
	if i == maxTop && t.gone {
		return dst, ErrUnchanged
	}
	t.all = slices.Insert(t.all, i, e)
	return t.append(dst), nil
}

// Merge implements Accumulator.
func (top) Merge(dst, a, b []byte) ([]byte, error) {
	s, err := readTallies(a, nil)
	if err != nil {
		return dst, err
	}
	t, err := readTallies(b, nil)
	if err != nil {
		return dst, err
	}
	u := tallies{gone: s.gone || t.gone, all: slices.Concat(s.hashed(), t.hashed())}
	slices.SortFunc(u.all, compareHash)
	n := 0
	for _, e := range u.all {
		if n > 0 && bytes.Equal(u.all[n-1].value, e.value) {
			u.all[n-1].count = addCapped(u.all[n-1].count, e.count)
			continue
		}
		u.all[n] = e
		n++
	}
	u.all = u.all[:n]
	return u.append(dst), nil
}

// ranked returns values and counts, the most frequent first; of equal ones the lesser value.
func ranked(state []byte) (values []Value, counts []uint64, gone bool, err error) {
	t, err := readTallies(state, nil)
	if err != nil {
		return nil, nil, false, err
	}
	type pair struct {
		Value
		count uint64
	}
	pairs := make([]pair, len(t.all))
	for i, e := range t.all {
		if pairs[i].Value, _, err = DecodeValue(e.value); err != nil {
			return nil, nil, false, err
		}
		pairs[i].count = e.count
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := cmp.Compare(b.count, a.count); c != 0 {
			return c
		}
		return a.Value.Compare(b.Value)
	})
	for _, p := range pairs {
		values, counts = append(values, p.Value), append(counts, p.count)
	}
	return values, counts, t.gone, nil
}

// Result implements Accumulator: [{"value":"yoga","count":7}].
func (top) Result(state []byte, spec Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return Result{Value: ListValue([]byte("[]"))}, nil
	}
	values, counts, gone, err := ranked(state)
	if err != nil {
		return Result{}, err
	}
	most := spec.Items
	if most == 0 {
		most = DefaultTop
	}
	json := []byte{'['}
	for i := range min(most, len(values)) {
		if i > 0 {
			json = append(json, ',')
		}
		json = values[i].AppendJSON(append(json, `{"value":`...))
		json = IntegerValue(int64(counts[i])).AppendJSON(append(json, `,"count":`...))
		json = append(json, '}')
	}
	return Result{Value: ListValue(append(json, ']')), Overflow: gone}, nil
}

// DefaultTop is how many values a top answers by default.
const DefaultTop = 10

// Check implements Accumulator.
func (top) Check(state []byte) error {
	t, err := readTallies(state, nil)
	if err != nil {
		return err
	}
	all := t.hashed()
	for i := 1; i < len(all); i++ {
		if compareHash(all[i-1], all[i]) >= 0 {
			return ErrDamaged
		}
	}
	return nil
}

// mostFrequent answers the value that came most often; of equal ones the least. Its states are those of top.
type mostFrequent struct{ top }

// Result implements Accumulator.
func (mostFrequent) Result(state []byte, _ Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return Result{}, nil
	}
	values, _, gone, err := ranked(state)
	if err != nil {
		return Result{}, err
	}
	return Result{Value: values[0], Overflow: gone}, nil
}
