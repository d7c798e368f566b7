package postgres_test

import (
	"net/url"
	"testing"

	"github.com/braidhq/braid/io/store/postgres"
	"github.com/braidhq/braid/io/store/storetest"
	server "github.com/braidhq/braid/testing/postgres"
	"github.com/braidhq/braid/transforms/update"
)

func options(t testing.TB, rawURL string) postgres.Options {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	o, err := postgres.ParseURL(u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func open(t testing.TB, rawURL string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), options(t, rawURL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	db := server.Start(t, "fsync=off")
	storetest.Run(t, func(testing.TB) storetest.Opener {
		rawURL := db.NewURL()
		return func(t testing.TB) update.Store {
			s, err := postgres.Open(t.Context(), options(t, rawURL))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

func BenchmarkStore(b *testing.B) {
	db := server.Start(b)
	storetest.Benchmark(b, open(b, db.NewURL()))
}
