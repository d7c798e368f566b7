package update_test

import (
	"context"
	"testing"

	"github.com/braidhq/braid/transforms/update"
)

// meanwhile runs something after the first read.
type meanwhile struct {
	update.Store
	happens func()
}

func (s *meanwhile) Get(ctx context.Context, keys [][]byte) ([]update.Row, error) {
	rows, err := s.Store.Get(ctx, keys)
	if happens := s.happens; happens != nil {
		s.happens = nil
		happens()
	}
	return rows, err
}

// An identifier that moves to another person while it is looked up does not show the one who had it.
func TestIdentifierMovesWhileItIsRead(t *testing.T) {
	s := newScene(t)
	s.settled(s.event(10, "user_id:7 cookie:a"))
	store := &meanwhile{Store: s.store, happens: func() { s.settled(s.event(0, "user_id:8 cookie:a")) }}
	doc, err := update.NewReader(s.config, store).Document(t.Context(), profileID("cookie:a"))
	if err != nil {
		t.Fatal(err)
	}
	if user, _ := update.NewReader(s.config, s.store).Document(t.Context(), profileID("user_id:8")); doc.Key != user.Key {
		t.Errorf("cookie a is %v, want %v", doc.Members, user.Members)
	}
}
