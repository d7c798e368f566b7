package grouping

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Memory is what the tables of one job may hold in memory together, and the database that takes what is more.
type Memory struct {
	limit int64
	dir   string
	used  atomic.Int64
	slots atomic.Uint64
	seq   atomic.Uint64
	moved atomic.Int64

	mu     sync.Mutex // only one at a time moves values out
	tables []*Table
	db     *pebble.DB
	path   string
}

// NewMemory returns a Memory of so many bytes. What is more goes into a new directory inside dir, by default the system's
// for temporary files, which is made when it is first needed and removed by Close.
func NewMemory(limit int64, dir string) *Memory { return &Memory{limit: limit, dir: dir} }

// Spilled returns how many bytes have been moved to disk so far.
func (m *Memory) Spilled() int64 { return m.moved.Load() }

// Close removes everything from the disk. No table may be used any more.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.db == nil {
		return nil
	}
	err := errors.Join(m.db.Close(), os.RemoveAll(m.path))
	m.db = nil
	return err
}

func (m *Memory) register(t *Table) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tables = append(m.tables, t)
}

// silent keeps the database from logging.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("grouping: database: "+format, args...))
}

// open makes the database, if there is none. It needs the lock.
func (m *Memory) open() error {
	if m.db != nil {
		return nil
	}
	path, err := os.MkdirTemp(m.dir, "braid-grouping-")
	if err != nil {
		return fmt.Errorf("grouping: directory for what does not fit into memory: %w", err)
	}
	// Nothing of it outlives the process, so there is no log and nothing is synced.
	db, err := pebble.Open(path, &pebble.Options{DisableWAL: true, MemTableSize: 16 << 20, Logger: silent{}})
	if err != nil {
		return errors.Join(fmt.Errorf("grouping: open database: %w", err), os.RemoveAll(path))
	}
	m.db, m.path = db, path
	return nil
}

// shrink moves values to disk if there are too many in memory, from the fullest shards first.
func (m *Memory) shrink() error {
	if m.used.Load() <= m.limit {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used.Load() <= m.limit {
		return nil // another goroutine did it
	}
	if err := m.open(); err != nil {
		return err
	}
	var all []*shard
	for _, t := range m.tables {
		all = append(all, t.shards[:]...)
	}
	sizes := map[*shard]int64{}
	for _, s := range all {
		sizes[s] = s.bytes.Load()
	}
	slices.SortFunc(all, func(a, b *shard) int { return cmp.Compare(sizes[b], sizes[a]) })
	for _, s := range all {
		if m.used.Load() <= m.limit/2 {
			break
		}
		if err := s.spill(); err != nil {
			return err
		}
	}
	return nil
}

// spill moves the values of a shard to disk. Those that a late pane is about to give out stay.
func (s *shard) spill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.t.memory
	batch := m.db.NewBatch()
	defer batch.Close()
	for _, p := range s.windows {
		if err := s.spillPane(batch, p); err != nil {
			return err
		}
	}
	for _, ps := range s.sessions {
		for _, p := range ps {
			if err := s.spillPane(batch, p); err != nil {
				return err
			}
		}
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("grouping: write to disk: %w", err)
	}
	return nil
}

func (s *shard) spillPane(batch *pebble.Batch, p *pane) error {
	m := s.t.memory
	keep := s.t.windowing.Merging || s.t.windowing.Lateness > 0 // what else is known of the key is needed later
	for k, g := range p.groups {
		if g.count == 0 || g.dirty {
			continue
		}
		if p.slot == 0 {
			p.slot = m.slots.Add(1)
		}
		key := binary.BigEndian.AppendUint64(prefix(p.slot, k), m.seq.Add(1))
		value := append(binary.BigEndian.AppendUint32(nil, uint32(g.count)), g.values...)
		if err := batch.Set(key, value, nil); err != nil {
			return fmt.Errorf("grouping: write to disk: %w", err)
		}
		m.moved.Add(int64(len(value)))
		s.grow(-len(g.values))
		if g.count, g.values = 0, nil; !keep {
			delete(p.groups, k)
			s.grow(-len(k) - groupBytes)
		}
	}
	return nil
}

// prefix begins the database keys of a group. The length comes first, so that the entries of one key are neighbours.
func prefix(slot uint64, key string) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 20+len(key)), slot)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	return append(b, key...)
}

// read calls f with what a slot holds, up to an entry's number: the entries of a key one after another.
func (m *Memory) read(slot, upTo uint64, f func(key []byte, count int32, values []byte) error) error {
	return m.scan(binary.BigEndian.AppendUint64(nil, slot), binary.BigEndian.AppendUint64(nil, slot+1), upTo, f)
}

// find returns the values of one key.
func (m *Memory) find(slot uint64, key string, upTo uint64) (values []byte, count int32, err error) {
	from := prefix(slot, key)
	err = m.scan(from, binary.BigEndian.AppendUint64(slices.Clone(from), math.MaxUint64), upTo, func(_ []byte, n int32, v []byte) error {
		values, count = append(values, v...), count+n
		return nil
	})
	return values, count, err
}

func (m *Memory) scan(from, to []byte, upTo uint64, f func(key []byte, count int32, values []byte) error) (err error) {
	it, err := m.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return fmt.Errorf("grouping: read from disk: %w", err)
	}
	defer func() {
		if e := it.Close(); e != nil && err == nil {
			err = fmt.Errorf("grouping: read from disk: %w", e)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("grouping: read from disk: %w", err)
		}
		k := it.Key()
		if binary.BigEndian.Uint64(k[len(k)-8:]) > upTo {
			continue
		}
		if err := f(k[12:len(k)-8], int32(binary.BigEndian.Uint32(v)), v[4:]); err != nil {
			return err
		}
	}
	return nil
}

// drop removes a slot.
func (m *Memory) drop(slot uint64) error {
	from, to := binary.BigEndian.AppendUint64(nil, slot), binary.BigEndian.AppendUint64(nil, slot+1)
	if err := m.db.DeleteRange(from, to, pebble.NoSync); err != nil {
		return fmt.Errorf("grouping: remove from disk: %w", err)
	}
	return nil
}
