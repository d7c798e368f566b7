package memory

import (
	"errors"

	"github.com/braidhq/braid/transforms/update"
)

// ErrInjected is what a commit returns that a fault hook made fail.
var ErrInjected = errors.New("injected fault")

// Fault is what a fault hook does to one commit.
type Fault int

// The faults a hook can choose from.
const (
	None         Fault = iota // the commit goes its way
	FailBefore                // the commit is dropped and returns ErrInjected
	FailAfter                 // the commit is applied if its conditions hold, yet returns ErrInjected: the caller cannot know
	FailConflict              // the commit is dropped and returns an error that wraps update.ErrConflict
)

// FaultFunc decides the fate of a commit. n counts the commits of these rows from 0, attempts that conflict included. It is called
// with the rows locked: it may keep what it is given for later, but must not call the store.
type FaultFunc func(n int, conditions []update.Condition, writes []update.Write) Fault

// SetFault makes f decide the fate of each commit on these rows, through whichever handle it comes. A nil f ends it.
func (s *Store) SetFault(f FaultFunc) {
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	s.rows.fault = f
}

// FailNth returns a hook that does fault to the nth commit counted from now, from 0, and leaves all others alone.
func FailNth(nth int, fault Fault) FaultFunc {
	return func(int, []update.Condition, []update.Write) Fault {
		nth--
		if nth == -1 {
			return fault
		}
		return None
	}
}
