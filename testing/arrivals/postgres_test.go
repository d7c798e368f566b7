package arrivals_test

import (
	"net/url"
	"testing"

	"github.com/braidhq/braid/io/store/postgres"
	"github.com/braidhq/braid/testing/arrivals/history"
	server "github.com/braidhq/braid/testing/postgres"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The same over PostgreSQL.
func TestAnyArrivalOnPostgres(t *testing.T) {
	db := server.Start(t, "fsync=off")
	config, err := history.Config(identity.MoveToLatest)
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	rapid.Check(t, func(r *rapid.T) {
		if cases++; cases%10 != 1 { // making tables takes a while
			return
		}
		u, err := url.Parse(db.NewURL())
		if err != nil {
			r.Fatal(err)
		}
		options, err := postgres.ParseURL(u)
		if err != nil {
			r.Fatal(err)
		}
		open := func() update.Store {
			s, err := postgres.Open(t.Context(), options)
			if err != nil {
				r.Fatal(err)
			}
			return s
		}
		records := history.Draw(r)
		s := draw(r, records)
		store := open()
		defer store.Close()
		how := run{config: config, workers: 2, zombie: true, seed: rapid.Uint64().Draw(r, "seed")}
		got := how.applyTo(r, s, store)
		want := plainly(r, config, records)
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("(-want +got):\n%s\n%s", diff, s.Describe())
		}
		again := open()
		defer again.Close()
		if diff := cmp.Diff(want, profiles(r, config, again)); diff != "" {
			r.Fatalf("opened again (-want +got):\n%s", diff)
		}
	})
}
