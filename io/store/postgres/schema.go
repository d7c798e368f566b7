package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/braidhq/braid/transforms/update"
)

// FormatVersion is the version of the tables that this program writes. It opens this one, and migrates older ones.
const FormatVersion = 1

// migrations lead from one version to the next; @ stands for the beginning of all names.
//
// A row that a commit wrote keeps the version it had before beside the one it has, which is how the commit sees after the writing
// whether its conditions held before. Pages are left with room, so that a row can be written again where it lies.
var migrations = [FormatVersion][]string{
	{
		`create sequence @_versions`,
		`create table @_rows (key bytea primary key, version bigint not null, previous bigint not null, value bytea) with (fillfactor = 80)`,
	},
}

// statementsOf returns the text of every statement by the name under which connections know it.
//
// A version is a number of the sequence, which gives none out twice, followed by random bits: a database that was set back, by a
// restore or by a failover to a replica that lagged, does not come again to a version that some process still remembers.
func statementsOf(table, isolation string) map[string]string {
	const next, current = `(select nextval('@_versions')) * 1048576 + $3::bigint`, `(select currval('@_versions')) * 1048576 + $3::bigint`
	out := map[string]string{
		sqlBegin:    `begin isolation level ` + isolation,
		sqlCommit:   `commit`,
		sqlRollback: `rollback`,
		sqlGet:      `select key, version, value from @_rows where key = any($1::bytea[])`,
		sqlVersions: `select key, version from @_rows where key = any($1::bytea[])`,
		sqlScan:     `select key, version, value from @_rows where key >= $1 and key < $2 order by key limit $3`,
		sqlScanAll:  `select key, version, value from @_rows where key >= $1 order by key limit $2`,
		sqlWrite: `insert into @_rows as r (key, version, previous, value)
			select a.key, ` + next + `, 0, a.value from unnest($1::bytea[], $2::bytea[]) as a(key, value)
			on conflict (key) do update set version = excluded.version, previous = r.version, value = excluded.value
			where excluded.value is not null`,
		sqlCheck: `select ` + current + `, count(cast('conflict at row ' || encode(c.key, 'hex') as bigint))
			from unnest($1::bytea[], $2::bigint[]) as c(key, version) join @_rows r on r.key = c.key
			where c.version <> case when r.version = ` + current + ` then r.previous else r.version end`,
		sqlDelete: `delete from @_rows where key = any($1::bytea[])`,
	}
	for name, text := range out {
		out[name] = strings.ReplaceAll(text, "@", table)
	}
	return out
}

// Names of prepared statements.
const (
	sqlBegin    = "braid_begin"
	sqlCommit   = "braid_commit"
	sqlRollback = "braid_rollback"
	sqlGet      = "braid_get"
	sqlVersions = "braid_versions"
	sqlScan     = "braid_scan"
	sqlScanAll  = "braid_scan_all"
	sqlWrite    = "braid_write"
	sqlCheck    = "braid_check"
	sqlDelete   = "braid_delete"
)

// dialect is what databases differ in.
type dialect struct {
	isolation string // that commits need
	settings  string // of a session, as commands
}

// PostgreSQL keeps the plan of a prepared statement, also one made while the table was empty, and would then read all of the table that
// has grown since; there is no statement here for which another way than the index is right, nor one that is worth planning anew.
// A connection whose other end is gone must not hold its rows for hours.
var postgreSQL = dialect{"read committed", `
	set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set jit = off; set plan_cache_mode = force_generic_plan;
	set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3`}

// The locks of others work otherwise.
var other = dialect{isolation: "serializable"}

// prepareTable brings the tables to FormatVersion and returns which database it is.
func prepareTable(ctx context.Context, config *pgx.ConnConfig, table string) (d dialect, err error) {
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	var server string
	if err := c.QueryRow(ctx, `select version()`).Scan(&server); err != nil {
		return d, err
	}
	d = postgreSQL
	if strings.Contains(server, "CockroachDB") || strings.Contains(server, "-YB-") {
		d = other
	}
	found, err := readFormat(ctx, c, table)
	if err == nil && found < FormatVersion {
		err = migrate(ctx, c, table)
	}
	return d, err
}

// readFormat returns the version of the tables, 0 when there are none.
func readFormat(ctx context.Context, c *pgx.Conn, table string) (version int, err error) {
	err = c.QueryRow(ctx, `select version from `+table+`_format where id = 1`).Scan(&version)
	if code(err) == undefinedTable || errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return version, checkFormat(version, table, err)
}

func checkFormat(version int, table string, err error) error {
	if err == nil && version > FormatVersion {
		err = fmt.Errorf("tables %s_*: %w: format %d, known are formats up to %d: install the newer version of braid", table, update.ErrFormat, version, FormatVersion)
	}
	return err
}

// migrate takes the tables to FormatVersion in one transaction. Processes that do so at the same time wait for each other at the row
// that holds the format.
func migrate(ctx context.Context, c *pgx.Conn, table string) error {
	faster := []string{uniqueViolation, duplicateTable, duplicateObject, serializationFailure, deadlockDetected} // what another process was
	for try := 1; ; try++ {
		_, err := c.Exec(ctx, `create table if not exists `+table+`_format (id int primary key, version int not null)`)
		if err == nil {
			err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error { return migrateWithin(ctx, tx, table) })
		}
		if !slices.Contains(faster, code(err)) || try == 10 {
			return err
		}
	}
}

func migrateWithin(ctx context.Context, tx pgx.Tx, table string) error {
	if _, err := tx.Exec(ctx, `insert into `+table+`_format (id, version) values (1, 0) on conflict (id) do nothing`); err != nil {
		return err
	}
	var version int
	if err := tx.QueryRow(ctx, `select version from `+table+`_format where id = 1 for update`).Scan(&version); err != nil {
		return err
	}
	if err := checkFormat(version, table, nil); err != nil {
		return err
	}
	for ; version < FormatVersion; version++ {
		for _, step := range migrations[version] {
			if _, err := tx.Exec(ctx, strings.ReplaceAll(step, "@", table)); err != nil {
				return fmt.Errorf("migration to format %d: %w", version+1, err)
			}
		}
	}
	_, err := tx.Exec(ctx, `update `+table+`_format set version = $1 where id = 1`, version)
	return err
}

// code returns the error's SQLSTATE, or "".
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
