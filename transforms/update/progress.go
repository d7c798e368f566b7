package update

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update/updatepb"
)

// Format is the version of the stored form of progress and outbox rows.
const Format = 1

// ErrFormat is wrapped by errors about rows that a newer version of Braid wrote.
var ErrFormat = profile.ErrFormat

// ErrDamaged is wrapped by errors about rows that cannot be read.
var ErrDamaged = profile.ErrDamaged

func checkFormat(format uint32) error {
	switch {
	case format == 0:
		return fmt.Errorf("%w: it has no format version", ErrDamaged)
	case format > Format:
		return fmt.Errorf("%w: format %d, known is %d", ErrFormat, format, Format)
	}
	return nil
}

// Partition names one partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

func (p Partition) compare(o Partition) int {
	return cmp.Or(strings.Compare(p.Topic, o.Topic), cmp.Compare(p.Partition, o.Partition))
}

// String returns topic/partition.
func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Progress says how far a partition has been applied.
type Progress struct {
	TopicID    [16]byte
	NextOffset int64
	Epoch      Epoch
	Clock      int64  // greatest receive time so far, epoch milliseconds
	NextEffect uint64 // number of the partition's next effect
}

func (p Progress) marshal() ([]byte, error) {
	m := updatepb.Progress{
		Format: Format, TopicId: p.TopicID[:], NextOffset: p.NextOffset, Epoch: p.Epoch.Current, Oldest: p.Epoch.Oldest, Pruned: p.Epoch.Pruned,
		Clock: p.Clock, NextEffect: p.NextEffect,
	}
	return m.MarshalVT()
}

func unmarshalProgress(row []byte) (Progress, error) {
	var m updatepb.Progress
	if err := m.UnmarshalVT(row); err != nil {
		return Progress{}, fmt.Errorf("progress row: %w: %w", ErrDamaged, err)
	}
	if err := checkFormat(m.Format); err != nil {
		return Progress{}, fmt.Errorf("progress row: %w", err)
	}
	if len(m.TopicId) != 16 {
		return Progress{}, fmt.Errorf("progress row: %w: it has no topic ID", ErrDamaged)
	}
	return Progress{
		TopicID: [16]byte(m.TopicId), NextOffset: m.NextOffset, Epoch: Epoch{Current: m.Epoch, Oldest: m.Oldest, Pruned: m.Pruned},
		Clock: m.Clock, NextEffect: m.NextEffect,
	}, nil
}

// TopicChangedError says that a topic is not the one whose records were applied: it was deleted and created again.
type TopicChangedError struct {
	Partition Partition
	Applied   [16]byte // topic ID of the records applied so far
	Found     [16]byte
}

// Error tells what happened and how to go on.
func (e *TopicChangedError) Error() string {
	return fmt.Sprintf("%s was deleted and created again: records up to now came from topic ID %x, this one is %x; "+
		"'braid topics accept %s' makes Braid go on with the new topic from its beginning",
		e.Partition, e.Applied, e.Found, e.Partition.Topic)
}

// Permanent reports that trying again does not help.
func (e *TopicChangedError) Permanent() bool { return true }

// pass moves the progress past a record. It reports false when the record was applied before.
func (p *Progress) pass(in *Input) bool {
	if in.Position.Offset < p.NextOffset {
		return false
	}
	p.NextOffset = in.Position.Offset + 1
	p.Clock = max(p.Clock, in.Received)
	return true
}

// mark begins the epoch of a marker. Epochs only rise: that of a record is the highest marker before it.
func (p *Progress) mark(m *event.Marker) {
	if !m.Tick {
		p.Epoch.Current = max(p.Epoch.Current, m.Epoch)
		p.Epoch.Oldest = max(p.Epoch.Oldest, m.Oldest)
		p.Epoch.Pruned = max(p.Epoch.Pruned, m.Pruned)
	}
}

// Log is what a topic holds at a moment: by partition the first offset, and the one after the last.
type Log struct {
	TopicID    [16]byte
	Start, End map[int32]int64
}

// LostRecordsError says that a topic lacks records: some were deleted before they were applied, or the broker lost the last ones.
type LostRecordsError struct {
	Partition  Partition
	Next       int64 // the offset to be applied next
	Start, End int64 // what the log holds
}

// Error tells what happened and how to go on.
func (e *LostRecordsError) Error() string {
	what := fmt.Sprintf("%d records were deleted before they were applied (up to offset %d)", e.Start-e.Next, e.Start)
	if e.Next >= e.Start {
		what = fmt.Sprintf("the broker lost the last %d records that had been applied (from offset %d)", e.Next-e.End, e.End)
	}
	return fmt.Sprintf("%s: %s; 'braid topics accept %s' makes Braid go on with what is there", e.Partition, what, e.Partition.Topic)
}

