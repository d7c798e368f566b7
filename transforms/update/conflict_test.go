package update_test

import (
	"context"
	"testing"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

// interrupted runs something between a bundle's reading and its commit, once.
type interrupted struct {
	update.Store
	between func()
}

func (s *interrupted) Commit(ctx context.Context, conditions []update.Condition, writes []update.Write) (update.Version, error) {
	if between := s.between; between != nil {
		s.between = nil
		between()
	}
	return s.Store.Commit(ctx, conditions, writes)
}

// Another partition's events of the same person, committed while a bundle is under way, are not lost: neither those of the same
// cell, whose document's header stays as it is, nor those that make the person known.
func TestCommitsBetween(t *testing.T) {
	for name, before := range map[string]int{"a cell that is known": 3, "nobody is known": 0} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			for range before {
				s.settled(s.event(0, "user_id:7 cookie:a"))
			}
			other := s.config.Prepare(record(1, "o1", "user_id:7 cookie:a"))
			other.Position = event.Position{Topic: topic, Partition: 3}
			between := &interrupted{Store: s.store, between: func() {
				if _, err := update.NewWorker(s.config, s.store).Apply(t.Context(), []*update.Input{other}); err != nil {
					t.Error(err)
				}
			}}
			result, err := update.NewWorker(s.config, between).Apply(t.Context(), []*update.Input{s.event(2, "user_id:7 cookie:a")})
			if err != nil || result.Conflicts != 1 {
				t.Errorf("%d conflicts, %v", result.Conflicts, err)
			}
			if got := s.views("cookie:a"); got != int64(before)+2 {
				t.Errorf("%d views, want %d", got, before+2)
			}
		})
	}
}
