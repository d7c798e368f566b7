// Package schema is the tables that analysts see: in goes the name of a segment, out come its statements for ClickHouse, in versions
// that build on one another, and with Apply the tables themselves.
//
// A segment has a database of its own, DatabaseName. In it are tables that Braid writes and views to be asked; both carry comments.
package schema

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/clickhouseio"
)

// Tables that are written, one for each topic.
const (
	Stream          = "stream"
	ProfileVersions = "profile_versions"
	IdentityLog     = "identity_log"
	AudienceLog     = "audience_log"
	RejectedLog     = "rejected_log"
)

// Tables that batch runs write, each row with the number of its run.
const (
	BatchRuns        = "batch_runs"
	GraphIdentifiers = "graph_identifiers"
	GraphCells       = "graph_cells"
	ScoreFeatures    = "score_features"
	ScoreItems       = "score_items"
	ScoreRows        = "score_rows"
)

// DatabaseName returns the database of a segment.
func DatabaseName(segment string) string { return "braid_" + segment }

// Options say how the tables are made.
type Options struct {
	// Segment is the segment's name.
	Segment string
	// Cluster, if set, is the ClickHouse cluster on which every statement runs; its tables are replicated.
	Cluster string
	// RetentionDays is how long the stream and its logs are kept; 0: for ever. Profiles stay.
	RetentionDays int
}

// Migration is one version of the tables.
type Migration struct {
	Version    int      `json:"version"`
	Name       string   `json:"name"`
	Statements []string `json:"statements"`
}

//go:embed migrations/*.sql
var files embed.FS

var fileName = regexp.MustCompile(`^(\d{4})_([a-z_]+)\.sql$`)

