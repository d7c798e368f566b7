package attribute_test

import (
	"testing"
	"time"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/attributetest"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"pgregory.net/rapid"
)

var (
	numbers = rapid.Custom(func(t *rapid.T) attribute.Value {
		text := rapid.OneOf(rapid.StringMatching(`-?[0-9](\.[0-9]{1,2})?`), rapid.StringMatching(`-?[1-9][0-9]{0,28}(\.[0-9]{1,9})?`),
			rapid.Just("99999999999999999999999999999"), rapid.Just("-99999999999999999999999999999.999999999")).Draw(t, "number")
		d, err := decimal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return attribute.DecimalValue(d)
	})
	counts  = rapid.Map(rapid.OneOf(rapid.Int64Range(0, 3), rapid.Int64Range(1<<61, 1<<63-1), rapid.Int64Range(-2, 0)), attribute.IntegerValue)
	scalars = rapid.OneOf(numbers, rapid.Map(rapid.Bool(), attribute.BoolValue), rapid.Map(rapid.StringN(-1, 6, -1), attribute.TextValue),
		rapid.Map(rapid.Int64Range(-3, 3), attribute.IntegerValue))
)

func TestLaws(t *testing.T) {
	for name, c := range map[string]struct {
		kind    string
		session time.Duration
		values  *rapid.Generator[attribute.Value]
	}{
		"counter":                          {kind: "counter", values: counts},
		"counter with session":             {kind: "counter", session: 30 * time.Minute, values: counts},
		"counter with session, past cells": {kind: "counter", session: time.Second, values: counts},
		"sum":                              {kind: "sum", values: numbers},
		"sum of anything":                  {kind: "sum", values: scalars},
		"min":                              {kind: "min", values: numbers},
		"max":                              {kind: "max", values: numbers},
		"first":                            {kind: "first", values: scalars},
		"last":                             {kind: "last", values: scalars},
		"single":                           {kind: "single", values: scalars},
		"distinct":                         {kind: "distinct", values: scalars},
		"sessions":                         {kind: "sessions", session: 5 * time.Minute, values: rapid.Just(attribute.Value{})},
		"sessions with an odd gap":         {kind: "sessions", session: 1234 * time.Millisecond, values: rapid.Just(attribute.Value{})},
		"first_time":                       {kind: "first_time", values: rapid.Just(attribute.Value{})},
		"last_time":                        {kind: "last_time", values: rapid.Just(attribute.Value{})},
	} {
		t.Run(name, func(t *testing.T) {
			spec := attribute.Spec{Session: c.session}
			kind, ok := attribute.LookupKind(c.kind, spec)
			if !ok {
				t.Fatalf("kind %s is unknown", c.kind)
			}
			attributetest.Laws(t, kind, spec, attributetest.Observations(c.values))
		})
	}
}
