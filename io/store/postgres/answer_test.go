package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/postgres"
	server "github.com/braidhq/braid/testing/postgres"
	"github.com/braidhq/braid/transforms/update"
)

// What the server answers to a commit becomes a conflict, where that is what it means, or an error that names the store.
func TestAnswersToACommit(t *testing.T) {
	db := server.Start(t, "fsync=off")
	rawURL := db.URL("answers")
	s := open(t, rawURL)
	for _, test := range []struct {
		name, code            string
		conflict, unreachable bool
	}{
		{"serialization failure", "40001", true, false},
		{"deadlock", "40P01", true, false},
		{"malformed text, not from the check", "22P02", false, false},
		{"disk full", "53100", false, false},
		{"cancelled by an operator", "57014", false, false},
		{"shutdown", "57P01", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			db.Run(fmt.Sprintf(`
				create or replace function fail() returns trigger language plpgsql as $$ begin raise exception 'on purpose' using errcode = '%s'; end $$;
				create or replace trigger fail before insert or update on answers_rows for each row execute function fail()`, test.code))
			_, err := put(t, s, "a", "1")
			if err == nil || errors.Is(err, update.ErrConflict) != test.conflict || errors.Is(err, postgres.ErrUnreachable) != test.unreachable {
				t.Errorf("got %v", err)
			}
			if !test.conflict && !strings.Contains(err.Error(), "store postgres:///") || strings.Contains(err.Error(), "unknown outcome") {
				t.Errorf("got %v", err)
			}
			db.Run("drop trigger fail on answers_rows")
			if _, err := put(t, s, "a", "1"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
