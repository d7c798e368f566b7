// Package decimal is the exact number of attributes: a signed integer of 128 bits that counts billionths, what ClickHouse calls
// Decimal(38, 9). In goes the text of a JSON number, out comes its shortest decimal text; nothing passes through a float.
package decimal

import (
	"cmp"
	"errors"
	"math/bits"
	"strconv"
)

// Digits is the number of digits kept after the decimal point.
const Digits = 9

const scale = 1_000_000_000

// Errors of Parse and of the binary decoders.
var (
	// ErrSyntax says that a text is not a JSON number.
	ErrSyntax = errors.New("not a JSON number")
	// ErrRange says that a number has more than 29 digits before the decimal point.
	ErrRange = errors.New("more than 29 digits before the decimal point")
	// ErrEncoding says that bytes are not the binary form of a number.
	ErrEncoding = errors.New("damaged binary number")
)

// Decimal is a number of at most 29 digits before and 9 after the decimal point. The zero Decimal is 0. Decimals may be compared
// with ==.
type Decimal struct {
	hi int64
	lo uint64
}

// limit is 10^38: every Decimal lies strictly between -limit and limit.
var limit = uint128{0x4b3b4ca85a86c47a, 0x098a224000000000}

type uint128 struct{ hi, lo uint64 }

func (u uint128) less(v uint128) bool { return u.hi < v.hi || u.hi == v.hi && u.lo < v.lo }

// timesTenPlus returns u*10 + digit, and whether that is still below 10^38.
func (u uint128) timesTenPlus(digit uint64) (v uint128, ok bool) {
	over, hi := bits.Mul64(u.hi, 10)
	carry, lo := bits.Mul64(u.lo, 10)
	lo, c := bits.Add64(lo, digit, 0)
	hi, c2 := bits.Add64(hi, carry, c)
	v = uint128{hi, lo}
	return v, over == 0 && c2 == 0 && v.less(limit)
}

func fromMagnitude(negative bool, u uint128) Decimal {
	if negative {
		lo, borrow := bits.Sub64(0, u.lo, 0)
		hi, _ := bits.Sub64(0, u.hi, borrow)
		return Decimal{int64(hi), lo}
	}
	return Decimal{int64(u.hi), u.lo}
}

func (d Decimal) magnitude() uint128 {
	if d.hi >= 0 {
		return uint128{uint64(d.hi), d.lo}
	}
	lo, borrow := bits.Sub64(0, d.lo, 0)
	hi, _ := bits.Sub64(0, uint64(d.hi), borrow)
	return uint128{hi, lo}
}

func (d Decimal) valid() bool { return d.magnitude().less(limit) }

// FromInt returns the whole number n.
func FromInt(n int64) Decimal {
	m := uint64(n)
	if n < 0 {
		m = -m
	}
	hi, lo := bits.Mul64(m, scale)
	return fromMagnitude(n < 0, uint128{hi, lo})
}

// Compare returns -1 when d is less than e, 1 when it is greater, and 0 when both are equal.
func (d Decimal) Compare(e Decimal) int {
	if c := cmp.Compare(d.hi, e.hi); c != 0 {
		return c
	}
	return cmp.Compare(d.lo, e.lo)
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int { return d.Compare(Decimal{}) }

// Int64 returns d when it is a whole number that fits.
func (d Decimal) Int64() (int64, bool) {
	m := d.magnitude()
	if m.hi >= scale {
		return 0, false
	}
	q, r := bits.Div64(m.hi, m.lo, scale)
	switch {
	case r != 0:
		return 0, false
	case d.hi < 0 && q <= 1<<63:
		return -int64(q), true
	case d.hi >= 0 && q < 1<<63:
		return int64(q), true
	}
	return 0, false
}

// Float64 returns the float nearest to d.
func (d Decimal) Float64() float64 {
	var buf [48]byte
	f, err := strconv.ParseFloat(string(d.Append(buf[:0])), 64)
	if err != nil {
		return 0 // cannot be: Append writes a number within the range of floats
	}
	return f
}

// String returns the shortest exact text, for example "-12.5"; there is no exponent and no trailing zero.
func (d Decimal) String() string {
	var buf [48]byte
	return string(d.Append(buf[:0]))
}

// Append appends what String returns.
func (d Decimal) Append(dst []byte) []byte {
	if d.hi < 0 {
		dst = append(dst, '-')
	}
	m := d.magnitude()
	// Split into 19 digits each: below 10^38 the quotient fits.
	const e19 = 10_000_000_000_000_000_000
	q, r := bits.Div64(m.hi, m.lo, e19)
	var digits [38]byte
	for i := 37; i >= 0; i-- {
		if i == 18 {
			r = q
		}
		digits[i] = byte('0' + r%10)
		r /= 10
	}
	first := 0
	for first < 28 && digits[first] == '0' {
		first++
	}
	dst = append(dst, digits[first:29]...)
	last := 37
	for last > 28 && digits[last] == '0' {
		last--
	}
	if last > 28 {
		dst = append(append(dst, '.'), digits[29:last+1]...)
	}
	return dst
}

// MarshalJSON returns the number as a JSON number.
func (d Decimal) MarshalJSON() ([]byte, error) { return d.Append(nil), nil }

// AppendBinary appends the shortest two's complement form, big endian: 1 to 16 bytes.
func (d Decimal) AppendBinary(dst []byte) []byte {
	return Sum{hi: uint64(d.hi >> 63), mid: uint64(d.hi), lo: d.lo}.AppendBinary(dst)
}

// FromBinary returns the number whose AppendBinary wrote exactly b.
func FromBinary(b []byte) (Decimal, error) {
	s, err := SumFromBinary(b)
	if err != nil {
		return Decimal{}, err
	}
	d, ok := s.Decimal()
	if !ok {
		return Decimal{}, ErrEncoding
	}
	return d, nil
}
