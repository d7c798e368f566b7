package strict

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Duration is a length of time of at least zero, written as a number with a unit: 500ms, 30s, 15m, 24h or 7d.
type Duration time.Duration

var durationUnits = []struct {
	name string
	unit time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// Milliseconds returns the duration in milliseconds.
func (d Duration) Milliseconds() int64 { return time.Duration(d).Milliseconds() }

// Std returns the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the duration in the largest unit that divides it.
func (d Duration) String() string {
	for _, u := range durationUnits {
		if d != 0 && time.Duration(d)%u.unit == 0 {
			return strconv.FormatInt(int64(time.Duration(d)/u.unit), 10) + u.name
		}
	}
	if d == 0 {
		return "0s"
	}
	return time.Duration(d).String()
}

// ParseDuration reads what String writes.
func ParseDuration(s string) (Duration, error) {
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	for _, u := range durationUnits {
		if digits == 0 || s[digits:] != u.name {
			continue
		}
		n, err := strconv.ParseInt(s[:digits], 10, 64)
		if err != nil || n > math.MaxInt64/int64(u.unit) {
			return 0, fmt.Errorf("%s is too long a duration", s)
		}
		return Duration(n * int64(u.unit)), nil
	}
	return 0, fmt.Errorf("%q is not a duration; write a number and a unit, such as 30s, 15m, 24h or 7d", s)
}

// MarshalText returns what String returns.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what String writes.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// UnmarshalStrict reads a duration and says so when the unit is missing.
func (d *Duration) UnmarshalStrict(v Value) {
	switch v.Kind() {
	case Text:
		if err := d.UnmarshalText([]byte(v.Text())); err != nil {
			v.Report("", "%v", err)
		}
	case Integer:
		v.Report("", "%s has no unit; write for example %ss or %sm", v.Text(), v.Text(), v.Text())
	default:
		v.Report("", "%v", errors.New("a duration is needed, such as 30s, 15m, 24h or 7d; found "+v.Kind().String()))
	}
}
