package attribute

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"strings"
)

// register keeps the value of the first event when sign is -1, of the last one when it is 1. Events that compare equal (one event
// counted twice) with different values keep the lesser or greater value.
//
// Its state is the order of the event (time as varint, sequence as uvarint, event ID) and then the value as AppendValue writes it,
// numbers always as decimals. An event ID begins with a zero byte and goes on with 16 bytes when it is a UUID in lower case;
// else it begins with its length + 1 as an uvarint.
type register struct{ sign int }

// entry is the decoded state. ID and value stay encoded, as they matter only when all before them is equal.
type entry struct {
	time  int64
	seq   uint64
	id    []byte // raw text, or 16 bytes of a UUID
	uuid  bool
	value []byte
}

func readEntry(state []byte) (entry, error) {
	r := reader{b: state}
	e := entry{time: r.varint(), seq: r.uvarint()}
	if n := r.uvarint(); n == 0 {
		e.uuid = true
		e.id = r.bytes(16)
	} else {
		e.id = r.bytes(n - 1)
		var packed [16]byte
		if len(e.id) == 36 && packUUID(&packed, string(e.id)) {
			r.fail() // there is a shorter form
		}
	}
	e.value = r.b
	if t := r.skipValue(); t == Null || t == Integer {
		r.fail()
	}
	return e, r.done()
}

func (e entry) decodeValue() (Value, error) {
	v, _, err := DecodeValue(e.value)
	return v, err
}

func (e entry) append(dst []byte) []byte {
	dst = binary.AppendVarint(dst, e.time)
	dst = binary.AppendUvarint(dst, e.seq)
	if e.uuid {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(e.id))+1)
	}
	return append(append(dst, e.id...), e.value...)
}

func (e entry) compare(f entry) int {
	if c := cmp.Compare(e.time, f.time); c != 0 {
		return c
	}
	if c := cmp.Compare(e.seq, f.seq); c != 0 {
		return c
	}
	if e.uuid == f.uuid {
		if c := bytes.Compare(e.id, f.id); c != 0 {
			return c
		}
	} else if c := strings.Compare(e.idText(), f.idText()); c != 0 {
		return c
	}
	v, _ := e.decodeValue() // both have been checked
	w, _ := f.decodeValue()
	return v.Compare(w)
}

func (e entry) idText() string {
	if !e.uuid {
		return string(e.id)
	}
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i, c := range e.id {
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
	e := entry{time: o.Order.Time, seq: o.Order.Seq, value: AppendValue(buf[:0], v)}
	if e.uuid = packUUID(&packed, o.Order.ID); e.uuid {
		e.id = packed[:]
	} else {
		e.id = []byte(o.Order.ID)
	}
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

// Result implements Accumulator.
func (x register) Result(state []byte, _ Spec, _ int64) (Result, error) {
	if len(state) == 0 {
		return Result{}, nil
	}
	e, err := readEntry(state)
	if err != nil {
		return Result{}, err
	}
	v, err := e.decodeValue()
	return Result{Value: v}, err
}

// Check implements Accumulator.
func (x register) Check(state []byte) error {
	_, err := readEntry(state)
	return err
}

// moment keeps the order time of the first event when sign is -1, of the last one when it is 1. Its state is a varint.
type moment struct{ sign int }

func readTime(state []byte) (int64, error) {
	r := reader{b: state}
	t := r.varint()
	return t, r.done()
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
