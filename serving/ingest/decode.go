package ingest

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/braidhq/braid/serving/problem"
)

// maxNesting bounds the nesting of a request's JSON: parsers recurse. Events have a lower limit of their own in the pipeline.
const maxNesting = 1010

// decode returns the events of a body as raw JSON values. The error is a problem.
func decode(body []byte, limit int) ([]gjson.Result, error) {
	if !nestingWithin(body, maxNesting) {
		return nil, problem.New(http.StatusBadRequest, "too_deep", "the body's JSON is nested deeper than "+strconv.Itoa(maxNesting)+" levels")
	}
	if !gjson.ValidBytes(body) {
		return nil, problem.New(http.StatusBadRequest, "malformed_json", "the body is not valid JSON")
	}
	var events gjson.Result
	root := gjson.ParseBytes(body)
	if root.IsObject() {
		root.ForEach(func(key, value gjson.Result) bool {
			if key.Str == "events" {
				events = value
				return false
			}
			return true
		})
	}
	if !events.IsArray() {
		return nil, problem.New(http.StatusBadRequest, "no_events", `the body must be an object with a list of events: {"events":[{...}]}`)
	}
	var list []gjson.Result
	count := 0
	events.ForEach(func(_, value gjson.Result) bool {
		if count++; count <= limit {
			list = append(list, value)
		}
		return count <= limit
	})
	switch {
	case count == 0:
		return nil, problem.New(http.StatusBadRequest, "no_events", "the list of events is empty")
	case count > limit:
		return nil, problem.New(http.StatusBadRequest, "too_many_events", fmt.Sprintf("the request has more than %d events", limit))
	}
	return list, nil
}

// nestingWithin counts brackets outside of strings, without recursion.
func nestingWithin(text []byte, limit int) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// stamped is an event completed with what ingest adds.
type stamped struct {
	id    string
	seq   uint64
	value []byte
	rest  []byte // fields that a draft has no place for, each as `,"name":value`; only when it is asked for
}

// stamp rewrites an event (a JSON object) with event_id, table and time in front; all other fields follow as they came. Of a field given
// twice, of these three, the first counts.
func stamp(event gjson.Result, table string, now int64, index int, withRest bool) stamped {
	s := stamped{seq: uint64(index)}
	var id, at gjson.Result
	value := make([]byte, 0, len(event.Raw)+len(table)+96)
	rest := make([]byte, 0, len(event.Raw))
	event.ForEach(func(key, field gjson.Result) bool {
		switch key.Str {
		case "event_id":
			if blank(id) {
				id = field
			}
			return true
		case "time":
			if blank(at) {
				at = field
			}
			return true
		case "table":
			return true
		case "seq":
			if n, err := strconv.ParseUint(field.Raw, 10, 64); err == nil {
				s.seq = n
			}
		}
		from := len(rest)
		rest = append(rest, ',')
		rest = append(rest, key.Raw...)
		rest = append(rest, ':')
		rest = append(rest, field.Raw...)
		if withRest && key.Str != "identifiers" && key.Str != "properties" && key.Str != "context" {
			s.rest = append(s.rest, rest[from:]...)
		}
		return true
	})
	value = append(value, `{"event_id":`...)
	if blank(id) {
		s.id = newID(now)
		value = append(append(append(value, '"'), s.id...), '"')
	} else {
		s.id = id.String()
		value = append(value, id.Raw...)
	}
	value = append(value, `,"table":`...)
	value = gjson.AppendJSONString(value, table)
	value = append(value, `,"time":`...)
	if blank(at) {
		value = strconv.AppendInt(value, now, 10)
	} else {
		value = append(value, at.Raw...)
	}
	s.value = append(append(value, rest...), '}')
	return s
}

// blank reports whether a field counts as absent.
func blank(v gjson.Result) bool {
	return v.Type == gjson.Null || v.Type == gjson.String && v.Str == ""
}

// newID returns a UUIDv7 for a moment.
func newID(now int64) string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	random := b[6:8]
	binary.BigEndian.PutUint64(b[:8], uint64(now)<<16|uint64(binary.BigEndian.Uint16(random)))
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
