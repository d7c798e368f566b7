package accumulator

import (
	"cmp"
	"encoding/binary"
	"time"
)

// register keeps the value of the first event when sign is -1, of the last one when it is 1. Events that compare equal (one event
// counted twice) with different values keep the lesser or greater value.
//
// Its state is the order of the event and then the value as AppendValue writes it, numbers always as decimals.
type register struct{ sign int }

// entry is the decoded state. The value stays encoded, as it matters only when all before it is equal.
type entry struct {
	orderKey
	value []byte
}

func readEntry(state []byte) (entry, error) {
	r := Reader{b: state}
	e := entry{orderKey: r.order()}
	e.value = r.b
	if t := r.skipValue(); t == Null || t == Integer {
		r.Fail()
	}
	return e, r.Done()
}

func (e entry) decodeValue() (Value, error) {
	v, _, err := DecodeValue(e.value)
	return v, err
}

func (e entry) append(dst []byte) []byte { return append(e.orderKey.append(dst), e.value...) }

func (e entry) compare(f entry) int {
	if c := e.orderKey.compare(f.orderKey); c != 0 {
		return c
	}
	v, _ := e.decodeValue() // both have been checked
	w, _ := f.decodeValue()
	return v.Compare(w)
}

// Add implements Accumulator.
func (x register) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	v := o.Value
	switch v.Type() {
	case Null:
		return dst, Refuse(WrongType, "null, where a value is needed")
	case Integer:
		d, _ := v.Decimal()
		v = DecimalValue(d)
	}
	var buf [64]byte
	var packed [16]byte
	e := entry{newOrderKey(&packed, o.Order), AppendValue(buf[:0], v)}
	if len(state) > 0 {
		old, err := readEntry(state)
		if err != nil {
			return dst, err
		}
		if e.compare(old) != x.sign {
			return dst, ErrUnchanged
		}
	}
	return e.append(dst), nil
}

// Merge implements Accumulator.
func (x register) Merge(dst, a, b []byte) ([]byte, error) {
	e, err := readEntry(a)
	if err != nil {
		return dst, err
	}
	f, err := readEntry(b)
	if err != nil {
		return dst, err
	}
	if f.compare(e) == x.sign {
		a = b
	}
	return append(dst, a...), nil
}

// Result implements Accumulator. With a window, which only the last value has here, it holds for that long.
func (x register) Result(state []byte, spec Spec, now int64) (Result, error) {
	if len(state) == 0 {
		return Result{}, nil
	}
	e, err := readEntry(state)
	if err != nil {
		return Result{}, err
	}
	if x.sign > 0 && e.time < spec.from(now) {
		return Result{}, nil
	}
	v, err := e.decodeValue()
	return Result{Value: v}, err
}

// Next implements Timed: the last value holds for the window.
func (x register) Next(state []byte, spec Spec, now int64) (int64, error) {
	if x.sign < 0 || spec.Window == 0 || len(state) == 0 {
		return 0, nil
	}
	e, err := readEntry(state)
	if err != nil {
		return 0, err
	}
	return earlier(spec.leaves(e.time, now), 0, now), nil
}

// Check implements Accumulator.
func (x register) Check(state []byte) error {
	_, err := readEntry(state)
	return err
}

// moment keeps the order time of the first event when sign is -1, of the last one when it is 1. Its state is a varint.
type moment struct{ sign int }

func readTime(state []byte) (int64, error) {
	r := Reader{b: state}
	t := r.Varint()
	return t, r.Done()
}

// Add implements Accumulator.
func (x moment) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	if len(state) > 0 {
		old, err := readTime(state)
		if err != nil {
			return dst, err
		}
		if cmp.Compare(o.Order.Time, old) != x.sign {
			return dst, ErrUnchanged
		}
	}
	return binary.AppendVarint(dst, o.Order.Time), nil
}

// Merge implements Accumulator.
func (x moment) Merge(dst, a, b []byte) ([]byte, error) {
	t, err := readTime(a)
	if err != nil {
		return dst, err
	}
	u, err := readTime(b)
	if err != nil {
		return dst, err
	}
	if cmp.Compare(u, t) == x.sign {
		t = u
	}
	return binary.AppendVarint(dst, t), nil
}

// Result implements Accumulator.
func (x moment) Result(state []byte, _ Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return Result{}, nil
	}
	t, err := readTime(state)
	return Result{Value: TimeValue(t)}, err
}

// Check implements Accumulator.
func (x moment) Check(state []byte) error {
	_, err := readTime(state)
	return err
}

// since answers how long ago the first or last event was, in whole units; null before it. It never answers less than 0.
type since struct{ moment }

// Result implements Accumulator.
func (x since) Result(state []byte, spec Spec, now int64) (Result, error) {
	if len(state) == 0 {
		return Result{}, nil
	}
	t, err := readTime(state)
	if err != nil {
		return Result{}, err
	}
	return Result{Value: IntegerValue(max(now-t, 0) / spec.unit(24*time.Hour))}, nil
}

// unit returns the unit in milliseconds.
func (s Spec) unit(byDefault time.Duration) int64 {
	return cmp.Or(s.Unit, byDefault).Milliseconds()
}

// Next implements Timed: another unit is over.
func (x since) Next(state []byte, spec Spec, now int64) (int64, error) {
	if len(state) == 0 {
		return 0, nil
	}
	t, err := readTime(state)
	if err != nil {
		return 0, err
	}
	unit := spec.unit(24 * time.Hour)
	return t + (max(now-t, 0)/unit+1)*unit, nil
}
