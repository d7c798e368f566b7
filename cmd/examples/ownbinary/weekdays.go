package main

import (
	"math/bits"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/attribute"
)

// weekdays is a kind of attribute: the days of the week on which something happened, "Mon Thu", in UTC.
var weekdays = attribute.Kind{Name: "weekdays", Version: 1, Accumulator: days{}}

// days accumulates into one byte, a bit for each day, Sunday first. Adding and merging are a logical or, so neither the order of the
// events nor how they are split matters; attributetest.Laws checks it.
type days struct{}

const allDays = 1<<7 - 1

// Add implements attribute.Accumulator.
func (days) Add(dst, state []byte, _ attribute.Spec, o attribute.Observation) ([]byte, error) {
	seen, err := read(state)
	if err != nil {
		return dst, err
	}
	day := byte(1) << time.UnixMilli(o.Order.Time).UTC().Weekday()
	if seen&day != 0 {
		return dst, attribute.ErrUnchanged
	}
	return append(dst, seen|day), nil
}

// Merge implements attribute.Accumulator.
func (days) Merge(dst, a, b []byte) ([]byte, error) {
	x, err := read(a)
	if err != nil {
		return dst, err
	}
	y, err := read(b)
	if err != nil {
		return dst, err
	}
	return append(dst, x|y), nil
}

// Result implements attribute.Accumulator. Nobody was ever seen: null.
func (days) Result(state []byte, _ attribute.Spec, _ int64) (attribute.Result, error) {
	seen, err := read(state)
	if err != nil || seen == 0 {
		return attribute.Result{}, err
	}
	names := make([]string, 0, bits.OnesCount8(seen))
	for day := range time.Saturday + 1 {
		if seen&(1<<day) != 0 {
			names = append(names, day.String()[:3])
		}
	}
	return attribute.Result{Value: attribute.TextValue(strings.Join(names, " "))}, nil
}

// Check implements attribute.Accumulator.
func (days) Check(state []byte) error {
	if seen, err := read(state); err != nil || seen == 0 {
		return attribute.ErrDamaged
	}
	return nil
}

// read returns the days of a state; none of no state.
func read(state []byte) (byte, error) {
	switch {
	case len(state) == 0:
		return 0, nil
	case len(state) > 1 || state[0] > allDays:
		return 0, attribute.ErrDamaged
	}
	return state[0], nil
}
