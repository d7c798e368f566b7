package accumulator_test

import (
	"testing"
	"time"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/attributetest"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"pgregory.net/rapid"
)

var (
	numbers = rapid.Custom(func(t *rapid.T) accumulator.Value {
		text := rapid.OneOf(rapid.StringMatching(`-?[0-9](\.[0-9]{1,2})?`), rapid.StringMatching(`-?[1-9][0-9]{0,28}(\.[0-9]{1,9})?`),
			rapid.Just("99999999999999999999999999999"), rapid.Just("-99999999999999999999999999999.999999999")).Draw(t, "number")
		d, err := decimal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return accumulator.DecimalValue(d)
	})
	counts  = rapid.Map(rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(1<<61, 1<<63-1), rapid.Int64Range(-2, 0)), accumulator.IntegerValue)
	scalars = rapid.OneOf(numbers, rapid.Map(rapid.Bool(), accumulator.BoolValue), rapid.Map(rapid.StringN(-1, 6, -1), accumulator.TextValue),
		rapid.Map(rapid.Int64Range(-3, 3), accumulator.IntegerValue))
)

// acts observe what lists do: few items, fields of numbers, and all acts.
var acts = rapid.Custom(func(t *rapid.T) accumulator.Observation {
	o := attributetest.Observations(rapid.Map(rapid.SampledFrom([]string{"mat", "block", "strap", "ball", "towel"}), accumulator.TextValue)).Draw(t, "order")
	o.Act = rapid.SampledFrom([]accumulator.Act{0, 0, 0, 0, 0, 0, accumulator.ActDelete, accumulator.ActDelete, accumulator.ActClear}).Draw(t, "act")
	if o.Act == accumulator.ActPut {
		o.Fields = []accumulator.Value{numbers.Draw(t, "quantity"), rapid.OneOf(scalars, rapid.Just(accumulator.Value{})).Draw(t, "label")}
	}
	return o
})

func TestLaws(t *testing.T) {
	const day = 24 * time.Hour
	none := rapid.Just(accumulator.Value{})
	window := func(window, pane time.Duration) accumulator.Spec { return accumulator.Spec{Window: window, Pane: pane} }
	ofList := func(items int) accumulator.Spec {
		return accumulator.Spec{Items: items, Fields: []accumulator.Field{{Name: "quantity", How: accumulator.AggregateSum}, {Name: "label", How: accumulator.AggregateDistinct}}}
	}
	for name, c := range map[string]struct {
		kind   string
		spec   accumulator.Spec
		values *rapid.Generator[accumulator.Value]
	}{
		"counter":                          {kind: "counter", values: counts},
		"counter with session":             {kind: "counter", spec: accumulator.Spec{Session: 30 * time.Minute}, values: counts},
		"counter with session, past cells": {kind: "counter", spec: accumulator.Spec{Session: time.Second}, values: counts},
		"counter of an hour":               {kind: "counter", spec: window(time.Hour, time.Minute), values: counts},
		"counter of a minute":              {kind: "counter", spec: window(time.Minute, time.Minute), values: counts},
		"counter of days in a zone":        {kind: "counter", spec: accumulator.Spec{Window: day, Pane: 15 * time.Minute, Days: true}, values: counts},
		"sum":                              {kind: "sum", values: numbers},
		"sum of anything":                  {kind: "sum", values: scalars},
		"sum of a day":                     {kind: "sum", spec: window(day, time.Hour), values: numbers},
		"average":                          {kind: "average", values: numbers},
		"average of an hour":               {kind: "average", spec: window(time.Hour, time.Minute), values: scalars},
		"min":                              {kind: "min", values: numbers},
		"max":                              {kind: "max", values: numbers},
		"max of six hours":                 {kind: "max", spec: window(6*time.Hour, 15*time.Minute), values: numbers},
		"first":                            {kind: "first", values: scalars},
		"first of an hour":                 {kind: "first", spec: window(time.Hour, time.Minute), values: scalars},
		"last":                             {kind: "last", values: scalars},
		"single":                           {kind: "single", spec: window(time.Hour, time.Minute), values: scalars},
		"distinct":                         {kind: "distinct", values: scalars},
		"distinct of a day":                {kind: "distinct", spec: window(day, time.Hour), values: scalars},
		"top":                              {kind: "top", values: scalars},
		"most_frequent of a day":           {kind: "most_frequent", spec: window(day, time.Hour), values: scalars},
		"sessions":                         {kind: "sessions", spec: accumulator.Spec{Session: 5 * time.Minute}, values: none},
		"sessions of a day":                {kind: "sessions", spec: accumulator.Spec{Session: 5 * time.Minute, Window: day, Pane: time.Hour}, values: none},
		"sessions with an odd gap":         {kind: "sessions", spec: accumulator.Spec{Session: 1234 * time.Millisecond}, values: none},
		"session_start":                    {kind: "session_start", spec: accumulator.Spec{Session: 30 * time.Minute}, values: counts},
		"session_duration":                 {kind: "session_duration", spec: accumulator.Spec{Session: 30 * time.Minute}, values: counts},
		"first_time":                       {kind: "first_time", values: none},
		"last_time":                        {kind: "last_time", values: none},
		"since_first":                      {kind: "since_first", values: none},
		"since_last":                       {kind: "since_last", spec: accumulator.Spec{Unit: time.Hour}, values: none},
		"list":                             {kind: "list", spec: ofList(100)},
		"list of three":                    {kind: "list", spec: ofList(3)},
		"list of one":                      {kind: "list", spec: ofList(1)},
	} {
		t.Run(name, func(t *testing.T) {
			kind, ok := accumulator.Find(c.kind)
			if !ok {
				t.Fatalf("kind %s is unknown", c.kind)
			}
			observations := acts
			if c.values != nil {
				observations = attributetest.Observations(c.values)
			}
			attributetest.Laws(t, *kind.With(c.spec), c.spec, observations)
		})
	}
}
