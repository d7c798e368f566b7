package main

import (
	"math/bits"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
)

// weekdays is a kind of attribute: the days of the week on which something happened, "Mon Thu", in UTC.
var weekdays = accumulator.Kind{Name: "weekdays", Version: 1, Accumulator: days{}}

// days accumulates into one byte, a bit for each day, Sunday first. Adding and merging are a logical or, so neither the order of the
// events nor how they are split matters; attributetest.Laws checks it.
type days struct{}

const allDays = 1<<7 - 1

// Add implements accumulator.Accumulator.
func (days) Add(dst, state []byte, _ accumulator.Spec, o accumulator.Observation) ([]byte, error) {
	seen, err := read(state)
	if err != nil {
		return dst, err
	}
	day := byte(1) << time.UnixMilli(o.Order.Time).UTC().Weekday()
	if seen&day != 0 {
		return dst, accumulator.ErrUnchanged
	}
	return append(dst, seen|day), nil
}

// Merge implements accumulator.Accumulator.
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

// Result implements accumulator.Accumulator. Nobody was ever seen: null.
func (days) Result(state []byte, _ accumulator.Spec, _ int64) (accumulator.Result, error) {
	seen, err := read(state)
	if err != nil || seen == 0 {
		return accumulator.Result{}, err
	}
	names := make([]string, 0, bits.OnesCount8(seen))
	for day := range time.Saturday + 1 {
		if seen&(1<<day) != 0 {
			names = append(names, day.String()[:3])
		}
	}
	return accumulator.Result{Value: accumulator.TextValue(strings.Join(names, " "))}, nil
}

// Check implements accumulator.Accumulator.
func (days) Check(state []byte) error {
	if seen, err := read(state); err != nil || seen == 0 {
		return accumulator.ErrDamaged
	}
	return nil
}

// read returns the days of a state; none of no state.
func read(state []byte) (byte, error) {
	switch {
	case len(state) == 0:
		return 0, nil
	case len(state) > 1 || state[0] > allDays:
		return 0, accumulator.ErrDamaged
	}
	return state[0], nil
}
