package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/braidhq/braid/io/store"
	"github.com/braidhq/braid/transforms/update"
)

// maxCommit bounds the bytes of one commit, well below what a batch of the library can hold.
const maxCommit = 1 << 30

// Commit implements update.Store. While the disk is full it fails with an error that wraps ErrDiskFull.
func (s *Store) Commit(ctx context.Context, conditions []update.Condition, writes []update.Write) (update.Version, error) {
	writes, err := store.Order(writes)
	if err != nil {
		return 0, err
	}
	size := 0
	for _, w := range writes {
		size += len(w.Key) + len(w.Value) + 2*versionBytes
	}
	if size > maxCommit {
		return 0, fmt.Errorf("commit of %d bytes, at most %d are possible", size, maxCommit)
	}
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.life.RUnlock()
	if err := s.gate.err(); err != nil {
		return 0, err
	}
	// The commit runs on its own, for it may have to wait for the disk longer than its caller wants to.
	outcome := make(chan result, 1)
	s.commits.Add(1)
	go func() {
		defer s.commits.Done()
		defer func() {
			if p := recover(); p != nil {
				s.gate.fail(fmt.Errorf("commit: %v", p))
			}
		}()
		v, err := s.commit(conditions, writes, size)
		outcome <- result{v, err}
	}()
	for {
		trouble := s.gate.trouble()
		if err := s.gate.err(); err != nil {
			return 0, fmt.Errorf("commit with unknown outcome: %w", err)
		}
		select {
		case r := <-outcome:
			return r.version, r.err
		case <-ctx.Done():
			return 0, fmt.Errorf("commit with unknown outcome: %w", ctx.Err())
		case <-trouble:
		}
	}
}

type result struct {
	version update.Version
	err     error
}

func (s *Store) commit(conditions []update.Condition, writes []update.Write, size int) (update.Version, error) {
	if len(writes) == 0 {
		return 0, s.check(conditions)
	}
	version, err := s.versions.take(s.db)
	if err != nil {
		return 0, s.failed(err)
	}
	batch := s.db.NewBatchWithSize(size + len(writes)*16)
	deletes := false
	for _, w := range writes {
		deletes = deletes || w.Value == nil
		if err := s.add(batch, w, version); err != nil {
			return 0, errors.Join(err, batch.Close())
		}
	}
	flight, err := s.apply(conditions, writes, batch, version, deletes)
	if err != nil {
		return 0, err
	}
	if err := batch.SyncWait(); err != nil {
		return 0, s.failed(err)
	}
	s.flights.land(flight)
	return version, batch.Close()
}

// check verifies the conditions of a commit that writes nothing.
func (s *Store) check(conditions []update.Condition) error {
	s.commitMu.Lock()
	err := s.verify(conditions)
	seen := s.flights.all()
	s.commitMu.Unlock()
	if err != nil {
		return err
	}
	return s.await(context.Background(), seen)
}

// add puts one write into the batch, laid out in place.
func (s *Store) add(batch *lsm.Batch, w update.Write, version update.Version) error {
	if w.Value == nil {
		op := batch.DeleteDeferred(1 + len(w.Key))
		op.Key[0] = rowPrefix
		copy(op.Key[1:], w.Key)
		return op.Finish()
	}
	op := batch.SetDeferred(1+len(w.Key), versionBytes+len(w.Value))
	op.Key[0] = rowPrefix
	copy(op.Key[1:], w.Key)
	binary.BigEndian.PutUint64(op.Value, uint64(version))
	copy(op.Value[versionBytes:], w.Value)
	return op.Finish()
}

// apply checks the conditions and makes the batch visible, both under the lock. The log write is then under way.
func (s *Store) apply(conditions []update.Condition, writes []update.Write, batch *lsm.Batch, version update.Version, deletes bool) (*flight, error) {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := s.verify(conditions); err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	flight := s.flights.start(version, deletes)
	if err := s.db.ApplyNoSyncWait(batch, lsm.Sync); err != nil {
		return nil, s.failed(err)
	}
	if err := s.gate.broken(); err != nil {
		return nil, err
	}
	for _, w := range writes {
		row := recentRow{version: version, value: w.Value}
		if w.Value == nil {
			row.version = 0
		}
		s.recent.put(w.Key, row)
	}
	return flight, nil
}

// verify compares the conditions with the rows. The caller holds commitMu.
func (s *Store) verify(conditions []update.Condition) error {
	for _, c := range conditions {
		row, ok := s.recent.get(c.Key)
		found := row.version
		if !ok {
			var err error
			if found, err = s.version(c.Key); err != nil {
				return err
			}
		}
		if found != c.Version {
			return store.Conflict(c.Key, c.Version, found)
		}
	}
	return nil
}

func (s *Store) version(key []byte) (update.Version, error) {
	stored, closer, err := s.db.Get(rowKey(key))
	if errors.Is(err, lsm.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, s.readError(err)
	}
	defer closer.Close()
	if len(stored) < versionBytes {
		return 0, s.readError(errRow)
	}
	return update.Version(binary.BigEndian.Uint64(stored)), nil
}

// failed turns a failure of a write into the store's end.
func (s *Store) failed(err error) error {
	s.gate.fail(err)
	return s.gate.err()
}
