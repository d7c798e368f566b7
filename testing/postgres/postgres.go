// Package postgres runs a throw-away PostgreSQL server for tests.
//
// In goes a test; out comes a server of its own in a temporary directory, reached through a socket in it, which ends with the test.
// The programs are those of Debian's package, or those that PATH finds.
package postgres

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/braidhq/braid/testing/require"
)

// component is the name under which require knows the server.
const component = "postgresql"

// Database and User are what every server has; User may do everything.
const (
	Database = "postgres"
	User     = "braid"
)

// Server is a running PostgreSQL. Connections need no password, except those of a user in the role with_password.
type Server struct {
	t        testing.TB
	programs string // directory
	dir      string // data and socket; belongs to the account that runs the server
	settings []string
	stop     func()
	used     time.Duration // by servers that have ended
	tables   atomic.Int64
}

// Start starts a server, with settings such as "fsync=off" beside the usual ones. Without PostgreSQL on the machine the test is
// skipped, or fails where BRAID_REQUIRE asks for postgresql.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	programs, found := find()
	require.Component(t, component, found, "install it, for example with apt-get install postgresql")
	dir, err := os.MkdirTemp("", "braid-postgres-") // not t.TempDir: another account must get to it, and sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{t: t, programs: programs, dir: dir, settings: append([]string{
		"listen_addresses=", "unix_socket_directories=" + dir, "shared_buffers=64MB", "max_connections=50", "log_min_messages=fatal",
		"client_min_messages=error", "log_min_error_statement=panic", "max_wal_size=2GB",
	}, settings...)}
	if err := own(dir); err != nil {
		t.Fatal(err)
	}
	initialize := s.command("initdb", "--pgdata="+s.data(), "--username="+User, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
	if out, err := initialize.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	rules := "local all +with_password scram-sha-256\nlocal all all trust\n"
	if err := os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Up()
	t.Cleanup(s.Down)
	s.Run("create role with_password")
	return s
}

// find returns the directory of the server's programs: the newest that Debian has, else what PATH has.
func find() (string, bool) {
	if all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(all) > 0 {
		newest := all[0]
		for _, name := range all[1:] {
			if len(name) > len(newest) || len(name) == len(newest) && name > newest {
				newest = name
			}
		}
		return filepath.Dir(newest), true
	}
	name, err := exec.LookPath("initdb")
	return filepath.Dir(name), err == nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command makes a command that runs as the account that may run a server.
func (s *Server) command(name string, arguments ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.programs, name), arguments...)
	c.Dir = s.dir
	c.SysProcAttr = account()
	return c
}

// guard runs the server and ends it when the test's process is gone, however that ended: then its input is closed.
const guard = `"$@" & server=$!; cat >/dev/null; kill -QUIT $server 2>/dev/null; wait $server`

// Up starts the server after Down.
func (s *Server) Up() {
	s.t.Helper()
	arguments := []string{"-c", guard, "guard", filepath.Join(s.programs, "postgres"), "-D", s.data()}
	for _, setting := range s.settings {
		arguments = append(arguments, "-c", setting)
	}
	c := exec.Command("sh", arguments...)
	c.Dir, c.SysProcAttr = s.dir, account()
	var log strings.Builder
	c.Stderr = &log
	input, err := c.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.stop = func() {
		input.Close()
		c.Wait()
		s.used += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		s.stop = func() {}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if s.command("pg_isready", "--quiet", "--host="+s.dir, "--username="+User, "--dbname="+Database).Run() == nil {
			return
		}
		if time.Now().After(deadline) {
			s.stop()
			s.t.Fatalf("the server does not start:\n%s", log.String())
		}
	}
}

// Down ends the server at once, as a crash would: what was not yet written to its log is lost.
func (s *Server) Down() { s.stop() }

// Used returns the processor time that the server has used until it last went down.
func (s *Server) Used() time.Duration { return s.used }

// Run runs SQL commands as User.
func (s *Server) Run(commands string) {
	s.t.Helper()
	c := s.command("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--host="+s.dir, "--username="+User, "--dbname="+Database)
	c.Stdin = strings.NewReader(commands)
	c.Stdout = io.Discard
	var text strings.Builder
	c.Stderr = &text
	if err := c.Run(); err != nil {
		s.t.Fatalf("psql: %v\n%s\n%s", err, commands, text.String())
	}
}

// URL returns the URL of a store in a table of the given name.
func (s *Server) URL(table string) string { return s.UserURL(User, table) }

// UserURL returns the URL of a store for another user than User.
func (s *Server) UserURL(user, table string) string {
	query := url.Values{"host": {s.dir}, "user": {user}, "table": {table}}
	return "postgres:///" + Database + "?" + query.Encode()
}

// NewURL returns the URL of a store in a table that nobody has used yet.
func (s *Server) NewURL() string { return s.URL(fmt.Sprint("test", s.tables.Add(1))) }
