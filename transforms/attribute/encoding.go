package attribute

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/braidhq/braid/transforms/attribute/decimal"
)

// reader takes canonical fields off the front of bytes. After the first one that is cut off or not in its shortest form, bad stays
// set and everything reads as zero.
type reader struct {
	b   []byte
	bad bool
}

// done returns ErrDamaged unless everything was well-formed and nothing is left over.
func (r *reader) done() error {
	if r.bad || len(r.b) > 0 {
		return ErrDamaged
	}
	return nil
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		n := uint64(r.b[0])
		r.b = r.b[1:]
		return n
	}
	n, size := binary.Uvarint(r.b)
	if size <= 0 || r.b[size-1] == 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// Tags of values: what follows them is given beside. The length of a number is part of its tag.
const (
	tagNull    = 0
	tagFalse   = 1
	tagTrue    = 2
	tagInteger = 3    // zigzag varint
	tagTime    = 4    // zigzag varint
	tagText    = 5    // uvarint length, bytes
	tagDecimal = 0x10 // + length in bytes, 1 to 16; two's complement, big endian
)

// AppendValue appends the binary form of v, which ends by itself; DecodeValue reads it. Accumulators keep values in this form.
func AppendValue(dst []byte, v Value) []byte {
	switch v.typ {
	case Bool:
		return append(dst, tagFalse+byte(v.n))
	case Integer:
		return binary.AppendVarint(append(dst, tagInteger), v.n)
	case Time:
		return binary.AppendVarint(append(dst, tagTime), v.n)
	case Text:
		dst = binary.AppendUvarint(append(dst, tagText), uint64(len(v.text)))
		return append(dst, v.text...)
	case Decimal:
		at := len(dst)
		dst = v.dec.AppendBinary(append(dst, 0))
		dst[at] = tagDecimal + byte(len(dst)-at-1)
		return dst
	}
	return append(dst, tagNull)
}

// DecodeValue reads the value at the front of b and returns what follows it. The error wraps ErrDamaged.
func DecodeValue(b []byte) (v Value, rest []byte, err error) {
	r := reader{b: b}
	v = r.value()
	if r.bad {
		return Value{}, nil, ErrDamaged
	}
	return v, r.b, nil
}

func (r *reader) value() Value {
	if len(r.b) == 0 {
		r.fail()
		return Value{}
	}
	tag := r.b[0]
	r.b = r.b[1:]
	switch {
	case tag == tagNull:
		return Value{}
	case tag == tagFalse || tag == tagTrue:
		return BoolValue(tag == tagTrue)
	case tag == tagInteger:
		return IntegerValue(r.varint())
	case tag == tagTime:
		n := r.varint()
		if n < minTime || n > maxTime {
			r.fail()
		}
		return TimeValue(n)
	case tag == tagText:
		b := r.bytes(r.uvarint())
		if !utf8.Valid(b) {
			r.fail()
			return Value{}
		}
		return Value{typ: Text, text: string(b)}
	case tag > tagDecimal && tag <= tagDecimal+16:
		d, err := decimal.FromBinary(r.bytes(uint64(tag - tagDecimal)))
		if err != nil {
			r.fail()
		}
		return DecimalValue(d)
	}
	r.fail()
	return Value{}
}

// skipValue reads over a value and returns its type; unlike value it makes no copy of a text.
func (r *reader) skipValue() Type {
	if len(r.b) == 0 || r.b[0] != tagText {
		return r.value().Type()
	}
	r.b = r.b[1:]
	if !utf8.Valid(r.bytes(r.uvarint())) {
		r.fail()
	}
	return Text
}
