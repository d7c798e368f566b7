// Package store holds what the stores under it share: the checks of a commit's arguments and the errors they have in common.
//
// In goes what a caller hands to update.Store; out come checked arguments or an error that says which rule they break.
package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/update"
)

// ErrClosed is returned by every method of a store after Close.
var ErrClosed = errors.New("the store is closed")

// Order returns the writes in ascending order of their keys, without changing the slice it was given, or an error when a key is
// written twice.
func Order(writes []update.Write) ([]update.Write, error) {
	compare := func(a, b update.Write) int { return bytes.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(writes, compare) {
		writes = slices.Clone(writes)
		slices.SortFunc(writes, compare)
	}
	for i := 1; i < len(writes); i++ {
		if bytes.Equal(writes[i-1].Key, writes[i].Key) {
			return nil, fmt.Errorf("commit: key %q is written twice", writes[i].Key)
		}
	}
	return writes, nil
}

// CheckLimit returns an error when a scan asks for less than one row.
func CheckLimit(limit int) error {
	if limit <= 0 {
		return fmt.Errorf("scan: limit %d, must be positive", limit)
	}
	return nil
}

// Conflict returns an error that wraps update.ErrConflict and names the row.
func Conflict(key []byte, want, found update.Version) error {
	return fmt.Errorf("row %q: expected version %d, found %d: %w", key, want, found, update.ErrConflict)
}
