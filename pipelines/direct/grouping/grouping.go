// Package grouping groups encoded key-value elements by key and window, in memory and, past a bound, on disk.
//
// Elements go in with Add, as blocks of encoded pairs with their windows. When the watermark has passed the end of a window,
// Fire gives out one element per key, with all its values: an on-time pane. Elements that come later, but within the allowed
// lateness, make late panes; those that come later still are dropped and counted. That is what Beam calls the default trigger.
// Windows that merge (sessions) are merged as elements come in.
//
// A Table is cut into shards by the hash of the key, each with a lock of its own. All tables of a job share one Memory. When
// they hold more than it allows, the fullest shards move their values to a database on disk, sorted by window and key, where
// Fire finds them again, one key at a time. So the values of one key in one window must fit into memory; all else need not.
package grouping

import (
	"hash/maphash"
	"math"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"

	"github.com/braidhq/braid/pipelines/direct/element"
)

// shards is how many locks a table has.
const shards = 16

// Windowing says how a table treats windows.
type Windowing struct {
	// Merging windows are sessions: those of one key that overlap become one.
	Merging bool
	// Lateness is for how many milliseconds behind the end of its window an element is still taken.
	Lateness int64
	// Accumulating panes repeat the values of the panes before them; otherwise each value is given out once.
	Accumulating bool
}

// expiry is when a window is forgotten. Every window is, at the end of time.
func (w Windowing) expiry(end mtime.Time) mtime.Time {
	if w.Lateness > int64(mtime.EndOfGlobalWindowTime-end) {
		return max(end, mtime.EndOfGlobalWindowTime)
	}
	return end + mtime.Time(w.Lateness)
}

// Table groups the elements of one GroupByKey. Its methods may be called from several goroutines; Fire from one at a time.
type Table struct {
	in, out   *element.Reader
	windowing Windowing
	memory    *Memory
	seed      maphash.Seed
	late      atomic.Int64
	shards    [shards]*shard
}

// NewTable returns an empty table. Elements come encoded as in reads them; groups are encoded with the windows of out.
func NewTable(in, out *element.Reader, windowing Windowing, memory *Memory) *Table {
	t := &Table{in: in, out: out, windowing: windowing, memory: memory, seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i] = newShard(t)
	}
	memory.register(t)
	return t
}

// Add takes a block of elements. The watermark says which of them are late; urgent reports whether a late pane is due, for
// which Fire must be called. An error leaves the table with a part of the block, or says that the disk failed.
func (t *Table) Add(block []byte, watermark mtime.Time) (urgent bool, err error) {
	err = t.in.EachPair(block, func(h element.Header, key, value []byte) error {
		s := t.shards[maphash.Bytes(t.seed, key)%shards]
		s.mu.Lock()
		for _, w := range h.Windows {
			if !s.add(w, key, value, watermark) {
				t.late.Add(1)
			}
		}
		urgent = urgent || s.urgent
		err := s.err
		s.mu.Unlock()
		return err
	})
	if err != nil {
		return urgent, err
	}
	return urgent, t.memory.shrink()
}

// Hold returns the end of the earliest window that has not been given out: the watermark behind the grouping must not pass it.
func (t *Table) Hold() mtime.Time {
	least := int64(math.MaxInt64)
	for _, s := range t.shards {
		least = min(least, s.hold.Load())
	}
	return min(mtime.Time(least), mtime.MaxTimestamp)
}

// Due reports whether Fire has anything to do at a watermark.
func (t *Table) Due(watermark mtime.Time) bool {
	for _, s := range t.shards {
		if s.due.Load() < int64(watermark) {
			return true
		}
	}
	return false
}

// Fire calls emit with one element per key for each pane that is due, encoded with header, key and values, and forgets the
// windows that no element can reach any more. The bytes are valid until emit returns. If emit fails, Fire returns its error,
// and what it was to give out is lost.
func (t *Table) Fire(watermark mtime.Time, emit func(group []byte) error) error {
	f := &firing{table: t, emit: emit}
	for _, s := range t.shards {
		for _, p := range s.take(watermark) {
			if err := f.pane(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// Late returns how many elements came too late and were dropped, each counted once per window.
func (t *Table) Late() int64 { return t.late.Load() }

// Bytes returns about how much memory the table holds.
func (t *Table) Bytes() int64 {
	n := int64(0)
	for _, s := range t.shards {
		n += s.bytes.Load()
	}
	return n
}
