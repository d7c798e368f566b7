package shop

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// object appends the members of JSON objects and the items of arrays; it sets the commas.
type object struct{ b []byte }

func (o *object) comma() {
	if n := len(o.b); n > 0 && o.b[n-1] != '{' && o.b[n-1] != '[' {
		o.b = append(o.b, ',')
	}
}

// name begins a member.
func (o *object) name(name string) {
	o.comma()
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	o.b = gjson.AppendJSONString(o.b, value)
}

func (o *object) integer(name string, value int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) money(name string, value Pence) {
	o.name(name)
	o.b = value.append(o.b)
}

// open begins an object or an array: as a member, or as an item when it has no name.
func (o *object) open(name string, bracket byte) {
	if name == "" {
		o.comma()
	} else {
		o.name(name)
	}
	o.b = append(o.b, bracket)
}

func (o *object) close(bracket byte) { o.b = append(o.b, bracket) }

// uuid writes 122 of the bits as a UUID of version 8.
func uuid(a, b uint64) string {
	const digits = "0123456789abcdef"
	a = a&^0xf000 | 0x8000
	b = b&^(3<<62) | 2<<62
	var t [36]byte
	for i, at := 0, 0; i < 32; i, at = i+1, at+1 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			t[at] = '-'
			at++
		}
		half, shift := a, 60-4*i
		if i >= 16 {
			half, shift = b, 60-4*(i-16)
		}
		t[at] = digits[half>>shift&15]
	}
	return string(t[:])
}
