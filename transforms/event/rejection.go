package event

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Reason says why a record was rejected; it is stable and fit for counting.
type Reason string

// The reasons. The last ones need a segment to decide on and are used by the cores behind this one.
const (
	MalformedJSON Reason = "malformed_json"
	InvalidUTF8   Reason = "invalid_utf8"
	TooLarge      Reason = "too_large"
	TooDeep       Reason = "too_deep"
	MissingField  Reason = "missing_field"
	WrongType     Reason = "wrong_type"
	BadTime       Reason = "bad_time"
	BadHeader     Reason = "bad_header"
	BadMarker     Reason = "bad_marker"
	UnknownTable  Reason = "unknown_table"
	NoIdentifier  Reason = "no_identifier"
	BadRuling     Reason = "bad_ruling"
	BadLinks      Reason = "bad_links"
)

var fixes = map[Reason]string{
	MalformedJSON: "send one JSON object per record",
	InvalidUTF8:   "encode the event as UTF-8",
	TooLarge:      "send less, or raise the limit on purpose",
	TooDeep:       "flatten the event",
	MissingField:  "send a string of 1 to 256 bytes",
	WrongType:     "send the type that the event format names",
	BadTime:       "send epoch milliseconds (1291190400000) or RFC 3339 (2010-12-01T08:00:00Z); old data needs the header received, or a source with clock: source",
	BadHeader:     "let ingest set the headers, or send decimal numbers",
	BadMarker:     "only the marker controller may write markers",
	UnknownTable:  "declare the table in segment.yaml, or correct the name",
	BadLinks:      "send identifiers, a list of two or more, each as key:value",
	BadRuling:     "send ruling (unlink, forbid or allow), a and b, two identifiers as key:value",
	NoIdentifier:  "send at least one identifier that segment.yaml maps for this table",
}

// Rejection is why a record cannot be used. It is an error whose message says what is wrong, where, and how to fix it.
type Rejection struct {
	Reason Reason
	Field  string // field or header concerned; empty when it is the whole record
	Detail string // what is wrong with it
}

// Error returns the whole message.
func (r *Rejection) Error() string {
	what := r.Field
	if what == "" {
		what = "event"
	}
	s := string(r.Reason) + ": " + what + " " + r.Detail
	if fix := r.Fix(); fix != "" {
		s += "; " + fix
	}
	return s
}

// Fix says what the sender can do about it; empty for an unknown reason.
func (r *Rejection) Fix() string { return fixes[r.Reason] }

// RejectedVersion is the format version of RejectedRecord.
const RejectedVersion = 1

// RejectedBytes is how much of an original value a RejectedRecord keeps, and RejectedHeadBytes how much of its key and headers together:
// whatever a record holds, the broker takes the rejected one.
const (
	RejectedBytes     = 1 << 20
	RejectedHeadBytes = 64 << 10
)

// RejectedRecord is the value of a record of the topic rejected: the reason, and the original so that it can be replayed.
// Binary parts are base64 in JSON.
type RejectedRecord struct {
	Version   int              `json:"v"`
	Trace     string           `json:"trace"` // the event's ID where it is known, else TOPIC/PARTITION/OFFSET of the original
	Reason    Reason           `json:"reason"`
	Field     string           `json:"field,omitempty"`
	Detail    string           `json:"detail"`
	Fix       string           `json:"fix,omitempty"`
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Received  int64            `json:"received"` // receive time of the original in epoch milliseconds
	Key       []byte           `json:"key,omitempty"`
	Headers   []RejectedHeader `json:"headers,omitempty"`
	Value     []byte           `json:"value"`       // at most RejectedBytes
	Bytes     int              `json:"value_bytes"` // length of the original value; more than len(Value) when it was cut
	// HeadBytes is the size of the original key and headers together, 16 bytes more for each header, where that is more than
	// RejectedHeadBytes: the key was cut to that length then, and the headers were left out.
	HeadBytes int `json:"head_bytes,omitempty"`
}

// RejectedHeader is one header of the original record.
type RejectedHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// Reject builds the rejected record for an original record.
func Reject(r Record, why *Rejection) RejectedRecord {
	out := RejectedRecord{
		Version: RejectedVersion, Reason: why.Reason, Field: why.Field, Detail: why.Detail, Fix: why.Fix(),
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Received: receivedOf(r),
		Key: r.Key, Value: r.Value[:min(len(r.Value), RejectedBytes)], Bytes: len(r.Value),
		Trace: r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10),
	}
	head := len(r.Key)
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, RejectedHeader(h))
		head += len(h.Key) + len(h.Value) + 16
	}
	if head > RejectedHeadBytes {
		out.HeadBytes, out.Headers, out.Key = head, nil, r.Key[:min(len(r.Key), RejectedHeadBytes)]
	}
	probe := Event{Raw: r.Value}
	if id := probe.Field("event_id"); id.Str != "" && len(id.Str) <= MaxID {
		out.Trace = id.Str
	}
	return out
}

// receivedOf is the receive time of a record that need not be valid.
func receivedOf(r Record) int64 {
	var e Event
	e.Received = r.Timestamp
	for _, h := range r.Headers {
		if h.Key == HeaderReceived {
			_ = e.headers([]Header{h}) // a malformed one leaves the timestamp
		}
	}
	return e.Received
}

// Replayable reports whether the whole original is kept.
func (r RejectedRecord) Replayable() bool { return r.Bytes == len(r.Value) && r.HeadBytes == 0 }

// Original returns the record as it was, fit to be sent again: with its receive time, whatever its headers held.
func (r RejectedRecord) Original() Record {
	out := Record{
		Position:  Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
		Timestamp: r.Received, Key: r.Key, Value: r.Value,
	}
	for _, h := range r.Headers {
		if h.Key != HeaderReceived && h.Key != HeaderMarker {
			out.Headers = append(out.Headers, Header(h))
		}
	}
	out.Headers = append(out.Headers, Header{Key: HeaderReceived, Value: strconv.AppendInt(nil, r.Received, 10)})
	return out
}

// Encode returns the record's JSON.
func (r RejectedRecord) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("rejected record %s: %w", r.Trace, err)
	}
	return b, nil
}

// DecodeRejected reads what Encode wrote.
func DecodeRejected(value []byte) (RejectedRecord, error) {
	var r RejectedRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return RejectedRecord{}, fmt.Errorf("rejected record: %w", err)
	}
	if r.Version != RejectedVersion {
		return RejectedRecord{}, fmt.Errorf("rejected record: version %d is not known here (%d is); use a newer braid", r.Version, RejectedVersion)
	}
	return r, nil
}

// excerpt quotes at most 64 bytes of foreign text for a message.
func excerpt(b []byte) string {
	const most = 64
	if len(b) > most {
		return strconv.QuoteToASCII(string(b[:most])) + "..."
	}
	return strconv.QuoteToASCII(string(b))
}
