package event

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Draft is an event about to be sent: what ingest, generators and tests fill in.
type Draft struct {
	ID          string          // event_id, 1 to 256 bytes
	Table       string          // event table
	Time        int64           // event time in epoch milliseconds; zero leaves it out, so that it becomes the receive time
	Identifiers json.RawMessage // JSON object, or empty; see Texts
	Properties  json.RawMessage // JSON object, or empty
	Context     json.RawMessage // JSON object, or empty

	Key      string // record key: the leading identifier as "key:value"
	Received int64  // receive time in epoch milliseconds; zero leaves the header out
	Source   string // header source; empty leaves it out
	Seq      uint64 // header seq; zero leaves it out

	// Origin is the place of the raw record a draft was made from; the zero Position when it was made from none. Copies keep it: the ID
	// of an event that has none follows from it.
	Origin Position
}

// Texts returns a JSON object of texts, keys ascending: what Draft.Identifiers usually holds.
func Texts(texts map[string]string) json.RawMessage {
	keys := make([]string, 0, len(texts))
	for k := range texts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b := []byte{'{'}
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(gjson.AppendJSONString(b, k), ':')
		b = gjson.AppendJSONString(b, texts[k])
	}
	return append(b, '}')
}

// Append appends the canonical JSON of the event: its fields in the order of the format, absent ones left out. The error is a
// *Rejection; what Append returns without one is accepted by Decode, its size and its times aside.
func (d Draft) Append(dst []byte) ([]byte, error) {
	for _, f := range [...]struct{ name, value string }{{"event_id", d.ID}, {"table", d.Table}} {
		switch {
		case f.value == "":
			return dst, &Rejection{Reason: MissingField, Field: f.name, Detail: "is missing"}
		case !utf8.ValidString(f.value):
			return dst, &Rejection{Reason: InvalidUTF8, Field: f.name, Detail: "is not UTF-8"}
		case len(f.value) > MaxID:
			return dst, &Rejection{Reason: TooLarge, Field: f.name, Detail: "has " + strconv.Itoa(len(f.value)) + " bytes, the limit is " + strconv.Itoa(MaxID)}
		}
	}
	out := append(dst, `{"event_id":`...)
	out = gjson.AppendJSONString(out, d.ID)
	out = append(out, `,"table":`...)
	out = gjson.AppendJSONString(out, d.Table)
	if d.Time != 0 {
		out = append(out, `,"time":`...)
		out = strconv.AppendInt(out, d.Time, 10)
	}
	for _, f := range [...]struct {
		name  string
		value []byte
	}{{"identifiers", d.Identifiers}, {"properties", d.Properties}, {"context", d.Context}} {
		if len(f.value) == 0 {
			continue
		}
		if !utf8.Valid(f.value) {
			return dst, &Rejection{Reason: InvalidUTF8, Field: f.name, Detail: "is not UTF-8"}
		}
		c := scanner{s: text(f.value), nesting: DefaultNesting}
		i := skipSpace(c.s, 0)
		switch {
		case i >= len(c.s) || c.s[i] != '{':
			return dst, &Rejection{Reason: WrongType, Field: f.name, Detail: "is not a JSON object"}
		}
		end := c.object(i, 2, nil)
		if end == bad || skipSpace(c.s, end) < len(c.s) {
			return dst, &Rejection{Reason: MalformedJSON, Field: f.name, Detail: "at byte " + strconv.Itoa(max(c.at, end)) + ": " + c.problem}
		}
		out = append(append(append(out, `,"`...), f.name...), `":`...)
		out = append(out, f.value[i:end]...)
	}
	return append(out, '}'), nil
}

// New returns the record of an event, without a position. The error is a *Rejection.
func New(d Draft) (Record, error) {
	value, err := d.Append(nil)
	if err != nil {
		return Record{}, err
	}
	r := Record{Value: value, Timestamp: d.Received}
	if d.Key != "" {
		r.Key = []byte(d.Key)
	}
	if d.Received != 0 {
		r.Headers = append(r.Headers, Header{Key: HeaderReceived, Value: strconv.AppendInt(nil, d.Received, 10)})
	}
	if d.Source != "" {
		r.Headers = append(r.Headers, Header{Key: HeaderSource, Value: []byte(d.Source)})
	}
	if d.Seq != 0 {
		r.Headers = append(r.Headers, Header{Key: HeaderSeq, Value: strconv.AppendUint(nil, d.Seq, 10)})
	}
	return r, nil
}
