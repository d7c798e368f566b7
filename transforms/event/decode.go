package event

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Limits bound what Decode accepts. A zero field means its default.
type Limits struct {
	Bytes   int   // largest value of a record in bytes; default 1,048,576
	Nesting int   // deepest nesting of objects and arrays, the event itself counted; default 64, at most 1,000
	Skew    int64 // how far event time may be from receive time in milliseconds; default 365 days
}

// Defaults of Limits, and what cannot be configured.
const (
	DefaultBytes   = 1 << 20
	DefaultNesting = 64
	DefaultSkew    = 365 * 24 * 60 * 60 * 1000
	MaxNesting     = 1000
	MaxID          = 256 // bytes of event_id and of table
	MinTime        = -62135596800000
	MaxTime        = 253402300799999 // the last millisecond of the year 9999
	ReceivedAhead  = 60 * 60 * 1000  // how far receive time may be ahead of the record's timestamp, milliseconds: it moves the stream's clock
)

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	if l.Nesting <= 0 {
		l.Nesting = DefaultNesting
	}
	l.Nesting = min(l.Nesting, MaxNesting)
	if l.Skew <= 0 {
		l.Skew = DefaultSkew
	}
	l.Skew = min(l.Skew, MaxTime-MinTime)
	return l
}

// Decode checks a record in one pass and returns its event. The error is always a *Rejection. Receive time comes from the header
// "received", or from the record's timestamp when the header is missing; event time is the receive time when the event has none.
func Decode(r Record, limits Limits) (Event, error) {
	limits = limits.withDefaults()
	e := Event{Raw: r.Value, Position: r.Position, Received: r.Timestamp}
	if err := e.headers(r.Headers); err != nil {
		return Event{}, err
	}
	if r.Timestamp > 0 && e.Received > r.Timestamp+ReceivedAhead {
		return Event{}, &Rejection{Reason: BadHeader, Field: HeaderReceived, Detail: "is more than an hour after the record's own timestamp " +
			time.UnixMilli(r.Timestamp).UTC().Format(time.RFC3339)}
	}
	if err := e.index(limits); err != nil {
		return Event{}, err
	}
	var err *Rejection
	if e.ID, err = e.name(topID, "event_id"); err != nil {
		return Event{}, err
	}
	e.ID = strings.Clone(e.ID) // the one text that outlives the bundle
	e.Order.ID = e.ID
	if e.Table, err = e.name(topTable, "table"); err != nil {
		return Event{}, err
	}
	if err := e.times(limits.Skew); err != nil {
		return Event{}, err
	}
	for i, name := range [...]string{"identifiers", "properties", "context"} {
		s := &e.spans[topIdentifiers+i]
		switch v := e.text()[s.from:s.to]; {
		case v == "null":
			*s = span{}
		case v != "" && v[0] != '{':
			return Event{}, &Rejection{Reason: WrongType, Field: name, Detail: "is " + kind(v) + ", not an object"}
		}
	}
	return e, nil
}

func (e *Event) headers(headers []Header) *Rejection {
	for _, h := range headers {
		switch h.Key {
		case HeaderReceived:
			ms, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil || ms < 0 || ms > MaxTime {
				return &Rejection{Reason: BadHeader, Field: HeaderReceived, Detail: "is " + excerpt(h.Value) + ", not epoch milliseconds in decimal"}
			}
			e.Received = ms
		case HeaderSeq:
			seq, err := strconv.ParseUint(string(h.Value), 10, 64)
			if err != nil {
				return &Rejection{Reason: BadHeader, Field: HeaderSeq, Detail: "is " + excerpt(h.Value) + ", not an unsigned decimal number"}
			}
			e.Order.Seq = seq
		case HeaderSource:
			if !utf8.Valid(h.Value) {
				return &Rejection{Reason: BadHeader, Field: HeaderSource, Detail: "is " + excerpt(h.Value) + ", not UTF-8"}
			}
			e.Source = string(h.Value)
		}
	}
	return nil
}

