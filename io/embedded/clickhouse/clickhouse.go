// Package clickhouse runs a real ClickHouse server as a child of this process: in go a directory and the library that holds the server,
// out comes the address of a server that any ClickHouse client can talk to.
//
// # Library
//
// The server is libchdb, a build of ClickHouse as a shared library, half a gigabyte large. It is published as an npm package, which
// Fetch has the npm client bring into the user's cache, once. The version and the checksum of the package are fixed here. It exists
// for Linux on 64-bit Intel and AMD processors, with the C library of GNU; elsewhere ErrUnavailable says what else can be done.
//
// # Child
//
// The library takes over the signal handlers of its process and ends that process when it likes, so it gets one of its own: this
// program, started again. A program that calls Start must therefore call Host first thing in main (and in TestMain). The child ends
// when its standard input ends, so it does not outlive its parent, however that died. What a client was told is written is there
// after a killed child, too. A child that ends by itself is started again, at the same port. This library ends, for example, when a client whose
// password is right names a database that is not there, and sometimes when a connection is cut while it reads from it.
//
// # Users
//
// The server listens on the loopback address only, and nobody gets in without a password but the child itself, whose user may do
// no more than it needs to start and stop. There are two others, whose passwords are made when the directory is new: UserBraid,
// who may do everything in the databases whose names begin with DatabasePrefix, and UserAnalyst, who may read them. An unrestricted user could read
// files of the machine through table functions; neither can.
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cenkalti/backoff/v5"

	"github.com/braidhq/braid/io/embedded"
)

// ErrUnavailable is wrapped by the errors that say why there can be no server here.
var ErrUnavailable = errors.New("embedded ClickHouse is not to be had")

// Options say where and how a server runs.
type Options struct {
	// Dir is the server's own directory, made if needed. Required.
	Dir string
	// Library is the file of libchdb; see Find and Fetch. Required.
	Library string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// MemoryBytes is what the server may take. Default 1 GiB, at least 256 MiB.
	MemoryBytes int64
	// Logger receives what the server complains of. Default slog.Default.
	Logger *slog.Logger
}

const leastMemory = 256 << 20

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("embedded ClickHouse: no directory given")
	case o.Library == "":
		return errors.New("embedded ClickHouse: no library given")
	case o.Port < 0 || o.Port > 65535:
		return fmt.Errorf("embedded ClickHouse: port %d is not between 0 and 65535", o.Port)
	case o.MemoryBytes != 0 && o.MemoryBytes < leastMemory:
		return fmt.Errorf("embedded ClickHouse: %d bytes of memory; it needs at least %d", o.MemoryBytes, int64(leastMemory))
	}
	return nil
}

// Server is a running server.
type Server struct {
	options  Options
	lock     *embedded.DirectoryLock
	accounts accounts

	mu       sync.Mutex
	child    *child
	restarts int

	stop     chan struct{} // closed by Close
	watching sync.WaitGroup
	closed   sync.Once
}

// Start locks the directory and returns when the server answers. The context bounds the start only; Close ends the server. An error
// that wraps embedded.ErrLocked means that another process has the directory.
func Start(ctx context.Context, options Options) (_ *Server, err error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	if options.MemoryBytes == 0 {
		options.MemoryBytes = 1 << 30
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return nil, fmt.Errorf("embedded ClickHouse: %w", err)
	}
	lock, err := embedded.LockDirectory(options.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, lock: lock, stop: make(chan struct{})}
	defer func() {
		if err != nil {
			lock.Release()
		}
	}()
	if s.accounts, err = loadAccounts(options.Dir); err != nil {
		return nil, err
	}
	if err := s.configure(); err != nil {
		return nil, err
	}
	if s.child, err = s.launch(ctx); err != nil {
		return nil, err
	}
	s.options.Port = s.child.port // clients know it: a restarted child listens there again
	s.watching.Go(s.watch)
	return s, nil
}

// launch starts a child and waits until it answers.
func (s *Server) launch(ctx context.Context) (*child, error) {
	c, err := startChild(ctx, s.options)
	if err != nil {
		return nil, fmt.Errorf("embedded ClickHouse in %s: %w", s.options.Dir, err)
	}
	conn, err := clickhouse.Open(s.clientOptions(s.accounts.braid, c.port))
	if err == nil {
		err = conn.Ping(ctx)
		conn.Close()
	}
	if err != nil {
		c.end()
		return nil, fmt.Errorf("embedded ClickHouse in %s: %w", s.options.Dir, err)
	}
	return c, nil
}

// watch starts a new child when one ends by itself.
func (s *Server) watch() {
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = 30 * time.Second
	for {
		s.mu.Lock()
		c := s.child
		s.mu.Unlock()
		select {
		case <-s.stop:
			return
		case <-c.ended:
		}
		s.options.Logger.Error("embedded ClickHouse ended; it is started again", "error", c.failure())
		for {
			timer := time.NewTimer(pause.NextBackOff())
			select {
			case <-s.stop:
				timer.Stop()
				return
			case <-timer.C:
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			next, err := s.launch(ctx)
			cancel()
			if err != nil {
				s.options.Logger.Error("embedded ClickHouse does not start", "error", err)
				continue
			}
			s.mu.Lock()
			s.child = next
			s.restarts++
			s.mu.Unlock()
			pause.Reset()
			break
		}
	}
}

// Address returns where the server listens: 127.0.0.1:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.options.Port)) }

// Restarts returns how often a child ended by itself and was replaced.
func (s *Server) Restarts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Process returns the process ID of the child.
func (s *Server) Process() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.cmd.Process.Pid
}

// Client returns how UserBraid connects.
func (s *Server) Client() *clickhouse.Options {
	return s.clientOptions(s.accounts.braid, s.options.Port)
}

// URL returns where a user reaches a database of the server, as package clickhouseio reads it: the password stays in its file.
func (s *Server) URL(user, database string) string {
	u := url.URL{Scheme: "clickhouse", User: url.User(user), Host: s.Address(), Path: "/" + database}
	u.RawQuery = url.Values{"password_file": {PasswordFile(s.options.Dir, user)}}.Encode()
	return u.String()
}

// AnalystClient returns how UserAnalyst connects.
func (s *Server) AnalystClient() *clickhouse.Options {
	return s.clientOptions(s.accounts.analyst, s.options.Port)
}

func (s *Server) clientOptions(a account, port int) *clickhouse.Options {
	return &clickhouse.Options{
		Addr: []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		Auth: clickhouse.Auth{Username: a.name, Password: a.password},
	}
}

// Close ends the server. Close connections first: an open one makes it take seconds. Closing twice is harmless.
func (s *Server) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.stop)
		s.watching.Wait()
		s.child.end()
		err = errors.Join(os.Remove(filepath.Join(s.options.Dir, usersFile)), s.lock.Release())
	})
	return err
}
