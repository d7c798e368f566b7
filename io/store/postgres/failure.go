package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/braidhq/braid/io/store"
	"github.com/braidhq/braid/transforms/update"
)

// ErrUnreachable is wrapped by errors that say that there is no connection to the database, or that it was lost. Trying again later
// may help.
var ErrUnreachable = errors.New("no connection to the database")

// SQLSTATEs that mean something here.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	undefinedTable       = "42P01"
	duplicateTable       = "42P07"
	duplicateObject      = "42710"
	invalidText          = "22P02" // how the check of a commit ends the transaction
	classConnection      = "08"
	classOperator        = "57P" // the server shuts down, starts up or was told to end the session
)

// failure tells what was done, where, and why it failed.
func (s *Store) failure(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		return store.ErrClosed
	case unreachable(err):
		return fmt.Errorf("store %s: %s: %w: %w", s.name, what, ErrUnreachable, err)
	}
	return fmt.Errorf("store %s: %s: %w", s.name, what, err)
}

// unreachable reports whether an error is about the connection: all that is no answer of the server, and what the server says about
// itself.
func unreachable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, update.ErrFormat) {
		return false
	}
	k := code(err)
	return k == "" || strings.HasPrefix(k, classConnection) || strings.HasPrefix(k, classOperator)
}
