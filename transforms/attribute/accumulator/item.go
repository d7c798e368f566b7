package accumulator

import (
	"bytes"
	"slices"

	"github.com/braidhq/braid/transforms/attribute/decimal"
)

// Field is one thing that a list tells of its items.
type Field struct {
	Name string
	How  Aggregation
}

// Aggregation says how a list sums up what it was told of an item.
type Aggregation uint8

// The aggregations; their numbers are part of states.
const (
	AggregateLast     Aggregation = iota + 1 // value of the last event that has one
	AggregateFirst                           // value of the first event that has one
	AggregateSum                             // exact total
	AggregateMin                             // least number
	AggregateMax                             // greatest number
	AggregateDistinct                        // the different values, ascending
)

// Aggregations are the aggregations by name.
var Aggregations = map[string]Aggregation{
	"last": AggregateLast, "first": AggregateFirst, "sum": AggregateSum, "min": AggregateMin, "max": AggregateMax, "distinct": AggregateDistinct,
}

func (a Aggregation) numeric() bool {
	return a == AggregateSum || a == AggregateMin || a == AggregateMax
}

type listItem struct {
	value   []byte // encoded
	deleted *orderKey
	events  []listEvent // ascending
}

type listEvent struct {
	orderKey
	fields []byte // encoded values
}

func (a listEvent) compare(b listEvent) int {
	if c := a.orderKey.compare(b.orderKey); c != 0 {
		return c
	}
	return bytes.Compare(a.fields, b.fields)
}

// touched returns the greatest order of an item.
func (i listItem) touched() orderKey {
	if n := len(i.events); n > 0 {
		return *latest(i.deleted, &i.events[n-1].orderKey)
	}
	return *i.deleted
}

func (i *listItem) empty() bool { return i.deleted == nil && len(i.events) == 0 }

// cut drops what is not above a bound.
func (i *listItem) cut(bound *orderKey) {
	if bound == nil {
		return
	}
	i.events = slices.DeleteFunc(i.events, func(e listEvent) bool { return e.orderKey.compare(*bound) <= 0 })
}

// Result implements Accumulator: an object for each item, first come first, [{"id":"mat","quantity":2,"price":19.9}]. With a window, older
// events do not count. Overflow says that items were left out, or events of an item may have been.
func (list) Result(state []byte, spec Spec, now int64) (Result, error) {
	if len(state) == 0 {
		return Result{Value: ListValue([]byte("[]"))}, nil
	}
	s, err := readList(state)
	if err != nil {
		return Result{}, err
	}
	if len(s.fields) != len(spec.Fields) {
		return Result{}, ErrDamaged
	}
	r := Result{Overflow: len(s.all) > s.items}
	if r.Overflow {
		slices.SortStableFunc(s.all, func(a, b listItem) int { return b.touched().compare(a.touched()) })
		s.all = s.all[:s.items]
	}
	from := spec.from(now)
	var live []listItem
	for _, item := range s.all {
		r.Overflow = r.Overflow || len(item.events) == maxItemEvents
		item.events = slices.DeleteFunc(item.events, func(e listEvent) bool { return e.time < from })
		if len(item.events) > 0 {
			live = append(live, item)
		}
	}
	slices.SortStableFunc(live, func(a, b listItem) int { return a.events[0].orderKey.compare(b.events[0].orderKey) })
	json := []byte{'['}
	for i, item := range live {
		if i > 0 {
			json = append(json, ',')
		}
		if json, err = item.appendJSON(json, spec.Fields); err != nil {
			return Result{}, err
		}
	}
	r.Value = ListValue(append(json, ']'))
	return r, nil
}

// Next implements Timed: the earliest event leaves the window.
func (list) Next(state []byte, spec Spec, now int64) (int64, error) {
	if len(state) == 0 || spec.Window == 0 {
		return 0, nil
	}
	s, err := readList(state)
	if err != nil {
		return 0, err
	}
	next := int64(0)
	for _, item := range s.all {
		for _, e := range item.events {
			next = earlier(next, spec.leaves(e.time, now), now)
		}
	}
	return next, nil
}

func (i *listItem) appendJSON(dst []byte, fields []Field) ([]byte, error) {
	id, _, err := DecodeValue(i.value)
	if err != nil {
		return dst, err
	}
	dst = id.AppendJSON(append(dst, `{"id":`...))
	told := make([][]Value, len(fields))
	for _, e := range i.events {
		rest := e.fields
		for f := range fields {
			var v Value
			if v, rest, err = DecodeValue(rest); err != nil {
				return dst, err
			}
			if !v.IsNull() {
				told[f] = append(told[f], v)
			}
		}
	}
	for f, field := range fields {
		dst = appendJSONText(append(dst, ','), field.Name)
		dst = field.How.appendJSON(append(dst, ':'), told[f])
	}
	return append(dst, '}'), nil
}

// appendJSON sums values up, in the order in which they were told.
func (a Aggregation) appendJSON(dst []byte, values []Value) []byte {
	if a == AggregateSum {
		var s decimal.Sum
		for _, v := range values {
			d, _ := v.Decimal()
			s = s.Add(d)
		}
		if d, ok := s.Decimal(); ok {
			return d.Append(dst)
		}
		return append(dst, "null"...)
	}
	if a == AggregateDistinct {
		values = slices.Clone(values)
		slices.SortFunc(values, Value.Compare)
		values = slices.CompactFunc(values, Value.Equal)
		dst = append(dst, '[')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.AppendJSON(dst)
		}
		return append(dst, ']')
	}
	var v Value
	if len(values) > 0 {
		switch a {
		case AggregateFirst:
			v = values[0]
		case AggregateMin:
			v = slices.MinFunc(values, Value.Compare)
		case AggregateMax:
			v = slices.MaxFunc(values, Value.Compare)
		default:
			v = values[len(values)-1]
		}
	}
	return v.AppendJSON(dst)
}
