package accumulator

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/braidhq/braid/transforms/attribute/decimal"
	"github.com/braidhq/braid/transforms/event"
)

// Reader takes canonical fields off the front of bytes. After the first one that is cut off or not in its shortest form, Bad stays
// true and everything reads as zero.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader returns a reader of bytes, which share memory with what it returns.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Bad reports whether anything was not well-formed.
func (r *Reader) Bad() bool { return r.bad }

// Done returns ErrDamaged unless everything was well-formed and nothing is left over.
func (r *Reader) Done() error {
	if r.bad || len(r.b) > 0 {
		return ErrDamaged
	}
	return nil
}

// Fail makes the reader bad.
func (r *Reader) Fail() {
	r.b, r.bad = nil, true
}

// Uvarint reads a number.
func (r *Reader) Uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		n := uint64(r.b[0])
		r.b = r.b[1:]
		return n
	}
	n, size := binary.Uvarint(r.b)
	if size <= 0 || r.b[size-1] == 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// Varint reads a number with a sign.
func (r *Reader) Varint() int64 {
	n := r.Uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// Bytes reads so many bytes.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.Fail()
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
	r := Reader{b: b}
	v = r.value()
	if r.bad {
		return Value{}, nil, ErrDamaged
	}
	return v, r.b, nil
}

func (r *Reader) value() Value {
	if len(r.b) == 0 {
		r.Fail()
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
		return IntegerValue(r.Varint())
	case tag == tagTime:
		n := r.Varint()
		if n < minTime || n > maxTime {
			r.Fail()
		}
		return TimeValue(n)
	case tag == tagText:
		b := r.Bytes(r.Uvarint())
		if !utf8.Valid(b) {
			r.Fail()
			return Value{}
		}
		return Value{typ: Text, text: string(b)}
	case tag > tagDecimal && tag <= tagDecimal+16:
		d, err := decimal.FromBinary(r.Bytes(uint64(tag - tagDecimal)))
		if err != nil {
			r.Fail()
		}
		return DecimalValue(d)
	}
	r.Fail()
	return Value{}
}

// skipValue reads over a value and returns its type; unlike value it makes no copy of a text.
func (r *Reader) skipValue() Type {
	if len(r.b) == 0 || r.b[0] != tagText {
		return r.value().Type()
	}
	r.b = r.b[1:]
	if !utf8.Valid(r.Bytes(r.Uvarint())) {
		r.Fail()
	}
	return Text
}

// orderKey is an event.Order within a state: time as varint, sequence as uvarint, event ID. An event ID begins with a zero byte and goes
// on with 16 bytes when it is a UUID in lower case; else it begins with its length + 1 as an uvarint.
type orderKey struct {
	time int64
	seq  uint64
	id   []byte // raw text, or 16 bytes of a UUID
	uuid bool
}

// newOrderKey uses packed for the bytes of a UUID.
func newOrderKey(packed *[16]byte, o event.Order) orderKey {
	if packUUID(packed, o.ID) {
		return orderKey{o.Time, o.Seq, packed[:], true}
	}
	return orderKey{o.Time, o.Seq, []byte(o.ID), false}
}

func (r *Reader) order() orderKey {
	k := orderKey{time: r.Varint(), seq: r.Uvarint()}
	n := r.Uvarint()
	if n == 0 {
		k.uuid = true
		k.id = r.Bytes(16)
		return k
	}
	k.id = r.Bytes(n - 1)
	var packed [16]byte
	if len(k.id) == 36 && packUUID(&packed, string(k.id)) {
		r.Fail() // there is a shorter form
	}
	return k
}

func (k orderKey) append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, k.time)
	dst = binary.AppendUvarint(dst, k.seq)
	if k.uuid {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(k.id))+1)
	}
	return append(dst, k.id...)
}

func (k orderKey) compare(l orderKey) int {
	if c := cmp.Compare(k.time, l.time); c != 0 {
		return c
	}
	if c := cmp.Compare(k.seq, l.seq); c != 0 {
		return c
	}
	if k.uuid == l.uuid {
		return bytes.Compare(k.id, l.id)
	}
	return strings.Compare(k.idText(), l.idText())
}

func (k orderKey) idText() string {
	if !k.uuid {
		return string(k.id)
	}
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i, c := range k.id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b.WriteByte('-')
		}
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// packUUID reads a UUID in lower case, the only form that its 16 bytes give back.
func packUUID(dst *[16]byte, s string) bool {
	if len(s) != 36 {
		return false
	}
	n := 0
	for i := 0; i < 36; i++ {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return false
		}
		dst[n/2] = dst[n/2]<<4 | c
		n++
	}
	return true
}