// Check reports why a topic cannot go on being applied where the progress of its partitions stands: a *TopicChangedError, a
// *LostRecordsError, or nil.
func (l Log) Check(topic string, progress map[int32]Progress) error {
	for _, n := range slices.Sorted(maps.Keys(progress)) {
		p, at := Partition{Topic: topic, Partition: n}, progress[n]
		start, end := l.Start[n], l.End[n]
		switch {
		case at.NextOffset == 0:
		case at.TopicID != l.TopicID:
			return &TopicChangedError{Partition: p, Applied: at.TopicID, Found: l.TopicID}
		case at.NextOffset < start || at.NextOffset > end:
			return &LostRecordsError{Partition: p, Next: at.NextOffset, Start: start, End: end}
		}
	}
	return nil
}

// accept moves progress to where it can go on in a log: to its beginning in another topic, into its bounds in the same one.
func (l Log) accept(partition int32, at Progress) Progress {
	if at.TopicID != l.TopicID {
		return Progress{Epoch: at.Epoch, Clock: at.Clock, NextEffect: at.NextEffect}
	}
	at.NextOffset = min(max(at.NextOffset, l.Start[partition]), l.End[partition])
	return at
}

// ReadProgress returns the progress of all partitions that a segment has applied records of.
func ReadProgress(ctx context.Context, store Store, namespace string) (map[Partition]Progress, error) {
	return readProgress(ctx, store, keyspace(namespace))
}

func readProgress(ctx context.Context, store Store, k keyspace) (map[Partition]Progress, error) {
	from, to := k.all('p')
	prefix := len(from)
	all := map[Partition]Progress{}
	for {
		rows, err := store.Scan(ctx, from, to, 1000)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			id := row.Key[prefix:]
			if len(id) < 5 {
				return nil, fmt.Errorf("progress row %q: %w", id, ErrDamaged)
			}
			p := Partition{Topic: string(id[:len(id)-5]), Partition: int32(binary.BigEndian.Uint32(id[len(id)-4:]))}
			if all[p], err = unmarshalProgress(row.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			from = append(append([]byte(nil), row.Key...), 0)
		}
		if len(rows) < 1000 {
			return all, nil
		}
	}
}

// AcceptTopic makes progress possible in a topic that was deleted and created again, which is then applied from its beginning, or
// that lost records, which are then skipped. It returns how many partitions go on elsewhere than where they stood. No pipeline may
// run on the store meanwhile.
func AcceptTopic(ctx context.Context, store Store, namespace, topic string, log Log) (int, error) {
	k := keyspace(namespace)
	all, err := ReadProgress(ctx, store, namespace)
	if err != nil {
		return 0, err
	}
	var writes []Write
	for p, progress := range all {
		accepted := log.accept(p.Partition, progress)
		if p.Topic != topic || accepted == progress {
			continue
		}
		row, err := accepted.marshal()
		if err != nil {
			return 0, err
		}
		writes = append(writes, Write{Key: k.progress(p), Value: row})
	}
	if len(writes) == 0 {
		return 0, nil
	}
	_, err = store.Commit(ctx, nil, writes)
	return len(writes), err
}

// clockScan is how many readings of a clock lie between two looks for partitions that are new.
const clockScan = 50

// StreamClock tells the time up to which a topic has been applied. It reads the progress of the partitions it knows of row by row
// and looks for further ones now and then: their rows are rewritten with every bundle, and a scan would pass by all that was
// overwritten. Not safe for concurrent use.
type StreamClock struct {
	store    Store
	keys     keyspace
	topic    string
	known    [][]byte // keys of progress rows
	readings int      // until the next scan
}

// NewStreamClock returns the clock of a topic as a segment's store knows it.
func NewStreamClock(store Store, namespace, topic string) *StreamClock {
	return &StreamClock{store: store, keys: keyspace(namespace), topic: topic}
}

// Now returns the least receive time over the progress of the topic's partitions, in epoch milliseconds; zero while nothing has
// been applied.
func (c *StreamClock) Now(ctx context.Context) (int64, error) {
	if len(c.known) == 0 || c.readings == 0 {
		return c.scan(ctx)
	}
	c.readings--
	rows, err := c.store.Get(ctx, c.known)
	if err != nil {
		return 0, err
	}
	now := int64(math.MaxInt64)
	for _, row := range rows {
		if row.Version == 0 {
			return c.scan(ctx)
		}
		progress, err := unmarshalProgress(row.Value)
		if err != nil {
			return 0, fmt.Errorf("progress of %s: %w", c.topic, err)
		}
		now = min(now, progress.Clock)
	}
	return now, nil
}

func (c *StreamClock) scan(ctx context.Context) (int64, error) {
	all, err := readProgress(ctx, c.store, c.keys)
	if err != nil {
		return 0, err
	}
	c.known, c.readings = c.known[:0], clockScan
	now := int64(math.MaxInt64)
	for p, progress := range all {
		if p.Topic == c.topic {
			c.known = append(c.known, c.keys.progress(p))
			now = min(now, progress.Clock)
		}
	}
	if len(c.known) == 0 {
		return 0, nil
	}
	return now, nil
}
