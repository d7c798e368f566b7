// Package postgres is the store of several processes: one table in a PostgreSQL database.
//
// Opened by URL as postgres://USER@HOST/DATABASE?sslmode=verify-full&table=NAME. In goes what update.Store takes. A read is one
// statement, and so sees one moment. A commit is one transaction sent in one round trip: its first statement takes the rows it
// touches in the order of their keys, whether they exist or not, and writes them; the second looks whether the conditions held and
// breaks the transaction off when one did not; the last deletes. Nobody else can touch the rows in between, so commits are
// serializable although the database need not be asked for it.
//
// The statements keep to what CockroachDB and YugabyteDB document to understand as well; there they run under serializable isolation.
// The tests run on PostgreSQL only.
package postgres

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/braidhq/braid/io/store"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	open := func(ctx context.Context, u *url.URL) (update.Store, error) {
		options, err := ParseURL(u)
		if err != nil {
			return nil, err
		}
		return Open(ctx, options)
	}
	update.RegisterStore("postgres", open)
	update.RegisterStore("postgresql", open)
}

// Store is an open table. It is safe for concurrent use, by any number of processes.
type Store struct {
	name   string // for messages
	pool   *pgxpool.Pool
	closed atomic.Bool
}

var _ update.Store = (*Store)(nil)

// connectTimeout bounds one attempt to connect when the URL does not say otherwise.
const connectTimeout = 10 * time.Second

// Open opens the store, and creates or migrates its table where that is needed. It returns an error that wraps update.ErrFormat
// when a newer version of Braid wrote the table, and one that wraps ErrUnreachable when there is no database.
func Open(ctx context.Context, options Options) (*Store, error) {
	config, err := options.config()
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", options.URL, err)
	}
	s := &Store{name: options.URL}
	database, err := prepareTable(ctx, config.ConnConfig.Copy(), options.Table)
	if err != nil {
		return nil, s.failure("open", err)
	}
	statements := statementsOf(options.Table, database.isolation)
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.PgConn().Exec(ctx, database.settings).ReadAll(); err != nil {
			return err
		}
		for name, text := range statements {
			if _, err := c.Prepare(ctx, name, text); err != nil {
				return err
			}
		}
		return nil
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, s.failure("open", err)
	}
	return s, nil
}

// Close implements update.Store.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.pool.Close() // waits for the calls under way
	}
	return nil
}

// begin refuses a call after Close or under a context that has ended.
func (s *Store) begin(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}
