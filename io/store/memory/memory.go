// Package memory is an ordered store in the memory of one process, for tests and for trying things out.
//
// Opened by URL as memory:NAME: one name is one set of rows for the life of the process, so that a worker which stops and starts
// again finds what it left. Tests reach into the commits with SetFault.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"sync"

	"github.com/google/btree"

	"github.com/braidhq/braid/io/store"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	update.RegisterStore("memory", func(_ context.Context, u *url.URL) (update.Store, error) {
		return Named(u.Opaque + u.Path), nil
	})
}

// Store is a handle on a set of rows in memory.
type Store struct {
	rows   *rows
	mu     sync.RWMutex // held shared by calls under way
	closed bool
}

var _ update.Store = (*Store)(nil)

// rows are what the handles of one name share. Stored values are never changed, so readers need no copies.
type rows struct {
	mu      sync.RWMutex
	tree    *btree.BTreeG[update.Row]
	last    update.Version
	commits int
	fault   FaultFunc
}

var named struct {
	sync.Mutex
	rows map[string]*rows
}

// New returns a store of its own, empty.
func New() *Store { return &Store{rows: newRows()} }

// Named returns a handle on the rows of that name, creating them when the process has none yet. Closing the handle keeps them.
func Named(name string) *Store {
	named.Lock()
	defer named.Unlock()
	r, ok := named.rows[name]
	if !ok {
		if named.rows == nil {
			named.rows = map[string]*rows{}
		}
		r = newRows()
		named.rows[name] = r
	}
	return &Store{rows: r}
}

// Reopen returns another handle on the same rows, as a worker that starts again gets it.
func (s *Store) Reopen() *Store { return &Store{rows: s.rows} }

func newRows() *rows {
	return &rows{tree: btree.NewG(64, func(a, b update.Row) bool { return bytes.Compare(a.Key, b.Key) < 0 })}
}

// Get implements update.Store.
func (s *Store) Get(ctx context.Context, keys [][]byte) ([]update.Row, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	s.rows.mu.RLock()
	defer s.rows.mu.RUnlock()
	out := make([]update.Row, len(keys))
	for i, key := range keys {
		row, _ := s.rows.tree.Get(update.Row{Key: key})
		row.Key = key
		out[i] = row
	}
	return out, nil
}

// Scan implements update.Store.
func (s *Store) Scan(ctx context.Context, from, to []byte, limit int) ([]update.Row, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	s.rows.mu.RLock()
	defer s.rows.mu.RUnlock()
	var out []update.Row
	s.rows.tree.AscendGreaterOrEqual(update.Row{Key: from}, func(row update.Row) bool {
		if to != nil && bytes.Compare(row.Key, to) >= 0 {
			return false
		}
		out = append(out, row)
		return len(out) < limit
	})
	return out, nil
}

// Commit implements update.Store.
func (s *Store) Commit(ctx context.Context, conditions []update.Condition, writes []update.Write) (update.Version, error) {
	writes, err := store.Order(writes)
	if err != nil {
		return 0, err
	}
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.mu.RUnlock()
	return s.rows.commit(conditions, writes)
}

// Close implements update.Store. The rows stay for the next handle.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// begin takes the shared lock of a call under way, which the caller gives back.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return store.ErrClosed
	}
	return nil
}

func (r *rows) commit(conditions []update.Condition, writes []update.Write) (update.Version, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fault := None
	if r.fault != nil {
		fault = r.fault(r.commits, conditions, writes)
	}
	r.commits++
	switch fault {
	case FailBefore:
		return 0, ErrInjected
	case FailConflict:
		return 0, fmt.Errorf("%w: %w", ErrInjected, update.ErrConflict)
	}
	for _, c := range conditions {
		row, _ := r.tree.Get(update.Row{Key: c.Key})
		if row.Version != c.Version {
			return 0, store.Conflict(c.Key, c.Version, row.Version)
		}
	}
	if len(writes) == 0 {
		return 0, nil
	}
	r.last++
	for _, w := range writes {
		if w.Value == nil {
			r.tree.Delete(update.Row{Key: w.Key})
			continue
		}
		r.tree.ReplaceOrInsert(update.Row{Key: bytes.Clone(w.Key), Value: cloneValue(w.Value), Version: r.last})
	}
	if fault == FailAfter {
		return 0, ErrInjected
	}
	return r.last, nil
}

// cloneValue keeps an empty value apart from an absent one.
func cloneValue(v []byte) []byte { return append(make([]byte, 0, len(v)), v...) }