// Migrations returns all versions, in order.
func Migrations(o Options) ([]Migration, error) {
	entries, err := fs.ReadDir(files, "migrations")
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, entry := range entries {
		parts := fileName.FindStringSubmatch(entry.Name())
		if parts == nil {
			return nil, fmt.Errorf("schema: file %s is not named like 0001_stream.sql", entry.Name())
		}
		m := Migration{Name: parts[2]}
		if m.Version, err = strconv.Atoi(parts[1]); err != nil {
			return nil, err
		}
		text, err := files.ReadFile("migrations/" + entry.Name())
		if err != nil {
			return nil, err
		}
		if m.Statements, err = o.statements(entry.Name(), string(text)); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// statements fills in a file and cuts it: a statement ends with a semicolon at the end of a line.
func (o Options) statements(file, text string) ([]string, error) {
	database, on := clickhouseio.Quote(DatabaseName(o.Segment)), o.onCluster()
	name := func(table string) string { return database + "." + clickhouseio.Quote(table) }
	t, err := template.New(file).Funcs(template.FuncMap{
		"name":  name,
		"table": func(table string) string { return name(table) + on },
		"replacing": func(version string) string {
			if o.Cluster == "" {
				return "ReplacingMergeTree(" + version + ")"
			}
			parts := []string{`'/clickhouse/tables/{shard}/{database}/{table}'`, `'{replica}'`}
			if version != "" {
				parts = append(parts, version)
			}
			return "ReplicatedReplacingMergeTree(" + strings.Join(parts, ", ") + ")"
		},
		"plain": o.plain,
		"ttl": func(column string) string {
			if o.RetentionDays == 0 {
				return ""
			}
			return fmt.Sprintf("TTL toDateTime(%s) + INTERVAL %d DAY", column, o.RetentionDays)
		},
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	var filled strings.Builder
	if err := t.Execute(&filled, nil); err != nil {
		return nil, err
	}
	var out []string
	for statement := range strings.SplitSeq(filled.String(), ";\n") {
		var lines []string
		for line := range strings.Lines(statement) {
			if line = strings.TrimRight(line, "\n "); line != "" && !strings.HasPrefix(line, "--") {
				lines = append(lines, line)
			}
		}
		if len(lines) > 0 {
			out = append(out, strings.Join(lines, "\n"))
		}
	}
	return out, nil
}

// onCluster returns what makes a statement run on the cluster, if there is one.
func (o Options) onCluster() string {
	if o.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + clickhouseio.Quote(o.Cluster)
}

// plain returns the engine of a table that keeps all rows.
func (o Options) plain() string {
	if o.Cluster == "" {
		return "MergeTree"
	}
	return `ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')`
}

// create returns the statements that come before any version.
func (o Options) create() []string {
	database, on := clickhouseio.Quote(DatabaseName(o.Segment)), o.onCluster()
	return []string{
		"CREATE DATABASE IF NOT EXISTS " + database + on,
		"CREATE TABLE IF NOT EXISTS " + database + ".migrations" + on + " (version UInt32, name String, applied DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = " +
			o.plain() + " ORDER BY version COMMENT 'Versions of the tables, and when each was made'",
	}
}

// NewerError says that the tables were made by a newer braid.
type NewerError struct {
	Database    string
	Have, Known int
}

// Error says what to do.
func (e *NewerError) Error() string {
	return fmt.Sprintf("the tables in %s have version %d, this braid knows %d; use a newer braid", e.Database, e.Have, e.Known)
}

// Permanent says that trying again does not help.
func (*NewerError) Permanent() bool { return true }

// Version returns the version that the tables have; 0: there are none.
func Version(ctx context.Context, conn driver.Conn, segment string) (int, error) {
	var version uint32
	err := conn.QueryRow(ctx, "SELECT max(version) FROM "+clickhouseio.Quote(DatabaseName(segment))+".migrations").Scan(&version)
	var exception *clickhouse.Exception
	const unknownTable, unknownDatabase = 60, 81
	if errors.As(err, &exception) && (exception.Code == unknownTable || exception.Code == unknownDatabase) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("schema: %w", err)
	}
	return int(version), nil
}

// Apply makes the tables of a segment, or brings them to the version of this braid, and returns the versions that it added. Two
// processes may do it at once: each statement does nothing where its work is done.
func Apply(ctx context.Context, conn driver.Conn, o Options) ([]Migration, error) {
	all, err := Migrations(o)
	if err != nil {
		return nil, err
	}
	have, err := Version(ctx, conn, o.Segment)
	if err != nil {
		return nil, err
	}
	if known := all[len(all)-1].Version; have > known {
		return nil, &NewerError{DatabaseName(o.Segment), have, known}
	}
	if have == 0 {
		if err := run(ctx, conn, o.create()); err != nil {
			return nil, err
		}
	}
	var added []Migration
	for _, m := range all {
		if m.Version <= have {
			continue
		}
		if err := run(ctx, conn, m.Statements); err != nil {
			return added, fmt.Errorf("version %d (%s): %w", m.Version, m.Name, err)
		}
		err := conn.Exec(ctx, "INSERT INTO "+clickhouseio.Quote(DatabaseName(o.Segment))+".migrations (version, name) VALUES (?, ?)", uint32(m.Version), m.Name)
		if err != nil {
			return added, fmt.Errorf("schema: version %d: %w", m.Version, err)
		}
		added = append(added, m)
	}
	return added, retain(ctx, conn, o)
}

// retained are the tables that keep rows for a time, each with the column that says how old one is.
var retained = map[string]string{Stream: "received", IdentityLog: "appended", AudienceLog: "appended", RejectedLog: "appended"}

// retain makes the tables keep rows for as long as the options say, which may be another time than when they were made.
func retain(ctx context.Context, conn driver.Conn, o Options) error {
	for _, table := range slices.Sorted(maps.Keys(retained)) {
		var made string
		err := conn.QueryRow(ctx, "SELECT create_table_query FROM system.tables WHERE database = ? AND name = ?", DatabaseName(o.Segment), table).Scan(&made)
		if err != nil {
			return fmt.Errorf("schema: how long %s is kept: %w", table, err)
		}
		alter := "ALTER TABLE " + clickhouseio.Quote(DatabaseName(o.Segment)) + "." + clickhouseio.Quote(table) + o.onCluster()
		_, now, has := strings.Cut(made, " TTL toDateTime("+retained[table]+") + toIntervalDay(")
		switch {
		case o.RetentionDays == 0 && has:
			alter += " REMOVE TTL"
		case o.RetentionDays > 0 && !strings.HasPrefix(now, strconv.Itoa(o.RetentionDays)+")"):
			alter += fmt.Sprintf(" MODIFY TTL toDateTime(%s) + toIntervalDay(%d)", retained[table], o.RetentionDays)
		default:
			continue
		}
		if err := conn.Exec(ctx, alter); err != nil {
			return fmt.Errorf("schema: how long %s is kept: %w", table, err)
		}
	}
	return nil
}

func run(ctx context.Context, conn driver.Conn, statements []string) error {
	for _, s := range statements {
		if err := conn.Exec(ctx, s); err != nil {
			first, _, _ := strings.Cut(s, "\n")
			return fmt.Errorf("schema: %s: %w", first, err)
		}
	}
	return nil
}

// Script returns all statements as one text that a ClickHouse client can run.
func Script(o Options) (string, error) {
	all, err := Migrations(o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range o.create() {
		b.WriteString(s + ";\n\n")
	}
	for _, m := range all {
		fmt.Fprintf(&b, "-- version %d: %s\n", m.Version, m.Name)
		for _, s := range m.Statements {
			b.WriteString(s + ";\n\n")
		}
	}
	return b.String(), nil
}
