package profile

import (
	"encoding/json"
	"strconv"
	"time"
)

// MarshalJSON writes the canonical form: the same profile always gives the same bytes.
func (v *View) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// AppendJSON appends the canonical form. Attributes stand in the order of their definition.
func (v *View) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"profile_id":"`...)
	dst = v.ID.Append(dst)
	dst = append(dst, `","identifiers":[`...)
	for i, s := range v.Identifiers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.appendJSON(dst)
	}
	dst = append(dst, ']')
	if v.Unlisted != 0 {
		dst = append(dst, `,"identifiers_unlisted":`...)
		dst = strconv.AppendInt(dst, int64(v.Unlisted), 10)
	}
	dst = append(dst, `,"events":`...)
	dst = strconv.AppendUint(dst, v.Events, 10)
	dst = append(dst, `,"first_seen":`...)
	dst = appendSeen(dst, v.First, v.Events)
	dst = append(dst, `,"last_seen":`...)
	dst = appendSeen(dst, v.Last, v.Events)
	dst = append(dst, `,"attributes":{`...)
	for i, result := range v.Attributes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendText(dst, result.Name), ':')
		if text, ok := result.Value.Text(); ok {
			dst = AppendText(dst, text)
		} else {
			dst = result.Value.AppendJSON(dst)
		}
	}
	dst = append(dst, '}')
	for i, name := range v.Audiences {
		if i == 0 {
			dst = append(dst, `,"audiences":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = AppendText(dst, name)
	}
	if len(v.Audiences) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (s *Sighted) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"key":`...)
	dst = AppendText(dst, s.Key)
	dst = append(dst, `,"value":`...)
	dst = AppendText(dst, s.Value)
	dst = append(dst, `,"first_seen":`...)
	dst = appendSeen(dst, s.First.Time, s.Events)
	dst = append(dst, `,"last_seen":`...)
	dst = appendSeen(dst, s.Last.Time, s.Events)
	dst = append(dst, `,"events":`...)
	dst = strconv.AppendUint(dst, s.Events, 10)
	return append(dst, '}')
}

// appendSeen appends the time of the first or last of some events; nobody saw an identifier whose events all belong to another profile.
func appendSeen(dst []byte, ms int64, events uint64) []byte {
	if events == 0 {
		return append(dst, "null"...)
	}
	return AppendTime(dst, ms)
}

// AppendText appends a JSON text the way encoding/json writes it.
func AppendText(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			b, _ := json.Marshal(s) // a string never fails
			return append(dst, b...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// AppendTime appends epoch milliseconds as a JSON text in RFC 3339: UTC, always with three digits of milliseconds.
func AppendTime(dst []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, `"2006-01-02T15:04:05.000Z"`)
	}
	hour, minute, second := t.Clock()
	dst = appendPair(append(dst, '"'), year/100)
	dst = appendPair(dst, year%100)
	dst = appendPair(append(dst, '-'), int(month))
	dst = appendPair(append(dst, '-'), day)
	dst = appendPair(append(dst, 'T'), hour)
	dst = appendPair(append(dst, ':'), minute)
	dst = appendPair(append(dst, ':'), second)
	milli := t.Nanosecond() / 1e6
	dst = append(dst, '.', byte('0'+milli/100))
	return append(appendPair(dst, milli%100), 'Z', '"')
}

func appendPair(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }
