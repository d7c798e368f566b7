package postgres_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/braidhq/braid/io/store/postgres"
	"github.com/braidhq/braid/io/store/storetest"
	server "github.com/braidhq/braid/testing/postgres"
	"github.com/braidhq/braid/transforms/update"
)

// appendUntil appends to a ledger until a commit or a read fails, and returns the last number that was acknowledged, or had before.
func appendUntil(t *testing.T, s update.Store, ledger storetest.Ledger, acknowledged int) (int, error) {
	t.Helper()
	for {
		n, err := ledger.Append(t.Context(), s)
		if err != nil {
			return acknowledged, err
		}
		acknowledged = n
	}
}

// applied asks until the server answers again.
func applied(t *testing.T, s update.Store, ledger storetest.Ledger) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		n, err := ledger.Applied(t.Context(), s)
		if err == nil {
			return n
		}
		if !errors.Is(err, postgres.ErrUnreachable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// The server crashes in the midst of commits: the store says that it is unreachable, goes on by itself when it is back, and what was
// acknowledged is there.
func TestServerCrash(t *testing.T) {
	db := server.Start(t)
	s := open(t, db.NewURL())
	var ledgers [3]storetest.Ledger
	var acknowledged [3]int
	for i := range ledgers {
		ledgers[i].Prefix = string(rune('a' + i))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 4 {
		var all sync.WaitGroup
		for i := range ledgers {
			all.Go(func() {
				var err error
				if acknowledged[i], err = appendUntil(t, s, ledgers[i], acknowledged[i]); !errors.Is(err, postgres.ErrUnreachable) {
					t.Errorf("round %d: got %v", round, err)
				}
			})
		}
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		db.Down()
		all.Wait()
		db.Up()
		for i, ledger := range ledgers {
			if n := applied(t, s, ledger); n < acknowledged[i] || n > acknowledged[i]+1 {
				t.Errorf("round %d: ledger %d holds %d commits, %d were acknowledged", round, i, n, acknowledged[i])
			}
		}
	}
	t.Logf("acknowledged %v", acknowledged)
}

// The connection breaks after any number of bytes in either direction: no commit is acknowledged that was not applied, none is
// applied in part, and none that failed is called a conflict.
func TestConnectionCut(t *testing.T) {
	db := server.Start(t, "fsync=off")
	real, err := url.Parse(db.NewURL())
	if err != nil {
		t.Fatal(err)
	}
	query := real.Query()
	w := startWire(t, query.Get("host"))
	query.Set("host", w.dir)
	real.RawQuery = query.Encode()
	s := open(t, real.String())
	var ledger storetest.Ledger
	acknowledged, unknown := 0, 0
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		w.left.Store(int64(rng.IntN(15_000)))
		last, err := appendUntil(t, s, ledger, acknowledged)
		if !errors.Is(err, postgres.ErrUnreachable) || errors.Is(err, update.ErrConflict) {
			t.Fatalf("round %d: %v", round, err)
		}
		w.left.Store(1 << 40)
		n := applied(t, s, ledger)
		if n < last || n > last+1 {
			t.Fatalf("round %d: %d commits, %d were acknowledged", round, n, last)
		}
		if n > last {
			unknown++
			if !strings.Contains(err.Error(), "unknown outcome") {
				t.Errorf("round %d: a commit took effect, and was answered by %v", round, err)
			}
		}
		acknowledged = n
	}
	t.Logf("%d commits, %d of them applied without an answer", acknowledged, unknown)
}

// wire is a socket that passes on what it gets to the server's, until the bytes that are left are used up.
type wire struct {
	dir  string
	left atomic.Int64
}

func startWire(t *testing.T, to string) *wire {
	dir, err := os.MkdirTemp("", "wire") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const socket = ".s.PGSQL.5432"
	listener, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	w := &wire{dir: dir}
	w.left.Store(1 << 40)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("unix", filepath.Join(to, socket))
			if err != nil {
				client.Close()
				continue
			}
			go w.pass(client, behind)
			go w.pass(behind, client)
		}
	}()
	return w
}

func (w *wire) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 1000)
	for {
		n, err := from.Read(buffer)
		if left := w.left.Add(-int64(n)); left < 0 {
			n = max(0, n+int(left))
			err = io.EOF
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}
