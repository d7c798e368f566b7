package accumulator

import (
	"encoding/binary"
	"math"

	"github.com/braidhq/braid/transforms/attribute/decimal"
)

// counter adds whole numbers that are not negative; past the largest integer it stays there and says overflow. Its state is the
// total as an uvarint.
type counter struct{}

// increment returns the whole number that an observation adds.
func increment(v Value) (uint64, error) {
	n, ok := v.Int64()
	switch {
	case ok && n >= 0:
		return uint64(n), nil
	case v.Type() == Integer || v.Type() == Decimal:
		return 0, Refuse(OutOfRange, "a number that is negative, broken or too large, where counting needs a whole one of at least 0")
	}
	return 0, Refuse(WrongType, "a "+v.Type().String()+", where a number is needed")
}

// addCapped adds numbers up to the largest integer and stays there, which is commutative and associative.
func addCapped(a, b uint64) uint64 { return min(a+b, math.MaxInt64) }

func readCount(state []byte) (uint64, error) {
	r := Reader{b: state}
	n := r.Uvarint()
	if err := r.Done(); err != nil || n > math.MaxInt64 {
		return 0, ErrDamaged
	}
	return n, nil
}

func countResult(n uint64) Result {
	return Result{Value: IntegerValue(int64(n)), Overflow: n == math.MaxInt64}
}

// Add implements Accumulator.
func (counter) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	n, err := increment(o.Value)
	if err != nil {
		return dst, err
	}
	if len(state) > 0 {
		old, err := readCount(state)
		if err != nil {
			return dst, err
		}
		n = addCapped(n, old)
	}
	return binary.AppendUvarint(dst, n), nil
}

// Merge implements Accumulator.
func (counter) Merge(dst, a, b []byte) ([]byte, error) {
	n, err := readCount(a)
	if err != nil {
		return dst, err
	}
	m, err := readCount(b)
	if err != nil {
		return dst, err
	}
	return binary.AppendUvarint(dst, addCapped(n, m)), nil
}

// Result implements Accumulator.
func (counter) Result(state []byte, _ Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return countResult(0), nil
	}
	n, err := readCount(state)
	return countResult(n), err
}

// Check implements Accumulator.
func (counter) Check(state []byte) error {
	_, err := readCount(state)
	return err
}

// sum totals decimals. Its state is a decimal.Sum, which never wraps; a total that is no Decimal answers null and says overflow.
type sum struct{}

func number(v Value) (decimal.Decimal, error) {
	d, ok := v.Decimal()
	if !ok {
		return d, Refuse(WrongType, "a "+v.Type().String()+", where a number is needed")
	}
	return d, nil
}

func readSum(state []byte) (decimal.Sum, error) {
	s, err := decimal.SumFromBinary(state)
	if err != nil {
		return s, ErrDamaged
	}
	return s, nil
}

// Add implements Accumulator.
func (sum) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	d, err := number(o.Value)
	if err != nil {
		return dst, err
	}
	var s decimal.Sum
	if len(state) > 0 {
		if s, err = readSum(state); err != nil {
			return dst, err
		}
	}
	return s.Add(d).AppendBinary(dst), nil
}

// Merge implements Accumulator.
func (sum) Merge(dst, a, b []byte) ([]byte, error) {
	s, err := readSum(a)
	if err != nil {
		return dst, err
	}
	t, err := readSum(b)
	if err != nil {
		return dst, err
	}
	return s.Merge(t).AppendBinary(dst), nil
}

// Result implements Accumulator.
func (sum) Result(state []byte, _ Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return Result{Value: DecimalValue(decimal.Decimal{})}, nil
	}
	s, err := readSum(state)
	if err != nil {
		return Result{}, err
	}
	d, ok := s.Decimal()
	if !ok {
		return Result{Overflow: true}, nil
	}
	return Result{Value: DecimalValue(d)}, nil
}

// Check implements Accumulator.
func (sum) Check(state []byte) error {
	_, err := readSum(state)
	return err
}

// extreme keeps the least number when sign is -1, the greatest when it is 1. Its state is the number.
type extreme struct{ sign int }

func readDecimal(state []byte) (decimal.Decimal, error) {
	d, err := decimal.FromBinary(state)
	if err != nil {
		return d, ErrDamaged
	}
	return d, nil
}

// Add implements Accumulator.
func (x extreme) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	d, err := number(o.Value)
	if err != nil {
		return dst, err
	}
	if len(state) > 0 {
		old, err := readDecimal(state)
		if err != nil {
			return dst, err
		}
		if d.Compare(old) != x.sign {
			return dst, ErrUnchanged
		}
	}
	return d.AppendBinary(dst), nil
}

// Merge implements Accumulator.
func (x extreme) Merge(dst, a, b []byte) ([]byte, error) {
	d, err := readDecimal(a)
	if err != nil {
		return dst, err
	}
	e, err := readDecimal(b)
	if err != nil {
		return dst, err
	}
	if e.Compare(d) == x.sign {
		d = e
	}
	return d.AppendBinary(dst), nil
}

// Result implements Accumulator.
func (x extreme) Result(state []byte, _ Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return Result{}, nil
	}
	d, err := readDecimal(state)
	return Result{Value: DecimalValue(d)}, err
}

// Check implements Accumulator.
func (x extreme) Check(state []byte) error {
	_, err := readDecimal(state)
	return err
}

// average is the mean of numbers. Its state is their count as an uvarint and then their decimal.Sum; the answer is rounded to the last
// digit a decimal.Decimal has, half away from zero.
type average struct{}

func readAverage(state []byte) (n uint64, s decimal.Sum, err error) {
	r := Reader{b: state}
	if n = r.Uvarint(); r.bad || n == 0 || n > math.MaxInt64 {
		return 0, s, ErrDamaged
	}
	s, err = readSum(r.b)
	return n, s, err
}

// Add implements Accumulator.
func (average) Add(dst, state []byte, _ Spec, o Observation) ([]byte, error) {
	d, err := number(o.Value)
	if err != nil {
		return dst, err
	}
	var n uint64
	var s decimal.Sum
	if len(state) > 0 {
		if n, s, err = readAverage(state); err != nil {
			return dst, err
		}
	}
	return s.Add(d).AppendBinary(binary.AppendUvarint(dst, addCapped(n, 1))), nil
}

// Merge implements Accumulator.
func (average) Merge(dst, a, b []byte) ([]byte, error) {
	n, s, err := readAverage(a)
	if err != nil {
		return dst, err
	}
	m, t, err := readAverage(b)
	if err != nil {
		return dst, err
	}
	return s.Merge(t).AppendBinary(binary.AppendUvarint(dst, addCapped(n, m))), nil
}

// Result implements Accumulator.
func (average) Result(state []byte, _ Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return Result{}, nil
	}
	n, s, err := readAverage(state)
	if err != nil {
		return Result{}, err
	}
	d, ok := s.Quotient(n)
	if !ok {
		return Result{Overflow: true}, nil
	}
	return Result{Value: DecimalValue(d)}, nil
}

// Check implements Accumulator.
func (average) Check(state []byte) error {
	_, _, err := readAverage(state)
	return err
}
