package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	lsm "github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/braidhq/braid/io/store"
	"github.com/braidhq/braid/transforms/update"
)

// Get implements update.Store.
func (s *Store) Get(ctx context.Context, keys [][]byte) ([]update.Row, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if len(keys) == 0 {
		return nil, nil
	}
	if err := s.gate.broken(); err != nil {
		return nil, err
	}
	rows, err := s.get(keys)
	if err != nil {
		return nil, s.readError(err)
	}
	absent := slices.ContainsFunc(rows, func(r update.Row) bool { return r.Version == 0 })
	return rows, s.await(ctx, s.flights.seen(rows, absent))
}

// get takes what is remembered of the rows and reads the rest as of the same moment.
func (s *Store) get(keys [][]byte) ([]update.Row, error) {
	rows := make([]update.Row, len(keys))
	var values arena
	var missing []int
	s.commitMu.Lock()
	for i, key := range keys {
		row, ok := s.recent.get(key)
		rows[i] = update.Row{Key: key, Value: values.copy(row.value), Version: row.version}
		if !ok {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		s.commitMu.Unlock()
		return rows, nil
	}
	flips := s.recent.flips
	moment := s.db.NewSnapshot()
	s.commitMu.Unlock()
	err := readMissing(rows, keys, missing, moment)
	if err := errors.Join(err, moment.Close()); err != nil {
		return nil, err
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	for _, i := range missing {
		s.recent.learn(rows[i], flips)
	}
	return rows, nil
}

func readMissing(rows []update.Row, keys [][]byte, missing []int, from lsm.Reader) error {
	// In key order neighbours share blocks.
	slices.SortFunc(missing, func(a, b int) int { return bytes.Compare(keys[a], keys[b]) })
	readers := max(1, min(runtime.GOMAXPROCS(0), len(missing)/keysPerReader))
	if readers == 1 {
		return readInto(rows, keys, missing, from)
	}
	var group errgroup.Group
	for part := range slices.Chunk(missing, (len(missing)+readers-1)/readers) {
		group.Go(func() error { return readInto(rows, keys, part, from) })
	}
	return group.Wait()
}

// keysPerReader is how many keys are worth a goroutine of their own.
const keysPerReader = 100

// readInto reads the keys of the given places, which are in key order, into the rows of the same places.
func readInto(rows []update.Row, keys [][]byte, places []int, from lsm.Reader) error {
	var key []byte
	var values arena
	for n, i := range places {
		rows[i].Key = keys[i]
		if n > 0 && bytes.Equal(keys[i], keys[places[n-1]]) {
			rows[i] = rows[places[n-1]]
			continue
		}
		key = append(append(key[:0], rowPrefix), keys[i]...)
		stored, closer, err := from.Get(key)
		if errors.Is(err, lsm.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		rows[i].Version, rows[i].Value, err = decode(stored)
		rows[i].Value = values.copy(rows[i].Value)
		if err := errors.Join(err, closer.Close()); err != nil {
			return err
		}
	}
	return nil
}

// arena copies small values into larger pieces of memory.
type arena []byte

// arenaPiece is the size of a piece. A value that somebody keeps keeps all of its piece.
const arenaPiece = 8 << 10

func (a *arena) copy(value []byte) []byte {
	if len(value) == 0 || len(value) > arenaPiece/4 {
		return bytes.Clone(value)
	}
	if cap(*a)-len(*a) < len(value) {
		*a = make([]byte, 0, arenaPiece)
	}
	from := len(*a)
	*a = append(*a, value...)
	return (*a)[from:len(*a):len(*a)]
}

// Scan implements update.Store.
func (s *Store) Scan(ctx context.Context, from, to []byte, limit int) ([]update.Row, error) {
	if err := store.CheckLimit(limit); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if err := s.gate.broken(); err != nil {
		return nil, err
	}
	rows, err := s.scan(from, to, limit)
	if err != nil {
		return nil, s.readError(err)
	}
	return rows, s.await(ctx, s.flights.seen(rows, true))
}

func (s *Store) scan(from, to []byte, limit int) (rows []update.Row, err error) {
	upper := []byte{afterRows}
	if to != nil {
		upper = rowKey(to)
	}
	lower := rowKey(from)
	if bytes.Compare(lower, upper) >= 0 {
		return nil, nil
	}
	it, err := s.db.NewIter(&lsm.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && len(rows) < limit; ok = it.Next() {
		row := update.Row{Key: bytes.Clone(it.Key()[1:])}
		stored, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		if row.Version, row.Value, err = decode(stored); err != nil {
			return nil, err
		}
		row.Value = bytes.Clone(row.Value)
		rows = append(rows, row)
	}
	return rows, it.Error()
}

// begin takes the shared lock of a call under way, which the caller gives back.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return store.ErrClosed
	}
	return nil
}

func (s *Store) readError(err error) error {
	return fmt.Errorf("store directory %q: reading: %w", s.dir, err)
}

// await waits until the given commits are safe.
func (s *Store) await(ctx context.Context, flights []*flight) error {
	for _, f := range flights {
		for landed := false; !landed; {
			trouble := s.gate.trouble()
			if err := s.gate.err(); err != nil {
				return err
			}
			select {
			case <-f.landed:
				landed = true
			case <-ctx.Done():
				return ctx.Err()
			case <-trouble:
			}
		}
	}
	return nil
}

// flight is a commit that readers can see but that is not safe yet.
type flight struct {
	version update.Version
	deletes bool
	landed  chan struct{}
}

type flights struct {
	mu   sync.Mutex
	open map[update.Version]*flight
}

func (f *flights) start(version update.Version, deletes bool) *flight {
	started := &flight{version: version, deletes: deletes, landed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[update.Version]*flight{}
	}
	f.open[version] = started
	return started
}

func (f *flights) land(landed *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, landed.version)
	close(landed.landed)
}

// seen returns the flights whose outcome shows in the rows: those that wrote one, and if something is absent those that delete.
func (f *flights) seen(rows []update.Row, absent bool) (out []*flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.open) == 0 {
		return nil
	}
	for _, row := range rows {
		if flight, ok := f.open[row.Version]; ok && !slices.Contains(out, flight) {
			out = append(out, flight)
		}
	}
	for _, flight := range f.open {
		if absent && flight.deletes && !slices.Contains(out, flight) {
			out = append(out, flight)
		}
	}
	return out
}

func (f *flights) all() (out []*flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, flight := range f.open {
		out = append(out, flight)
	}
	return out
}
