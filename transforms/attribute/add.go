package attribute

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/braidhq/braid/transforms/attribute/decimal"
	"github.com/braidhq/braid/transforms/event"
	"github.com/tidwall/gjson"
)

// Reason says why a value did not count.
type Reason string

// The reasons of violations.
const (
	WrongType  Reason = "wrong_type"   // another type than the kind takes
	TooLong    Reason = "too_long"     // a text longer than Limits.ValueBytes
	OutOfRange Reason = "out_of_range" // a number that the kind cannot hold
)

// Violation tells that an event matched a definition, yet its value did not fit and was left out. It never holds the value itself.
type Violation struct {
	Attribute string // name of the definition
	Reason    Reason
	Detail    string // what was found, what is needed, where
}

// Error says which attribute it is about and what is wrong.
func (v *Violation) Error() string {
	return fmt.Sprintf("attribute %q: %s: %s", v.Attribute, v.Reason, v.Detail)
}

// Refuse returns the error with which an Accumulator turns down an observation; detail does not repeat the value.
func Refuse(reason Reason, detail string) error { return &Violation{Reason: reason, Detail: detail} }

// ErrUnchanged is what Accumulator.Add may return instead of a copy of state when the observation changes nothing.
var ErrUnchanged = errors.New("nothing changed")

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
func (s *Set) Add(states States, e *event.Event, matched []int) (States, []Violation, error) {
	if !slices.ContainsFunc(matched, func(m int) bool { return len(s.fedBy(m)) > 0 }) {
		return states, nil, nil
	}
	work := scratches.Get().(*scratch)
	defer scratches.Put(work)
	work.buf, work.folds = work.buf[:0], work.folds[:0]
	var violations []Violation
	added := 0
	var path string // the field looked up last: definitions over one field follow each other
	var field Value
	var fieldErr error
	for _, m := range matched {
		for _, c := range s.fedBy(m) {
			o := Observation{Order: e.Order, Value: c.constant}
			err := error(nil)
			if c.path != "" {
				if c.path != path {
					path = c.path
					field, fieldErr = valueOf(e.Field(path), s.limits.ValueBytes)
				}
				o.Value, err = field, fieldErr
				if err == nil && field.IsNull() {
					continue
				}
			}
			var body []byte
			from := len(work.buf)
			if err == nil {
				if body, err = c.find(states); err != nil {
					return states, nil, &StateError{Hash: c.hash, Err: err}
				}
				buf := c.kind.appendHeader(work.buf)
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
			case err == ErrUnchanged:
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
func (s *Set) fedBy(event int) []*compiled {
	if event < 0 || event >= len(s.byEvent) {
		return nil
	}
	return s.byEvent[event]
}

// violation completes the report about a refused value; nil when err is something else.
func (c *compiled) violation(err error) *Violation {
	var v *Violation
	if !errors.As(err, &v) {
		return nil
	}
	detail := v.Detail
	if c.path != "" {
		detail = c.path + ": " + detail
	}
	return &Violation{Attribute: c.Name, Reason: v.Reason, Detail: detail}
}

// valueOf returns the scalar that a field holds; null when it is absent. The error is a *Violation.
func valueOf(r gjson.Result, limit int) (Value, error) {
	switch r.Type {
	case gjson.Null:
		return Value{}, nil
	case gjson.True, gjson.False:
		return BoolValue(r.Type == gjson.True), nil
	case gjson.String:
		if len(r.Str) > limit {
			return Value{}, Refuse(TooLong, "a text of "+strconv.Itoa(len(r.Str))+" bytes, the limit is "+strconv.Itoa(limit))
		}
		return TextValue(r.Str), nil
	case gjson.Number:
		d, err := decimal.Parse(r.Raw)
		switch {
		case err == nil:
			return DecimalValue(d), nil
		case errors.Is(err, decimal.ErrRange):
			return Value{}, Refuse(OutOfRange, "a number with "+err.Error())
		}
		return Value{}, Refuse(WrongType, err.Error())
	}
	if r.IsArray() {
		return Value{}, Refuse(WrongType, "an array, where one value is needed")
	}
	return Value{}, Refuse(WrongType, "an object, where one value is needed")
}
