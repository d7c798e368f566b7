package strict

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Unmarshaler is implemented by types that have more than one shape in YAML. They read the value and report what is wrong to it.
type Unmarshaler interface{ UnmarshalStrict(Value) }

// Value is a value of the file, given to an Unmarshaler.
type Value struct {
	d *Document
	n *node
}

// Kind returns the kind of the value.
func (v Value) Kind() Kind { return v.n.kind }

// Text returns a scalar as it is written, without quotes.
func (v Value) Text() string { return v.n.text }

// Path returns the place of the value.
func (v Value) Path() Path { return v.n.path }

// Decode decodes the value into a pointer by the usual rules.
func (v Value) Decode(into any) { v.d.decodeInto(v.n, into) }

// Failed reports whether an error was reported about the value or anything in it.
func (v Value) Failed() bool { return v.d.Failed(v.n.path) }

// Report adds an error about the value.
func (v Value) Report(hint, format string, args ...any) {
	v.d.report(v.n, v.n.path, hint, format, args...)
}

func (d *Document) decodeInto(n *node, v any) {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic(fmt.Sprintf("strict.Decode: %T is not a pointer", v))
	}
	d.decode(n, target.Elem())
}

func (d *Document) decode(n *node, v reflect.Value) {
	if v.CanAddr() {
		switch u := v.Addr().Interface().(type) {
		case *Secret:
			d.decodeSecret(n, u)
			return
		case Unmarshaler:
			u.UnmarshalStrict(Value{d, n})
			return
		case encoding.TextUnmarshaler:
			if n.kind != Text {
				d.mismatch(n, Text)
			} else if err := u.UnmarshalText([]byte(n.text)); err != nil {
				d.report(n, n.path, "", "%v", err)
			}
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if n.kind == Null {
			return
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.decode(n, v.Elem())
	case reflect.Struct:
		d.decodeStruct(n, v)
	case reflect.Map:
		d.decodeMap(n, v)
	case reflect.Slice:
		if n.kind != List {
			if n.kind != Null {
				d.mismatch(n, List)
			}
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
		for i, item := range n.items {
			d.decode(item, v.Index(i))
		}
	case reflect.String:
		if n.kind != Text {
			d.mismatch(n, Text)
			return
		}
		v.SetString(n.text)
	case reflect.Bool:
		if n.kind != Boolean {
			d.mismatch(n, Boolean)
			return
		}
		v.SetBool(n.text == "true")
	default:
		d.decodeNumber(n, v)
	}
}

func (d *Document) decodeNumber(n *node, v reflect.Value) {
	switch {
	case v.CanInt():
		i, err := strconv.ParseInt(n.text, 0, v.Type().Bits())
		if n.kind != Integer {
			d.mismatch(n, Integer)
		} else if err != nil {
			d.report(n, n.path, "", "%s is out of range", n.text)
		} else {
			v.SetInt(i)
		}
	case v.CanUint():
		i, err := strconv.ParseUint(n.text, 0, v.Type().Bits())
		if n.kind != Integer {
			d.mismatch(n, Integer)
		} else if err != nil {
			d.report(n, n.path, "", "%s is negative or out of range", n.text)
		} else {
			v.SetUint(i)
		}
	case v.CanFloat():
		f, err := strconv.ParseFloat(n.text, v.Type().Bits())
		if n.kind != Decimal && n.kind != Integer {
			d.mismatch(n, Decimal)
		} else if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			d.report(n, n.path, "", "%s is not a finite number", n.text)
		} else {
			v.SetFloat(f)
		}
	default:
		panic("strict.Decode: cannot decode into " + v.Type().String())
	}
}

func (d *Document) mismatch(n *node, want Kind) {
	hint := ""
	switch {
	case n.kind == Null:
		if want == Text {
			hint = "the text null needs quotes: 'null'"
		}
		d.report(n, n.path, hint, "nothing is here, %s is needed", want)
		return
	case want == Text && (n.kind == Integer || n.kind == Decimal || n.kind == Boolean):
		hint = "put it in quotes: '" + n.text + "'"
	case n.kind == Text && looksLike(n.text, want):
		hint = "write it without quotes"
	}
	if want == List && n.kind != Map {
		hint = "put it in brackets"
	}
	d.report(n, n.path, hint, "%s is needed, found %s", want, n.kind)
}

func looksLike(text string, want Kind) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && (want == Integer || want == Decimal) || want == Boolean && (text == "true" || text == "false")
}

func (d *Document) decodeMap(n *node, v reflect.Value) {
	if n.kind != Map {
		if n.kind != Null {
			d.mismatch(n, Map)
		}
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.items))
	for i, item := range n.items {
		e := reflect.New(v.Type().Elem()).Elem()
		d.decode(item, e)
		m.SetMapIndex(reflect.ValueOf(n.names[i]).Convert(v.Type().Key()), e)
	}
	v.Set(m)
}

func (d *Document) decodeStruct(n *node, v reflect.Value) {
	if n.kind != Map {
		if n.kind != Null {
			d.mismatch(n, Map)
		}
		return
	}
	fields := map[string]reflect.Value{}
	structFields(v, fields)
	for i, name := range n.names {
		field, ok := fields[name]
		if !ok {
			known := make([]string, 0, len(fields))
			for k := range fields {
				known = append(known, k)
			}
			slices.Sort(known)
			hint := Suggest(name, known)
			if hint == "" {
				hint = "known are: " + strings.Join(known, ", ")
			}
			item := n.items[i]
			d.report(&node{line: item.keyLine, column: item.keyColumn}, item.path, hint, "unknown field")
			continue
		}
		d.decode(n.items[i], field)
	}
}

// structFields collects the fields of a struct by their names in YAML, those of inlined structs too.
func structFields(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case options == "inline":
			structFields(v.Field(i), into)
		case name == "":
			into[strings.ToLower(f.Name)] = v.Field(i)
		default:
			into[name] = v.Field(i)
		}
	}
}
