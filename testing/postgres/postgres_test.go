package postgres_test

import (
	"net/url"
	"os"
	"testing"

	"github.com/braidhq/braid/testing/postgres"
)

func TestServer(t *testing.T) {
	var dir string
	t.Run("while it runs", func(t *testing.T) {
		s := postgres.Start(t)
		u, err := url.Parse(s.URL("a"))
		if err != nil {
			t.Fatal(err)
		}
		dir = u.Query().Get("host")
		if one, other := s.NewURL(), s.NewURL(); one == other {
			t.Error("a URL was given out twice")
		}
		s.Run("create table kept (a int); insert into kept values (1)")
		s.Down()
		s.Up()
		s.Run("do $$ begin assert (select count(*) from kept) = 1; end $$")
	})
	if _, err := os.Stat(dir); dir != "" && !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
}
