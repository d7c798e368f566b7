package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/braidhq/braid/io/store"
	"github.com/braidhq/braid/transforms/update"
)

// MaxKey is how long a key may be, in bytes; the database's index takes no more.
const MaxKey = 2500

// Commit implements update.Store. An error that says that the outcome is unknown may have been applied.
func (s *Store) Commit(ctx context.Context, conditions []update.Condition, writes []update.Write) (update.Version, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	writes, err := store.Order(writes)
	if err != nil {
		return 0, err
	}
	conditions, err = order(conditions)
	if err != nil {
		return 0, err
	}
	if len(writes) == 0 {
		return 0, s.look(ctx, conditions)
	}
	t := newTransaction(conditions, writes)
	for _, key := range t.keys {
		if len(key) > MaxKey {
			return 0, fmt.Errorf("commit: the key that begins with %q has %d bytes, at most %d are possible", key[:32], len(key), MaxKey)
		}
	}
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return 0, s.failure("commit", err)
	}
	defer c.Release()
	version, err := t.run(ctx, c.Conn())
	switch {
	case err == nil || errors.Is(err, update.ErrConflict):
		return version, err
	case code(err) == "" || c.Conn().IsClosed():
		return 0, s.failure("commit, with unknown outcome", err)
	}
	return 0, s.failure("commit", err)
}

// order sorts the conditions by key, each once. Two that contradict each other are a conflict.
func order(conditions []update.Condition) ([]update.Condition, error) {
	compare := func(a, b update.Condition) int { return bytes.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(conditions, compare) {
		conditions = slices.Clone(conditions)
		slices.SortFunc(conditions, compare)
	}
	out := conditions[:0:0]
	for i, c := range conditions {
		switch {
		case i == 0 || !bytes.Equal(conditions[i-1].Key, c.Key):
			out = append(out, c)
		case conditions[i-1].Version != c.Version:
			return nil, store.Conflict(c.Key, conditions[i-1].Version, c.Version)
		}
	}
	return out, nil
}

// look is a commit that writes nothing: one statement that sees one moment.
func (s *Store) look(ctx context.Context, conditions []update.Condition) error {
	if len(conditions) == 0 {
		return nil
	}
	keys := make([][]byte, len(conditions))
	for i, c := range conditions {
		keys[i] = c.Key
	}
	rows, err := s.pool.Query(ctx, sqlVersions, keys)
	if err != nil {
		return s.failure("commit", err)
	}
	found := map[string]update.Version{}
	var key []byte
	var version int64
	if _, err := pgx.ForEachRow(rows, []any{&key, &version}, func() error {
		found[string(key)] = update.Version(version)
		return nil
	}); err != nil {
		return s.failure("commit", err)
	}
	for _, c := range conditions {
		if found[string(c.Key)] != c.Version {
			return store.Conflict(c.Key, c.Version, found[string(c.Key)])
		}
	}
	return nil
}

// transaction holds the arguments of a commit's statements.
type transaction struct {
	keys, values [][]byte // rows to lock, ascending, and what is written to them; nil values are locked only
	checked      [][]byte
	versions     []int64  // that the checked rows should have had
	deleted      [][]byte // also rows that are only there because they were locked
}

func newTransaction(conditions []update.Condition, writes []update.Write) *transaction {
	t := &transaction{}
	for _, c := range conditions {
		for len(writes) > 0 && bytes.Compare(writes[0].Key, c.Key) < 0 {
			t.write(writes[0])
			writes = writes[1:]
		}
		t.checked, t.versions = append(t.checked, c.Key), append(t.versions, int64(c.Version))
		if len(writes) > 0 && bytes.Equal(writes[0].Key, c.Key) {
			t.write(writes[0])
			writes = writes[1:]
			continue
		}
		t.keys, t.values = append(t.keys, c.Key), append(t.values, nil)
		if c.Version == 0 {
			t.deleted = append(t.deleted, c.Key)
		}
	}
	for _, w := range writes {
		t.write(w)
	}
	return t
}

func (t *transaction) write(w update.Write) {
	t.keys, t.values = append(t.keys, w.Key), append(t.values, w.Value)
	if w.Value == nil {
		t.deleted = append(t.deleted, w.Key)
	}
}

// run sends the transaction and reads what came of it.
func (t *transaction) run(ctx context.Context, c *pgx.Conn) (update.Version, error) {
	var version, wrong int64
	random := rand.Int64N(1 << 20)
	var batch pgx.Batch
	batch.Queue(sqlBegin)
	batch.Queue(sqlWrite, t.keys, t.values, random)
	batch.Queue(sqlCheck, t.checked, t.versions, random)
	if len(t.deleted) > 0 {
		batch.Queue(sqlDelete, t.deleted)
	}
	batch.Queue(sqlCommit)
	results := c.SendBatch(ctx, &batch)
	var err error
	for _, q := range batch.QueuedQueries {
		if q.SQL == sqlCheck {
			err = results.QueryRow().Scan(&version, &wrong)
		} else {
			_, err = results.Exec()
		}
		if err != nil {
			err = meaning(q.SQL, err)
			break
		}
	}
	if closing := results.Close(); err == nil {
		err = closing
	}
	if err == nil {
		return update.Version(version), nil
	}
	if !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		_, _ = c.Exec(ctx, sqlRollback) // else the connection is thrown away, which does the same
	}
	return 0, err
}

// meaning makes conflicts of the errors of a statement that mean one.
func meaning(statement string, err error) error {
	switch k := code(err); {
	case statement == sqlCheck && k == invalidText, k == serializationFailure, k == deadlockDetected:
		return fmt.Errorf("%w (%w)", update.ErrConflict, err)
	}
	return err
}
