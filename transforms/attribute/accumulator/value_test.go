package accumulator_test

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"pgregory.net/rapid"
)

func number(text string) accumulator.Value {
	d, err := decimal.Parse(text)
	if err != nil {
		panic(err)
	}
	return accumulator.DecimalValue(d)
}

func TestValueJSON(t *testing.T) {
	for name, c := range map[string]struct {
		v    accumulator.Value
		want string
	}{
		"null":                   {accumulator.Value{}, "null"},
		"bool":                   {accumulator.BoolValue(true), "true"},
		"integer":                {accumulator.IntegerValue(math.MinInt64), "-9223372036854775808"},
		"decimal":                {number("12.50"), "12.5"},
		"whole decimal":          {number("1e3"), "1000"},
		"time":                   {accumulator.TimeValue(1291190760000), `"2010-12-01T08:06:00Z"`},
		"time with milliseconds": {accumulator.TimeValue(1291190760120), `"2010-12-01T08:06:00.12Z"`},
		"earliest time":          {accumulator.TimeValue(math.MinInt64), `"0001-01-01T00:00:00Z"`},
		"latest time":            {accumulator.TimeValue(math.MaxInt64), `"9999-12-31T23:59:59.999Z"`},
		"text":                   {accumulator.TextValue("a\"\\\n\x01<ü>"), `"a\"\\\n\u0001<ü>"`},
		"not UTF-8":              {accumulator.TextValue("a\xff"), `"a` + "\uFFFD" + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.v.String(); got != c.want {
				t.Errorf("JSON = %s, want %s", got, c.want)
			}
			if b, err := json.Marshal(c.v); err != nil || !json.Valid(b) {
				t.Errorf("json.Marshal = %s, %v", b, err)
			}
		})
	}
}

func TestValueOrder(t *testing.T) {
	ascending := []accumulator.Value{
		{}, accumulator.BoolValue(false), accumulator.BoolValue(true), number("-1.5"), accumulator.IntegerValue(-1), number("-0.5"),
		accumulator.IntegerValue(2), number("2.000000001"), accumulator.TimeValue(0), accumulator.TimeValue(1), accumulator.TextValue(""), accumulator.TextValue("2"),
	}
	if !slices.IsSortedFunc(ascending, accumulator.Value.Compare) {
		t.Error("not ascending")
	}
	for i, v := range ascending {
		for j, w := range ascending {
			if v.Equal(w) != (i == j) || v.Compare(w) != -w.Compare(v) {
				t.Errorf("%v and %v: Equal = %v, Compare = %d and %d", v, w, v.Equal(w), v.Compare(w), w.Compare(v))
			}
		}
	}
	if !accumulator.IntegerValue(2).Equal(number("2.0")) || accumulator.TextValue("2").Equal(number("2")) {
		t.Error("2 equals 2.0, and does not equal a text")
	}
}

func TestValueBinaryRoundTrip(t *testing.T) {
	times := rapid.Map(rapid.Int64(), accumulator.TimeValue)
	integers := rapid.Map(rapid.Int64(), accumulator.IntegerValue)
	values := rapid.OneOf(scalars, times, integers, rapid.Just(accumulator.Value{}))
	rapid.Check(t, func(t *rapid.T) {
		v, w := values.Draw(t, "v"), values.Draw(t, "w")
		b := accumulator.AppendValue(accumulator.AppendValue(nil, v), w)
		v2, rest, err := accumulator.DecodeValue(b)
		if err != nil || v2 != v {
			t.Fatalf("%v -> %v, %v", v, v2, err)
		}
		if w2, rest, err := accumulator.DecodeValue(rest); err != nil || w2 != w || len(rest) != 0 {
			t.Fatalf("%v -> %v, %v, rest % x", w, w2, err, rest)
		}
		if v.Equal(w) != bytes.Equal(v.AppendJSON(nil), w.AppendJSON(nil)) && v.Type() != accumulator.Time && w.Type() != accumulator.Time {
			t.Fatalf("%v and %v: equal values have equal JSON, different ones do not", v, w)
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	for _, v := range []accumulator.Value{{}, accumulator.BoolValue(true), accumulator.IntegerValue(-5), number("-12.5"), accumulator.TimeValue(5), accumulator.TextValue("x")} {
		f.Add(accumulator.AppendValue(nil, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := accumulator.DecodeValue(b)
		if err != nil {
			return
		}
		if again := append(accumulator.AppendValue(nil, v), rest...); !bytes.Equal(again, b) {
			t.Fatalf("% x decodes to %v, which encodes to % x", b, v, again)
		}
	})
}
