package script

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/strict"
)

// Start is the moment at which every script begins, epoch milliseconds: 2026-01-01, midnight in UTC.
const Start int64 = 1767225600000

const momentForms = "10:00, 10:00:05.250, 2026-01-02, 2026-01-02T10:00, +5m or -5m"

// ParseMoment reads a moment in UTC as epoch milliseconds. A time of day is on the day of hand, a duration is counted from it.
func ParseMoment(s string, hand int64) (int64, error) {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		d, err := strict.ParseDuration(s[1:])
		if err != nil {
			return 0, err
		}
		ms := d.Milliseconds()
		if s[0] == '-' {
			ms = -ms
		}
		return Within(hand + ms)
	}
	s = strings.TrimSuffix(s, "Z")
	for _, form := range []string{"15:04", "15:04:05"} { // a fraction is accepted behind the seconds
		if t, err := time.Parse(form, s); err == nil {
			day := time.UnixMilli(hand).UTC().Truncate(24 * time.Hour)
			return day.Add(t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))).UnixMilli(), nil
		}
	}
	for _, form := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(form, s); err == nil {
			return Within(t.UnixMilli())
		}
	}
	return 0, fmt.Errorf("%q is not a moment; write %s", s, momentForms)
}

// Within returns a moment that lies within the years 1 to 9999.
func Within(ms int64) (int64, error) {
	if ms < event.MinTime || ms > event.MaxTime {
		return 0, errors.New("the moment is not within the years 1 to 9999")
	}
	return ms, nil
}

// FormatMoment writes a moment so that people read it, as precise as it is: 2026-01-02 10:00.
func FormatMoment(ms int64) string {
	return strings.Replace(time.UnixMilli(ms).UTC().Format(form(ms)), "T", " ", 1)
}

// FormatSpan writes two moments, the second one without the day when that is the day of the first.
func FormatSpan(from, to int64) string {
	a, b := FormatMoment(from), FormatMoment(to)
	switch {
	case a == b:
		return a
	case a[:10] == b[:10]:
		return a + " to " + b[11:]
	}
	return a + " to " + b
}

func form(ms int64) string {
	switch {
	case ms%1000 != 0:
		return "2006-01-02T15:04:05.000"
	case ms%60_000 != 0:
		return "2006-01-02T15:04:05"
	}
	return "2006-01-02T15:04"
}
