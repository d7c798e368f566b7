package aggregate

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// Row is an archived event.
type Row struct {
	Cell      string    `ch:"cell"`
	TopicID   uuid.UUID `ch:"topic_id"`
	Partition uint32    `ch:"partition"`
	Offset    uint64    `ch:"offset"`
	Appended  time.Time `ch:"appended"`
	Received  time.Time `ch:"received"`
	Seq       uint64    `ch:"seq"`
	Source    string    `ch:"source"`
	Table     string    `ch:"table"`
	Raw       string    `ch:"raw"`
}

// Columns and order in which Row is read. Within a cell, epochs come one after the other, and each partition's records in their order:
// as the stream counted them.
const (
	// Counted says which archived records have a part in attributes, or in the memory of retries.
	Counted = "kind = 'event' AND table != '" + update.TableRulings + "'"
	// InOrder is how they are read.
	InOrder = "cell, epoch, partition, offset"
	// SplitBy is how the work is shared out.
	SplitBy = "cityHash64(cell)"
)

// record returns the record as it stood in the stream.
func (r *Row) record() event.Record {
	return event.Record{
		Position: event.Position{Partition: int32(r.Partition), Offset: int64(r.Offset)}, TopicID: [16]byte(r.TopicID),
		Timestamp: r.Appended.UnixMilli(), Value: []byte(r.Raw),
		Headers: []event.Header{
			{Key: event.HeaderReceived, Value: strconv.AppendInt(nil, r.Received.UnixMilli(), 10)},
			{Key: event.HeaderSeq, Value: strconv.AppendUint(nil, r.Seq, 10)},
			{Key: event.HeaderSource, Value: []byte(r.Source)},
		},
	}
}

// Folder folds archived events, which come cell by cell, into cells. It is the stream's own arithmetic: the same memory of retries, the
// same definitions, the same accumulators.
type Folder struct {
	config *update.Config
	seen   func(identity.ID) profile.Seen
	limits event.Limits

	text   string // of the ID of the cell under way
	cell   *profile.Cell
	bucket profile.Bucket
}

// NewFolder returns a folder for cells whose memory of retries before the first of their events seen gives; nil means that they have
// none.
func NewFolder(config *update.Config, seen func(identity.ID) profile.Seen) *Folder {
	return &Folder{config: config, seen: seen, limits: event.Limits{Bytes: 1 << 30}}
}

// Add folds an event in. When it belongs to another cell than the one before, that one is done and is returned.
func (f *Folder) Add(r *Row) (done *snapshot.Cell, err error) {
	if f.cell == nil || r.Cell != f.text {
		done = f.Done()
		id, err := identity.ParseID(r.Cell)
		if err != nil {
			return nil, fmt.Errorf("aggregate: cell %q of partition %d, offset %d: %w", r.Cell, r.Partition, r.Offset, err)
		}
		f.text, f.cell, f.bucket = r.Cell, &profile.Cell{ID: id}, profile.Bucket{}
		if f.seen != nil {
			f.cell.Seen = f.seen(id)
		}
	}
	e, err := event.Decode(r.record(), f.limits)
	if err != nil {
		return done, fmt.Errorf("aggregate: partition %d, offset %d: the archive holds what is no event: %w", r.Partition, r.Offset, err)
	}
	if !f.cell.Sight(&e) || r.Table == update.TableLinks {
		return done, nil
	}
	f.bucket.Events++
	if f.bucket.States, _, err = f.config.Attributes.Add(f.bucket.States, &e, f.config.Events.Match(&e, nil)); err != nil {
		return done, fmt.Errorf("aggregate: partition %d, offset %d: %w", r.Partition, r.Offset, err)
	}
	return done, nil
}

// Done returns the cell under way, nil when there is none.
func (f *Folder) Done() *snapshot.Cell {
	if f.cell == nil {
		return nil
	}
	c := &snapshot.Cell{ID: f.cell.ID, Events: f.bucket.Events, States: f.bucket.States.Append(nil), Seen: f.cell.Seen}
	f.cell = nil
	return c
}
