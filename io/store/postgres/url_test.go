package postgres_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/postgres"
	"github.com/google/go-cmp/cmp"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		name, url string
		want      postgres.Options
		wrong     string // part of the error
	}{
		{"usual", "postgres://me@host/db?sslmode=require", postgres.Options{URL: "postgres://me@host/db?sslmode=require", Table: "braid"}, ""},
		{"other scheme and a table", "postgresql://host/db?table=shop", postgres.Options{URL: "postgresql://host/db", Table: "shop"}, ""},
		{"reference to a password", "postgres://me@host/db?password=${DB_PASSWORD}",
			postgres.Options{URL: "postgres://me@host/db", Table: "braid", PasswordVariable: "DB_PASSWORD"}, ""},
		{"password", "postgres://me:secret@host/db", postgres.Options{}, "a password does not belong here"},
		{"password as a parameter", "postgres://me@host/db?password=secret", postgres.Options{}, "a password does not belong here"},
		{"two passwords", "postgres://me@host/db?password=${A}&password=secret", postgres.Options{}, "a password does not belong here"},
		{"password of a key", "postgres://me@host/db?sslpassword=secret", postgres.Options{}, "sslpassword"},
		{"table that is no name", "postgres://me@host/db?table=a;b", postgres.Options{}, "malformed"},
		{"table with a quote", "postgres://me@host/db?table=a%22b", postgres.Options{}, "small letters"},
		{"capital letters", "postgres://me@host/db?table=Braid", postgres.Options{}, "small letters"},
		{"no host", "postgres:db", postgres.Options{}, "postgres://USER@HOST/DATABASE"},
		{"wrong option", "postgres://me@host/db?sslmode=perhaps", postgres.Options{}, "sslmode"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			got, err := postgres.ParseURL(u)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("error %v, want one about %q", err, test.wrong)
			}
			if err != nil && strings.Contains(err.Error(), "secret@") || err != nil && strings.Contains(err.Error(), "=secret") {
				t.Errorf("the error repeats the password: %v", err)
			}
		})
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("postgres://me@host:5432/db?sslmode=disable&table=braid&password=${A}")
	f.Add("postgresql:///db?host=/run&user=me")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		if o, err := postgres.ParseURL(u); (err == nil) != (o.Table != "") {
			t.Errorf("table %q, %v", o.Table, err)
		}
	})
}
