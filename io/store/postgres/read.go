package postgres

import (
	"bytes"
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/braidhq/braid/io/store"
	"github.com/braidhq/braid/transforms/update"
)

// Get implements update.Store.
func (s *Store) Get(ctx context.Context, keys [][]byte) ([]update.Row, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	out := make([]update.Row, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	found, err := s.rows(ctx, sqlGet, keys)
	if err != nil {
		return nil, s.failure("get", err)
	}
	byKey := make(map[string]int, len(found))
	for i, r := range found {
		byKey[string(r.Key)] = i
	}
	for i, key := range keys {
		out[i].Key = key
		if at, ok := byKey[string(key)]; ok {
			out[i] = found[at]
		}
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
	if from == nil {
		from = []byte{} // nil would be null, which nothing is greater than
	}
	var rows []update.Row
	var err error
	switch {
	case to == nil:
		rows, err = s.rows(ctx, sqlScanAll, from, limit)
	case bytes.Compare(from, to) < 0:
		rows, err = s.rows(ctx, sqlScan, from, to, limit)
	}
	return rows, s.failure("scan", err)
}

// rows runs a statement that returns key, version and value.
func (s *Store) rows(ctx context.Context, name string, arguments ...any) ([]update.Row, error) {
	found, err := s.pool.Query(ctx, name, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(r pgx.CollectableRow) (row update.Row, err error) {
		var version int64
		err = r.Scan(&row.Key, &version, &row.Value)
		row.Version = update.Version(version)
		return row, err
	})
}
