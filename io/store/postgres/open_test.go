package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/braidhq/braid/io/store/postgres"
	server "github.com/braidhq/braid/testing/postgres"
	"github.com/braidhq/braid/transforms/update"
)

func put(t *testing.T, s update.Store, key, value string, conditions ...update.Condition) (update.Version, error) {
	t.Helper()
	return s.Commit(t.Context(), conditions, []update.Write{{Key: []byte(key), Value: []byte(value)}})
}

func TestOpen(t *testing.T) {
	db := server.Start(t, "fsync=off")

	t.Run("by URL, tables apart", func(t *testing.T) {
		for name, want := range map[string]string{"one": "1", "two": ""} {
			s, err := update.OpenStore(t.Context(), db.URL(name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "one" {
				if _, err := put(t, s, "a", "1"); err != nil {
					t.Fatal(err)
				}
			}
			rows, err := s.Get(t.Context(), [][]byte{[]byte("a")})
			if err != nil || string(rows[0].Value) != want {
				t.Errorf("table %s holds %q, %v, want %q", name, rows[0].Value, err, want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := update.OpenStore(t.Context(), "postgres://me:secret@host/db"); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("a URL with a password: %v", err)
		}
	})

	t.Run("many at once create one table", func(t *testing.T) {
		rawURL := db.NewURL()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				s, err := postgres.Open(t.Context(), options(t, rawURL))
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				_, err = put(t, s, "a", "1")
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})

	t.Run("tables of a newer version are left alone", func(t *testing.T) {
		open(t, db.URL("newer")).Close()
		db.Run("update newer_format set version = 99")
		_, err := postgres.Open(t.Context(), options(t, db.URL("newer")))
		if !errors.Is(err, update.ErrFormat) || errors.Is(err, postgres.ErrUnreachable) || !strings.Contains(err.Error(), "99") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("tables of somebody else are left alone", func(t *testing.T) {
		db.Run("create table foreign_rows (a int)")
		if s, err := postgres.Open(t.Context(), options(t, db.URL("foreign"))); err == nil {
			s.Close()
			t.Error("opened")
		}
	})

	t.Run("a user who may use the tables but not make any", func(t *testing.T) {
		open(t, db.URL("given")).Close()
		db.Run("create role guest login; grant select, insert, update, delete on given_rows, given_format to guest; grant usage on given_versions to guest")
		s, err := postgres.Open(t.Context(), options(t, db.UserURL("guest", "given")))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := put(t, s, "a", "1"); err != nil {
			t.Error(err)
		}
	})

	t.Run("password", func(t *testing.T) {
		db.Run("create role careful login password 'right' in role with_password; create schema authorization careful")
		rawURL := db.UserURL("careful", "own")
		withReference := rawURL + "&password=" + url.QueryEscape("${BRAID_TEST_PASSWORD}")
		t.Setenv("BRAID_TEST_PASSWORD", "right")
		open(t, withReference).Close()
		t.Setenv("BRAID_TEST_PASSWORD", "wrong-one")
		if _, err := postgres.Open(t.Context(), options(t, withReference)); err == nil || strings.Contains(err.Error(), "wrong-one") {
			t.Errorf("with a wrong password: %v", err)
		}
		t.Setenv("PGPASSWORD", "right")
		open(t, rawURL).Close()
		if _, err := postgres.Open(t.Context(), options(t, rawURL+"&password="+url.QueryEscape("${BRAID_TEST_NOT_SET}"))); err == nil {
			t.Error("opened without the variable")
		}
	})
}

// A version carries a number of a sequence and random bits: when the database is set back, a version that a process remembers from
// before does not come again.
func TestVersionsAfterTheDatabaseWasSetBack(t *testing.T) {
	db := server.Start(t, "fsync=off")
	s := open(t, db.URL("back"))
	first, err := put(t, s, "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	lost, err := put(t, s, "a", "2", update.Condition{Key: []byte("a"), Version: first})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		db.Run("select setval('back_versions', last_value - 1) from back_versions")
		again, err := put(t, s, "a", "3")
		if err != nil {
			t.Fatal(err)
		}
		if again == lost {
			t.Fatalf("version %d came again", again)
		}
		if _, err := put(t, s, "a", "4", update.Condition{Key: []byte("a"), Version: lost}); !errors.Is(err, update.ErrConflict) {
			t.Errorf("got %v, want a conflict", err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	for name, rawURL := range map[string]string{
		"no such socket": "postgres:///db?host=" + url.QueryEscape(t.TempDir()),
		"nobody listens": "postgres://me@127.0.0.1:1/db",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := postgres.Open(t.Context(), options(t, rawURL)); !errors.Is(err, postgres.ErrUnreachable) {
				t.Errorf("got %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := postgres.Open(ctx, options(t, rawURL)); !errors.Is(err, context.Canceled) {
				t.Errorf("when cancelled: %v", err)
			}
		})
	}
}

func TestLongKeys(t *testing.T) {
	db := server.Start(t, "fsync=off")
	s := open(t, db.NewURL())
	random := make([]byte, postgres.MaxKey+1)
	state := uint32(1)
	for i := range random {
		state = state*1664525 + 1013904223
		random[i] = byte(state >> 24)
	}
	if _, err := put(t, s, string(random[1:]), "longest"); err != nil {
		t.Error(err)
	}
	if _, err := put(t, s, string(random), "too long"); err == nil || errors.Is(err, update.ErrConflict) {
		t.Errorf("a key that is too long: %v", err)
	}
	rows, err := s.Get(t.Context(), [][]byte{random[1:], random})
	if err != nil || string(rows[0].Value) != "longest" || rows[1].Version != 0 {
		t.Errorf("%v", err)
	}
}

// The database never reads the whole table, also not by a plan that it made while the table was empty.
func TestTableGrowsUnderOldPlans(t *testing.T) {
	db := server.Start(t, "fsync=off", "autovacuum=off")
	s := open(t, db.URL("grown"))
	var version update.Version
	for i := range 30 {
		var conditions []update.Condition
		var writes []update.Write
		var keys [][]byte
		for j := range 50 {
			keys = append(keys, fmt.Appendf(nil, "%d/%d", i, j))
			conditions = append(conditions, update.Condition{Key: keys[j]})
			writes = append(writes, update.Write{Key: keys[j], Value: keys[j]})
		}
		if i > 0 { // one deleted, one looked at, and one that stays absent
			conditions = append(conditions, update.Condition{Key: []byte("0/1"), Version: version}, update.Condition{Key: []byte("none")})
			writes = append(writes, update.Write{Key: fmt.Appendf(nil, "%d/2", i-1)})
		}
		v, err := s.Commit(t.Context(), conditions, writes)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			version = v
		}
		if _, err := s.Get(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Scan(t.Context(), keys[0], keys[9], 20); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Scan(t.Context(), keys[0], nil, 20); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), []update.Condition{{Key: keys[0], Version: v}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	db.Run("do $$ begin assert (select seq_tup_read from pg_stat_user_tables where relname = 'grown_rows') = 0, 'the table was read as a whole'; end $$")
}
