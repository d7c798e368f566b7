package shop

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/braidhq/braid/transforms/event"
)

// noAdvertising is what a phone answers whose owner refuses to be tracked.
const noAdvertising = "00000000-0000-0000-0000-000000000000"

// draft is an event before it is written.
type draft struct {
	id, table           string
	time                int64
	ids                 Identifiers
	junk                [5]string
	properties, context []byte
}

// event writes the draft.
func (d draft) event() *Event {
	o := object{b: make([]byte, 0, 256+len(d.properties)+len(d.context))}
	o.open("", '{')
	o.text("event_id", d.id)
	if d.table != "" {
		o.text("table", d.table)
	}
	o.integer("time", d.time)
	o.open("identifiers", '{')
	for i, value := range d.ids {
		if value == "" {
			value = d.junk[i]
		}
		if value != "" {
			o.text(Keys[i].Field, value)
		}
	}
	o.close('}')
	for _, part := range [...]struct {
		name string
		json []byte
	}{{"properties", d.properties}, {"context", d.context}} {
		if len(part.json) > 0 {
			o.name(part.name)
			o.b = append(o.b, part.json...)
		}
	}
	o.close('}')
	return &Event{Time: d.time, ID: d.id, Table: d.table, Key: d.ids.Leading(), Value: o.b, Identifiers: d.ids}
}

// reject notes that the event must be rejected.
func (e *Event) reject(why event.Reason) {
	e.Outcome, e.Reason, e.Identifiers = Rejected, why, Identifiers{}
}

// faults decides what is wrong with the device of this visit.
func (s *session) faults() {
	switch s.chance("clock", 500) {
	case 0:
		s.skew = 3*hour + int64(s.chance("hours", 69))*hour // far ahead: order time is held back
	case 1:
		s.skew = -3*hour - int64(s.chance("hours", 69))*hour
	case 2, 3, 4, 5, 6, 7, 8, 9, 10:
		s.skew = int64(s.chance("seconds", 480))*second - 240*second
	}
	app := s.v.channel == ios || s.v.channel == android
	if app && s.chance("tracking", 5) == 0 {
		s.ids[Advertising], s.junk[Advertising] = "", noAdvertising
	}
	if app && s.percent(3) {
		s.delay = s.between(10*minute, 48*hour)
	}
	if s.v.channel == web && s.v.known && s.IntN(50) == 0 { // a script that failed to read its cookie
		s.ids[Cookie], s.junk[Cookie] = "", "undefined"
	}
}

// breakOne sometimes sends a broken event after a good one. It is one more event: the good one counts.
func (s *session) breakOne(d draft, good *Event) {
	if s.m.options.Clean || d.table != PageView || s.IntN(800) != 0 {
		return
	}
	d.id = s.uuid()
	var why event.Reason
	switch s.IntN(7) {
	case 0: // the connection broke
		why = event.MalformedJSON
	case 1: // a page in an old encoding
		why = event.InvalidUTF8
	case 2: // a release with a typing error
		why, d.table = event.UnknownTable, "pageview"
	case 3: // cookies refused
		why, d.ids, d.junk = event.NoIdentifier, Identifiers{}, [5]string{}
	case 4: // a field forgotten
		why, d.table = event.MissingField, ""
	case 5: // a field renamed into an object's place
		why = event.WrongType
	case 6: // a device that lost its clock, or lives in the future
		why, d.time = event.BadTime, s.between(0, 30*day)
		if s.percent(30) {
			d.time = good.Received + 26*365*day
		}
	}
	e := d.event()
	switch why {
	case event.MalformedJSON:
		e.Value = e.Value[:len(e.Value)*2/3]
		for !utf8.Valid(e.Value) {
			e.Value = e.Value[:len(e.Value)-1]
		}
	case event.InvalidUTF8:
		e.Value = bytes.Replace(e.Value, []byte(`"properties":{`), []byte("\"properties\":{\"referrer\":\"caf\xe9\","), 1)
	case event.WrongType:
		from := bytes.Index(e.Value, []byte(`"identifiers":{`)) + len(`"identifiers":`)
		to := from + bytes.IndexByte(e.Value[from:], '}') + 1
		text := strings.NewReplacer(`"`, "", `{`, "", `}`, "").Replace(string(e.Value[from:to]))
		e.Value = append(append(append([]byte{}, e.Value[:from]...), `"`+text+`"`...), e.Value[to:]...)
	}
	e.Received, e.Source = good.Received+1, good.Source
	e.reject(why)
	s.emit(e)
}
