package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/transforms/event"
)

// ApplyFunc takes an event on its way in and returns what is to become of it: itself, changed or not, several events, or none. The
// error refuses it; the sender is told its text.
type ApplyFunc func(event.Draft) ([]event.Draft, error)

// Codes of refusals that only a Config.Apply can cause.
const (
	codeRefused      = "refused"       // the function said so
	codeFailed       = "failed"        // the function panicked
	codeBadEvent     = "bad_event"     // what the function made is no event
	codeUnknownTable = "unknown_table" // what the function made belongs to a table that does not exist
)

// apply passes a stamped event through the functions and returns the records of what they made of it. Identifiers, properties and
// context may change, and with them table, time and the headers seq and source; other fields go on as they came, with each event
// that was made. What Decode does not take passes the functions by: the pipeline rejects it, with its reason.
func (h *Handler) apply(table string, s stamped, now int64) ([]*kgo.Record, *ResultError) {
	d, ok := h.draft(s, now)
	if !ok {
		return []*kgo.Record{h.record(table, s.value, now, h.config.Source, s.seq)}, nil
	}
	drafts, refusal := h.call(d)
	if refusal != nil {
		return nil, refusal
	}
	records := make([]*kgo.Record, 0, len(drafts))
	for i, made := range drafts {
		if made.ID == "" {
			made.ID = s.id
		}
		if i > 0 { // as Seal does it in the prepare job
			made.ID += "/" + strconv.Itoa(i)
		}
		value, err := made.Append(nil)
		if err != nil {
			return nil, &ResultError{Code: codeBadEvent, Detail: fmt.Sprintf("event %d of the %d that this one became: %v", i+1, len(drafts), err)}
		}
		value = append(append(value[:len(value)-1], s.rest...), '}')
		if !h.config.Table(made.Table) {
			return nil, &ResultError{Code: codeUnknownTable, Detail: fmt.Sprintf("it became an event of table %q, which the segment does not have", made.Table)}
		}
		if refusal := h.tooLarge(value); refusal != nil {
			return nil, refusal
		}
		if made.Source == "" {
			made.Source = h.config.Source
		}
		records = append(records, h.record(made.Table, value, now, made.Source, made.Seq))
	}
	return records, nil
}

// draft returns what the functions get, and false when the event is none.
func (h *Handler) draft(s stamped, now int64) (event.Draft, bool) {
	e, err := event.Decode(event.Record{Value: s.value, Timestamp: now}, h.config.Limits)
	if err != nil {
		return event.Draft{}, false
	}
	d := event.Draft{ID: e.ID, Table: e.Table, Time: e.Time, Received: now, Source: h.config.Source, Seq: s.seq}
	for field, name := range map[*json.RawMessage]string{&d.Identifiers: "identifiers", &d.Properties: "properties", &d.Context: "context"} {
		if v := e.Field(name); v.IsObject() {
			*field = json.RawMessage(v.Raw)
		}
	}
	return d, true
}

// call calls the functions. A panic in them is the company's own mistake: it is logged, and costs one event.
func (h *Handler) call(d event.Draft) (drafts []event.Draft, refusal *ResultError) {
	defer func() {
		if p := recover(); p != nil {
			h.config.Logger.Error("ingest: an event function panicked", "event", d.ID, "table", d.Table, "panic", p, "stack", string(debug.Stack()))
			drafts, refusal = nil, &ResultError{Code: codeFailed, Detail: "a function that events pass through failed"}
		}
	}()
	drafts, err := h.config.Apply(d)
	if err == nil {
		return drafts, nil
	}
	code := codeRefused
	var why *event.Rejection
	if errors.As(err, &why) {
		code = string(why.Reason)
	}
	return nil, &ResultError{Code: code, Detail: err.Error()}
}
