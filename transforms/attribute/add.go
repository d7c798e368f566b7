package attribute

import (
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"github.com/braidhq/braid/transforms/event"
	"github.com/tidwall/gjson"
)

// scratch is what Add works in; it is pooled, as calls through an Accumulator make every buffer escape.
type scratch struct {
	buf   []byte
	folds []fold
}

type fold struct {
	hash     Hash
	from, to int // in scratch.buf
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Add returns states with one event folded in, where matched lists the indexes of the event definitions it matched. It does not
// change states, and returns it as it is when nothing in it changes. Values that do not fit are left out and reported. The error is
// a *StateError about a state that cannot be read; then nothing is folded.
func (s *Set) Add(states States, e *event.Event, matched []int) (States, []accumulator.Violation, error) {
	if !slices.ContainsFunc(matched, func(m int) bool { return len(s.fedBy(m)) > 0 }) {
		return states, nil, nil
	}
	work := scratches.Get().(*scratch)
	defer scratches.Put(work)
	work.buf, work.folds = work.buf[:0], work.folds[:0]
	var violations []accumulator.Violation
	added := 0
	var path string // the field looked up last: definitions over one field follow each other
	var field accumulator.Value
	var fieldErr error
	for _, m := range matched {
		for _, c := range s.fedBy(m) {
			o := accumulator.Observation{Order: e.Order, Value: c.constant}
			err := error(nil)
			if c.path != "" && c.act != accumulator.ActClear {
				if c.path != path {
					path = c.path
					field, fieldErr = valueOf(e.Field(path), s.limits.ValueBytes)
				}
				o.Value, err = field, fieldErr
				if err == nil && field.IsNull() {
					continue
				}
			}
			if o.Act = c.act; len(c.fields) > 0 && c.act == accumulator.ActPut && err == nil {
				o.Fields, err = c.values(e, s.limits.ValueBytes)
			}
			var body []byte
			from := len(work.buf)
			if err == nil {
				if body, err = c.find(states); err != nil {
					return states, nil, &StateError{Hash: c.hash, Err: err}
				}
				buf := c.kind.AppendHeader(work.buf)
				work.buf = buf[:from] // keeps what grew
				buf, err = c.kind.Accumulator.Add(buf, body, c.spec, o)
				if err == nil {
					work.buf = buf
				}
			}
			switch {
			case err == nil:
				work.folds = append(work.folds, fold{c.hash, from, len(work.buf)})
				if body == nil {
					added++
				}
			case err == accumulator.ErrUnchanged:
			default:
				v := c.violation(err)
				if v == nil {
					return states, nil, &StateError{Hash: c.hash, Err: err}
				}
				violations = append(violations, *v)
			}
		}
	}
	if len(work.folds) == 0 {
		return states, violations, nil
	}
	out := append(make(States, 0, len(states)+added), states...)
	arena := slices.Clone(work.buf)
	for _, f := range work.folds {
		st := State{Hash: f.hash, Data: arena[f.from:f.to:f.to]}
		if i, ok := out.search(f.hash); ok {
			out[i] = st
		} else {
			out = slices.Insert(out, i, st)
		}
	}
	return out, violations, nil
}

// fedBy returns the definitions that an event definition feeds.
func (s *Set) fedBy(event int) []feed {
	if event < 0 || event >= len(s.byEvent) {
		return nil
	}
	return s.byEvent[event]
}

// values returns what an event has for the fields of a list.
func (c *compiled) values(e *event.Event, limit int) ([]accumulator.Value, error) {
	values := make([]accumulator.Value, len(c.fields))
	for i, path := range c.fields {
		v, err := valueOf(e.Field(path), limit)
		var refused *accumulator.Violation
		if errors.As(err, &refused) {
			return nil, accumulator.Refuse(refused.Reason, c.Fields[i].Name+", "+refused.Detail)
		}
		values[i] = v
	}
	return values, nil
}

// violation completes the report about a refused value; nil when err is something else.
func (c *compiled) violation(err error) *accumulator.Violation {
	var v *accumulator.Violation
	if !errors.As(err, &v) {
		return nil
	}
	detail := v.Detail
	if c.path != "" {
		detail = c.path + ": " + detail
	}
	return &accumulator.Violation{Attribute: c.Name, Reason: v.Reason, Detail: detail}
}

// valueOf returns the scalar that a field holds; null when it is absent. The error is a *Violation.
func valueOf(r gjson.Result, limit int) (accumulator.Value, error) {
	switch r.Type {
	case gjson.Null:
		return accumulator.Value{}, nil
	case gjson.True, gjson.False:
		return accumulator.BoolValue(r.Type == gjson.True), nil
	case gjson.String:
		if len(r.Str) > limit {
			return accumulator.Value{}, accumulator.Refuse(accumulator.TooLong, "a text of "+strconv.Itoa(len(r.Str))+" bytes, the limit is "+strconv.Itoa(limit))
		}
		return accumulator.TextValue(r.Str), nil
	case gjson.Number:
		d, err := decimal.Parse(r.Raw)
		switch {
		case err == nil:
			return accumulator.DecimalValue(d), nil
		case errors.Is(err, decimal.ErrRange):
			return accumulator.Value{}, accumulator.Refuse(accumulator.OutOfRange, "a number with "+err.Error())
		}
		return accumulator.Value{}, accumulator.Refuse(accumulator.WrongType, err.Error())
	}
	if r.IsArray() {
		return accumulator.Value{}, accumulator.Refuse(accumulator.WrongType, "an array, where one value is needed")
	}
	return accumulator.Value{}, accumulator.Refuse(accumulator.WrongType, "an object, where one value is needed")
}
