// Package archive says what is kept of the stream for analysts and for the batch path.
//
// In go records and what the cores decided about them; out come rows, whose fields are named after the columns of the tables. The raw
// text of a record is the truth and is kept byte by byte; everything beside it can be computed again.
package archive

import (
	"time"

	"github.com/google/uuid"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// Position is where a record stands.
type Position struct {
	TopicID   uuid.UUID `ch:"topic_id"`
	Partition uint32    `ch:"partition"`
	Offset    uint64    `ch:"offset"`
}

// PositionOf returns where a record stands.
func PositionOf(topicID [16]byte, p event.Position) Position {
	return Position{uuid.UUID(topicID), uint32(p.Partition), uint64(p.Offset)}
}

// Kind is what a record of the stream is.
type Kind string

// The kinds.
const (
	KindEvent    Kind = "event"
	KindRejected Kind = "rejected"
	KindMarker   Kind = "marker"
	KindTick     Kind = "tick"
)

// StreamRow is a record of the stream.
type StreamRow struct {
	Position
	Epoch     uint64    `ch:"epoch"`
	Kind      string    `ch:"kind"`
	Reason    string    `ch:"reason"`
	Appended  time.Time `ch:"appended"`
	Received  time.Time `ch:"received"`
	Time      time.Time `ch:"time"`
	OrderTime time.Time `ch:"order_time"`
	Seq       uint64    `ch:"seq"`
	EventID   string    `ch:"event_id"`
	Table     string    `ch:"table"`
	Source    string    `ch:"source"`
	Cell      string    `ch:"cell"`

	Identifiers map[string]string `ch:"identifiers"`
	Definitions []string          `ch:"definitions"`
	Raw         string            `ch:"raw"`
	Properties  string            `ch:"properties_text"`
	Context     string            `ch:"context_text"`
}

// Stream returns the row of a record. Epoch is the greatest marker before it in its partition, for a marker its own.
func Stream(c *update.Config, r event.Record, in *update.Input, epoch uint64) StreamRow {
	row := StreamRow{
		Position: PositionOf(r.TopicID, r.Position), Epoch: epoch, Kind: string(KindEvent), Appended: at(r.Timestamp), Received: at(in.Received),
		Raw: string(r.Value), Properties: "{}", Context: "{}",
	}
	switch {
	case in.Marker != nil && in.Marker.Tick:
		row.Kind = string(KindTick)
		row.Raw = "" // it says nothing but the time
	case in.Marker != nil:
		row.Kind = string(KindMarker)
	case in.Rejected != nil:
		row.Kind, row.Reason, row.Raw = string(KindRejected), string(in.Rejected.Reason), "" // the log of the rejected holds it
		row.EventID = in.Rejected.Trace
	default:
		e := &in.Event
		row.Time, row.OrderTime, row.Seq = at(e.Time), at(e.Order.Time), e.Order.Seq
		row.EventID, row.Table, row.Source = e.ID, e.Table, e.Source
		row.Identifiers = make(map[string]string, len(in.Identifiers))
		for _, i := range in.Identifiers {
			row.Identifiers[i.Key] = i.Value
		}
		row.Cell = profile.NewCell(c.Namespace, in.Identifiers).ID.String()
		for _, d := range in.Matched {
			row.Definitions = append(row.Definitions, c.Events.Name(d))
		}
		row.Properties, row.Context = object(e.Field("properties").Raw), object(e.Field("context").Raw)
	}
	return row
}

// Bounds of what a column of times holds.
var (
	earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2299, 12, 31, 23, 59, 59, 999e6, time.UTC)
)

// at returns a moment in epoch milliseconds, moved into the bounds; the raw text holds it as it was.
func at(ms int64) time.Time {
	switch {
	case ms < earliest.UnixMilli():
		return earliest
	case ms > latest.UnixMilli():
		return latest
	}
	return time.UnixMilli(ms).UTC()
}

// LogRow is a record of a topic of effects.
type LogRow struct {
	Position
	Appended time.Time `ch:"appended"`
	ID       string    `ch:"id"`
	Raw      string    `ch:"raw"`
}

// Log returns the row of an effect. The ID is that of its header.
func Log(r event.Record, header string) LogRow {
	row := LogRow{Position: PositionOf(r.TopicID, r.Position), Appended: at(r.Timestamp), Raw: string(r.Value)}
	for _, h := range r.Headers {
		if h.Key == header {
			row.ID = string(h.Value)
		}
	}
	return row
}
