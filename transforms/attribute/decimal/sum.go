package decimal

import "math/bits"

// Sum is a total of decimals. It has 192 bits, so that 2^64 of them cannot overflow it on the way: whether a total fits into a
// Decimal depends on the total alone, never on the order of adding. The zero Sum is 0.
type Sum struct{ hi, mid, lo uint64 }

// Add returns s + d.
func (s Sum) Add(d Decimal) Sum {
	return s.Merge(Sum{hi: uint64(d.hi >> 63), mid: uint64(d.hi), lo: d.lo})
}

// Merge returns s + t.
func (s Sum) Merge(t Sum) Sum {
	lo, c := bits.Add64(s.lo, t.lo, 0)
	mid, c := bits.Add64(s.mid, t.mid, c)
	hi, _ := bits.Add64(s.hi, t.hi, c)
	return Sum{hi, mid, lo}
}

// Decimal returns the total, or false when it does not fit.
func (s Sum) Decimal() (Decimal, bool) {
	d := Decimal{int64(s.mid), s.lo}
	if s.hi != uint64(d.hi>>63) || !d.valid() {
		return Decimal{}, false
	}
	return d, true
}

// AppendBinary appends the shortest two's complement form, big endian: 1 to 24 bytes.
func (s Sum) AppendBinary(dst []byte) []byte {
	n := 24
	for ; n > 1; n-- {
		top, next := s.byteAt(n-1), s.byteAt(n-2)
		if !(top == 0 && next < 0x80 || top == 0xff && next >= 0x80) {
			break
		}
	}
	for n--; n >= 0; n-- {
		dst = append(dst, s.byteAt(n))
	}
	return dst
}

// byteAt returns byte i, where 0 is the lowest.
func (s Sum) byteAt(i int) byte {
	switch {
	case i < 8:
		return byte(s.lo >> (8 * i))
	case i < 16:
		return byte(s.mid >> (8 * (i - 8)))
	}
	return byte(s.hi >> (8 * (i - 16)))
}

// SumFromBinary returns the total whose AppendBinary wrote exactly b.
func SumFromBinary(b []byte) (Sum, error) {
	if len(b) == 0 || len(b) > 24 {
		return Sum{}, ErrEncoding
	}
	if len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		return Sum{}, ErrEncoding // a shorter form exists
	}
	var s Sum
	if b[0] >= 0x80 {
		s = Sum{^uint64(0), ^uint64(0), ^uint64(0)}
	}
	for _, x := range b {
		s.hi = s.hi<<8 | s.mid>>56
		s.mid = s.mid<<8 | s.lo>>56
		s.lo = s.lo<<8 | uint64(x)
	}
	return s, nil
}

// Quotient returns the total divided by a number that is not zero, rounded half away from zero; false when it does not fit.
func (s Sum) Quotient(n uint64) (Decimal, bool) {
	negative := int64(s.hi) < 0
	if negative {
		s = s.negated()
	}
	var q Sum
	var rest uint64
	q.hi, rest = s.hi/n, s.hi%n
	q.mid, rest = bits.Div64(rest, s.mid, n)
	q.lo, rest = bits.Div64(rest, s.lo, n)
	if rest >= n-rest {
		q = q.Merge(Sum{lo: 1})
	}
	if negative {
		q = q.negated()
	}
	return q.Decimal()
}

func (s Sum) negated() Sum {
	lo, borrow := bits.Sub64(0, s.lo, 0)
	mid, borrow := bits.Sub64(0, s.mid, borrow)
	hi, _ := bits.Sub64(0, s.hi, borrow)
	return Sum{hi, mid, lo}
}