// index checks the JSON and notes where the top level fields are.
func (e *Event) index(limits Limits) *Rejection {
	if len(e.Raw) > limits.Bytes {
		return &Rejection{Reason: TooLarge, Detail: "has " + strconv.Itoa(len(e.Raw)) + " bytes, the limit is " + strconv.Itoa(limits.Bytes)}
	}
	if !utf8.Valid(e.Raw) {
		at := 0
		for rest := e.Raw; ; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n <= 1 {
				return &Rejection{Reason: InvalidUTF8, Detail: "at byte " + strconv.Itoa(at)}
			}
			at, rest = at+n, rest[n:]
		}
	}
	s := e.text()
	i := skipSpace(s, 0)
	if i >= len(s) {
		return &Rejection{Reason: MalformedJSON, Detail: "the value is empty"}
	}
	c := scanner{s: s, nesting: limits.Nesting}
	if s[i] == '{' {
		i = c.object(i, 1, e.note)
	} else if i = c.value(i, 0); i != bad {
		return &Rejection{Reason: WrongType, Detail: "the value is " + kind(s) + ", not an object"}
	}
	if i != bad {
		if i = skipSpace(s, i); i < len(s) {
			i = c.fail(i, "text follows the event; one record holds one event")
		}
	}
	if i == bad {
		reason := MalformedJSON
		if c.deep {
			reason = TooDeep
		}
		return &Rejection{Reason: reason, Detail: "at byte " + strconv.Itoa(c.at) + ": " + c.problem}
	}
	e.indexed = true
	return nil
}

func (e *Event) note(quoted string, from, to int) {
	name := quoted[1 : len(quoted)-1]
	if strings.IndexByte(name, '\\') >= 0 {
		name = gjson.Parse(quoted).Str
	}
	if f := topField(name); f >= 0 && e.spans[f] == (span{}) {
		e.spans[f] = span{int32(from), int32(to)}
	}
}

// name returns a required text of 1 to MaxID bytes.
func (e *Event) name(top int, field string) (string, *Rejection) {
	s := e.spans[top]
	v := e.text()[s.from:s.to]
	switch {
	case v == "" || v == "null":
		return "", &Rejection{Reason: MissingField, Field: field, Detail: "is missing"}
	case v[0] != '"':
		return "", &Rejection{Reason: WrongType, Field: field, Detail: "is " + kind(v) + ", not a string"}
	}
	name := v[1 : len(v)-1]
	if strings.IndexByte(name, '\\') >= 0 {
		name = gjson.Parse(v).Str
	}
	switch {
	case name == "":
		return "", &Rejection{Reason: MissingField, Field: field, Detail: "is empty"}
	case len(name) > MaxID:
		return "", &Rejection{Reason: TooLarge, Field: field, Detail: "has " + strconv.Itoa(len(name)) + " bytes, the limit is " + strconv.Itoa(MaxID)}
	}
	return name, nil
}

func (e *Event) times(skew int64) *Rejection {
	s := e.spans[topTime]
	v := e.text()[s.from:s.to]
	switch {
	case v == "" || v == "null":
		e.Time = e.Received
	case v[0] == '"':
		t, err := time.Parse(time.RFC3339, gjson.Parse(v).Str)
		if err != nil {
			return &Rejection{Reason: BadTime, Field: "time", Detail: excerpt([]byte(v)) + " is not a time of RFC 3339"}
		}
		e.Time = t.UnixMilli()
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		ms, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return &Rejection{Reason: BadTime, Field: "time", Detail: excerpt([]byte(v)) + " is not an integer of epoch milliseconds"}
		}
		e.Time = ms
	default:
		return &Rejection{Reason: WrongType, Field: "time", Detail: "is " + kind(v) + ", not a number or a string"}
	}
	switch {
	case e.Time < MinTime || e.Time > MaxTime:
		return &Rejection{Reason: BadTime, Field: "time", Detail: excerpt([]byte(v)) + " is not within the years 1 to 9999"}
	case e.Time < e.Received-skew || e.Time > e.Received+skew:
		return &Rejection{Reason: BadTime, Field: "time", Detail: excerpt([]byte(v)) + " is more than " + strconv.FormatInt(skew/86400000, 10) +
			" days away from the receive time " + time.UnixMilli(e.Received).UTC().Format(time.RFC3339)}
	}
	e.Order.Time = OrderTime(e.Time, e.Received)
	return nil
}

// kind names the type of a JSON value with its article.
func kind(v string) string {
	switch v[skipSpace(v, 0)] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
