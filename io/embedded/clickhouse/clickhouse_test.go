package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/testing/require"
)

func TestMain(m *testing.M) {
	clickhouse.Host()
	os.Exit(m.Run())
}

func library(t testing.TB) string {
	t.Helper()
	path, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	return path
}

func options(t testing.TB) clickhouse.Options {
	return clickhouse.Options{Dir: t.TempDir(), Library: library(t), Logger: slog.New(slog.DiscardHandler)}
}

func start(t testing.TB, o clickhouse.Options) *clickhouse.Server {
	t.Helper()
	s, err := clickhouse.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func connect(t testing.TB, o *client.Options) driver.Conn {
	t.Helper()
	conn, err := client.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func exec(t testing.TB, conn driver.Conn, query string, args ...any) {
	t.Helper()
	if err := conn.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t testing.TB, conn driver.Conn, query string) (n uint64) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// What was written is there after a restart, under the same passwords.
func TestRestartGoesOn(t *testing.T) {
	o := options(t)
	s := start(t, o)
	conn := connect(t, s.Client())
	exec(t, conn, "CREATE DATABASE braid_retail")
	exec(t, conn, "CREATE TABLE braid_retail.events (n UInt64) ENGINE = MergeTree ORDER BY n")
	exec(t, conn, "INSERT INTO braid_retail.events SELECT number FROM numbers(1000)")
	access := s.Client()
	conn.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	if s.Client().Auth != access.Auth {
		t.Error("the password changed")
	}
	if n := count(t, connect(t, s.Client()), "SELECT count() FROM braid_retail.events"); n != 1000 {
		t.Errorf("%d rows, want 1000", n)
	}
}

// Acknowledged batches are there, whole, after the child was killed while others were being written; and it is up again at the same
// port without anybody's doing.
func TestKilledChildComesBackWithWhatItAcknowledged(t *testing.T) {
	s := start(t, options(t))
	conn := connect(t, s.Client())
	exec(t, conn, "CREATE DATABASE braid_retail")
	exec(t, conn, "CREATE TABLE braid_retail.events (batch UInt64, n UInt64) ENGINE = MergeTree ORDER BY (batch, n)")
	acknowledged := uint64(0)
	address := s.Address()
	for round := range 3 {
		pid := s.Process()
		for batch := acknowledged; ; batch++ {
			if batch == acknowledged+5 {
				go syscall.Kill(pid, syscall.SIGKILL)
			}
			if err := conn.Exec(t.Context(), "INSERT INTO braid_retail.events SELECT ?, number FROM numbers(1000)", batch); err != nil {
				acknowledged = batch // this one may or may not be there, and is written again
				break
			}
		}
		for s.Restarts() <= round {
			if t.Context().Err() != nil {
				t.Fatal("it did not come back")
			}
			time.Sleep(time.Millisecond)
		}
		if s.Address() != address {
			t.Fatalf("it moved from %s to %s", address, s.Address())
		}
		conn = connect(t, s.Client())
		if n := count(t, conn, fmt.Sprintf("SELECT uniqExact(batch) FROM braid_retail.events WHERE batch < %d", acknowledged)); n != acknowledged {
			t.Fatalf("%d of %d acknowledged batches are there", n, acknowledged)
		}
		if n := count(t, conn, "SELECT count() FROM (SELECT batch FROM braid_retail.events GROUP BY batch HAVING uniqExact(n) != 1000)"); n != 0 {
			t.Fatalf("%d batches are there in part", n)
		}
	}
}

// Nobody gets in without a password, analysts only read, and nobody reads files of the machine.
func TestUsersMayDoWhatTheyNeed(t *testing.T) {
	s := start(t, options(t))
	braid, analyst := connect(t, s.Client()), connect(t, s.AnalystClient())
	exec(t, braid, "CREATE DATABASE braid_retail")
	exec(t, braid, "CREATE TABLE braid_retail.events (n UInt64) ENGINE = MergeTree ORDER BY n")
	exec(t, braid, "INSERT INTO braid_retail.events VALUES (1)")
	exec(t, braid, "ALTER TABLE braid_retail.events ADD COLUMN m UInt64")
	if n := count(t, analyst, "SELECT count() FROM braid_retail.events"); n != 1 {
		t.Errorf("%d rows", n)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	anybody := s.Client()
	anybody.Auth = client.Auth{Username: "default"}
	for _, refused := range []struct {
		name  string
		conn  driver.Conn
		query string
	}{
		{"an analyst writes", analyst, "INSERT INTO braid_retail.events (n) VALUES (2)"},
		{"an analyst drops", analyst, "DROP TABLE braid_retail.events"},
		{"an analyst reads a file", analyst, "SELECT * FROM file('" + secret + "', 'TSV', 'n UInt64')"},
		{"an analyst calls out", analyst, "SELECT * FROM url('http://127.0.0.1:1', 'TSV', 'n UInt64')"},
		{"braid reads a file", braid, "SELECT * FROM file('" + secret + "', 'TSV', 'n UInt64')"},
		{"braid calls out", braid, "SELECT * FROM url('http://127.0.0.1:1', 'TSV', 'n UInt64')"},
		{"braid leaves its databases", braid, "CREATE DATABASE elsewhere"},
		{"the child's user reads events", connect(t, anybody), "SELECT * FROM braid_retail.events"},
	} {
		var exception *client.Exception
		if err := refused.conn.Exec(t.Context(), refused.query); !errors.As(err, &exception) || exception.Code != 497 && exception.Code != 164 {
			t.Errorf("%s: %v", refused.name, err)
		}
	}
	for _, auth := range []client.Auth{{Username: "braid"}, {Username: "analyst", Password: "analyst"}, {Username: "analyst", Password: s.Client().Auth.Password}} {
		o := s.Client()
		o.Auth = auth
		if err := connect(t, o).Ping(t.Context()); err == nil {
			t.Errorf("%s gets in with the password %q", auth.Username, auth.Password)
		}
	}
}

func TestDirectoryHasOneServer(t *testing.T) {
	o := options(t)
	start(t, o)
	if s, err := clickhouse.Start(t.Context(), o); !errors.Is(err, embedded.ErrLocked) {
		t.Errorf("%v, %v", s, err)
	}
}

// What cannot start says why.
func TestStartSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := options(t)
	for want, change := range map[string]func(*clickhouse.Options){
		"no directory":           func(o *clickhouse.Options) { o.Dir = "" },
		"no library":             func(o *clickhouse.Options) { o.Library = "" },
		"port -1":                func(o *clickhouse.Options) { o.Port = -1 },
		"bytes of memory":        func(o *clickhouse.Options) { o.MemoryBytes = 1 },
		"/nowhere/libchdb.so":    func(o *clickhouse.Options) { o.Library = "/nowhere/libchdb.so" },
		"Address already in use": func(o *clickhouse.Options) { o.Port = taken.Addr().(*net.TCPAddr).Port },
	} {
		o := good
		change(&o)
		s, err := clickhouse.Start(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if s != nil {
			s.Close()
		}
	}
}

// Without npm, and with one that fails, the error says what else can be done; the next try begins anew.
func TestFetchSaysWhatElseCanBeDone(t *testing.T) {
	if _, err := clickhouse.Find(); errors.Is(err, clickhouse.ErrUnavailable) {
		t.Log("no library for this platform")
		return
	}
	bin := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", bin)
	check := func(want string) {
		t.Helper()
		_, err := clickhouse.Fetch(t.Context(), nil)
		if !errors.Is(err, clickhouse.ErrUnavailable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "clickhouse: off") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	check("there is no npm here")
	npm := func(script string) {
		if err := os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	npm("echo 'npm ERR! code E404' >&2; exit 1")
	check("E404")
	npm("exit 0")
	check("left 0 packages")
	npm(": > wrong.tgz")
	check("not what it should be")
	check("not what it should be") // the wrong package did not stay
}

// Many who want the library at once get it, and what is there is not fetched again.
func TestFetchIsDoneOnce(t *testing.T) {
	want := library(t)
	t.Setenv("PATH", t.TempDir())
	got, err := clickhouse.Fetch(context.Background(), func(clickhouse.Progress) { t.Error("it was fetched again") })
	if err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}
