package decimal_test

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/attribute/decimal"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		err      error
	}{
		"zero":                      {in: "0", want: "0"},
		"minus zero":                {in: "-0.000", want: "0"},
		"trailing zeros go":         {in: "12.500", want: "12.5"},
		"exponent":                  {in: "1.25e2", want: "125"},
		"negative exponent":         {in: "-125E-2", want: "-1.25"},
		"half to even, down":        {in: "0.0000000005", want: "0"},
		"half to even, up":          {in: "0.0000000015", want: "0.000000002"},
		"above half":                {in: "0.00000000050000000001", want: "0.000000001"},
		"below half":                {in: "0.00000000149999999999", want: "0.000000001"},
		"negative half":             {in: "-0.0000000015", want: "-0.000000002"},
		"far below the last digit":  {in: "9e-400", want: "0"},
		"zero times a huge power":   {in: "0e999999999999999999999", want: "0"},
		"tiny times a huge power":   {in: "0.00000000000000000000000000000000000000001e41", want: "1"},
		"largest":                   {in: "99999999999999999999999999999.999999999", want: "99999999999999999999999999999.999999999"},
		"smallest":                  {in: "-99999999999999999999999999999.999999999", want: "-99999999999999999999999999999.999999999"},
		"rounded out of range":      {in: "99999999999999999999999999999.9999999995", err: decimal.ErrRange},
		"thirty digits":             {in: "100000000000000000000000000000", err: decimal.ErrRange},
		"huge exponent":             {in: "1e400", err: decimal.ErrRange},
		"exponent past all integer": {in: "-1e999999999999999999999", err: decimal.ErrRange},
		"empty":                     {in: "", err: decimal.ErrSyntax},
		"NaN":                       {in: "NaN", err: decimal.ErrSyntax},
		"infinity":                  {in: "-Infinity", err: decimal.ErrSyntax},
		"leading zero":              {in: "01", err: decimal.ErrSyntax},
		"no digit after the point":  {in: "1.", err: decimal.ErrSyntax},
		"no digit before the point": {in: ".5", err: decimal.ErrSyntax},
		"no exponent":               {in: "1e", err: decimal.ErrSyntax},
		"plus":                      {in: "+1", err: decimal.ErrSyntax},
		"hexadecimal":               {in: "0x10", err: decimal.ErrSyntax},
		"two points":                {in: "1.2.3", err: decimal.ErrSyntax},
		"space":                     {in: "1 ", err: decimal.ErrSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := decimal.Parse(c.in)
			if !errors.Is(err, c.err) {
				t.Fatalf("Parse(%q) error = %v, want %v", c.in, err, c.err)
			}
			if err == nil && d.String() != c.want {
				t.Errorf("Parse(%q) = %s, want %s", c.in, d, c.want)
			}
		})
	}
}

// billionths returns the exact value of a decimal as math/big computes it from its text.
func billionths(d decimal.Decimal) *big.Int {
	r, _ := new(big.Rat).SetString(d.String())
	r.Mul(r, big.NewRat(1_000_000_000, 1))
	return r.Num()
}

var decimals = rapid.Custom(func(t *rapid.T) decimal.Decimal {
	text := rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,28})(\.[0-9]{1,9})?`),
		rapid.StringMatching(`-?9{20,29}\.9{9}`),
		rapid.StringMatching(`-?[0-9](\.[0-9]{1,2})?`),
	).Draw(t, "text")
	d, err := decimal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
})

func TestRoundsLikeBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})\.[0-9]{0,8}[0-9](0|5|4999|5000|5001|[0-9]{1,4})`).Draw(t, "text")
		d, err := decimal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		exact, _ := new(big.Rat).SetString(text)
		exact.Mul(exact, big.NewRat(1_000_000_000, 1))
		got := new(big.Rat).SetInt(billionths(d))
		diff := new(big.Rat).Sub(got, exact)
		switch diff.Abs(diff).Cmp(big.NewRat(1, 2)) {
		case 1:
			t.Fatalf("Parse(%s) = %s: off by more than half a billionth", text, d)
		case 0:
			if got.Num().Bit(0) == 1 {
				t.Fatalf("Parse(%s) = %s: half not rounded to even", text, d)
			}
		}
	})
}

func TestTextAndBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := decimals.Draw(t, "d")
		back, err := decimal.Parse(d.String())
		if err != nil || back != d {
			t.Fatalf("Parse(String) = %v, %v, want %v", back, err, d)
		}
		b := d.AppendBinary(nil)
		if got, err := decimal.FromBinary(b); err != nil || got != d {
			t.Fatalf("FromBinary(% x) = %v, %v, want %v", b, got, err, d)
		}
		if f, _ := new(big.Rat).SetInt(billionths(d)).Float64(); math.Abs(d.Float64()*1e9-f) > math.Abs(f)*1e-15 {
			t.Fatalf("Float64 of %v = %v", d, d.Float64())
		}
	})
}

func TestSumIsExact(t *testing.T) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)
	rapid.Check(t, func(t *rapid.T) {
		ds := rapid.SliceOf(decimals).Draw(t, "ds")
		cut := rapid.IntRange(0, len(ds)).Draw(t, "cut")
		want := new(big.Int)
		var left, right decimal.Sum
		for i, d := range ds {
			want.Add(want, billionths(d))
			if i < cut {
				left = left.Add(d)
			} else {
				right = right.Add(d)
			}
		}
		sum := right.Merge(left)
		got, ok := sum.Decimal()
		if fits := new(big.Int).Abs(want).Cmp(limit) < 0; ok != fits {
			t.Fatalf("fits = %v, want %v (%v)", ok, fits, want)
		}
		if ok && billionths(got).Cmp(want) != 0 {
			t.Fatalf("sum = %v billionths, want %v", billionths(got), want)
		}
		back, err := decimal.SumFromBinary(sum.AppendBinary(nil))
		if err != nil || back != sum {
			t.Fatalf("binary round trip: %v, %v, want %v", back, err, sum)
		}
	})
}

func TestCompareAndInt64(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals.Draw(t, "a"), decimals.Draw(t, "b")
		if got, want := a.Compare(b), billionths(a).Cmp(billionths(b)); got != want {
			t.Fatalf("Compare(%v, %v) = %d, want %d", a, b, got, want)
		}
		n := rapid.Int64().Draw(t, "n")
		d := decimal.FromInt(n)
		if got, ok := d.Int64(); !ok || got != n {
			t.Fatalf("FromInt(%d).Int64() = %d, %v", n, got, ok)
		}
		if n, ok := a.Int64(); ok && decimal.FromInt(n) != a || !ok && !strings.Contains(a.String(), ".") && len(a.String()) < 19 {
			t.Fatalf("Int64 of %v = %d, %v", a, n, ok)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "-1.5e3", "1e-9", "NaN", "99999999999999999999999999999.9999999995", "0.00e12"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := decimal.Parse(s)
		if err != nil {
			return
		}
		if back, err := decimal.Parse(d.String()); err != nil || back != d {
			t.Fatalf("%q -> %v -> %v, %v", s, d, back, err)
		}
	})
}

func FuzzFromBinary(f *testing.F) {
	f.Add([]byte{0})
	f.Add(decimal.FromInt(-70000).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := decimal.FromBinary(b); err == nil && !bytes.Equal(d.AppendBinary(nil), b) {
			t.Fatalf("% x decodes to %v, which encodes to % x", b, d, d.AppendBinary(nil))
		}
		if s, err := decimal.SumFromBinary(b); err == nil && !bytes.Equal(s.AppendBinary(nil), b) {
			t.Fatalf("% x is not canonical", b)
		}
	})
}

func BenchmarkDecimal(b *testing.B) {
	d, _ := decimal.Parse("1234.56")
	buf := make([]byte, 0, 64)
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			_, _ = decimal.Parse("1234.56")
		}
	})
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			buf = d.Append(buf[:0])
		}
	})
}
