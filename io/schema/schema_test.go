package schema_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/testing/require"
)

func TestMain(m *testing.M) {
	clickhouse.Host()
	os.Exit(m.Run())
}

func connect(t testing.TB) (s *clickhouse.Server, conn driver.Conn) {
	t.Helper()
	library, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	s, err = clickhouse.Start(t.Context(), clickhouse.Options{Dir: t.TempDir(), Library: library, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if conn, err = (clickhouseio.Client{URL: s.URL(clickhouse.UserBraid, "default")}).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return s, conn
}

func names(t testing.TB, conn driver.Conn, query string, args ...any) (out []string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	return out
}

// The tables are made once, each with a comment; a version that is not known is refused.
func TestApply(t *testing.T) {
	s, conn := connect(t)
	o := schema.Options{Segment: "retail-eu", RetentionDays: 400}
	all, err := schema.Migrations(o)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := schema.Version(t.Context(), conn, o.Segment); v != 0 || err != nil {
		t.Fatalf("version %d, %v", v, err)
	}
	for round, want := range []int{len(all), 0} {
		added, err := schema.Apply(t.Context(), conn, o)
		if err != nil || len(added) != want {
			t.Fatalf("round %d: %d versions added, %v", round, len(added), err)
		}
	}
	if v, err := schema.Version(t.Context(), conn, o.Segment); v != all[len(all)-1].Version || err != nil {
		t.Fatalf("version %d, %v", v, err)
	}
	database := schema.DatabaseName(o.Segment)
	if got := names(t, conn, "SELECT name FROM system.tables WHERE database = ? AND comment = ''", database); got != nil {
		t.Errorf("without a comment: %v", got)
	}
	got := strings.Join(names(t, conn, "SELECT name FROM system.tables WHERE database = ? ORDER BY name", database), " ")
	if want := "audience_changes audience_log audience_members batch_runs canonical_identifiers events graph_cells graph_identifiers identifiers identity_changes identity_log key_statistics migrations people_events profile_versions profiles rejected rejected_log runs score_features score_items score_rows scores stream"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, days := range []int{400, 30, 0, 7} { // how long rows are kept can be changed
		o.RetentionDays = days
		if _, err := schema.Apply(t.Context(), conn, o); err != nil {
			t.Fatal(err)
		}
		want := ""
		if days > 0 {
			want = fmt.Sprintf("toIntervalDay(%d)", days)
		}
		for _, made := range names(t, conn, "SELECT create_table_query FROM system.tables WHERE database = ? AND name IN ('stream', 'identity_log', 'audience_log', 'rejected_log')", database) {
			if !strings.Contains(made, want) || (days == 0) == strings.Contains(made, " TTL ") {
				t.Errorf("%d days: %s", days, made)
			}
		}
	}
	analyst, err := clickhouseio.Client{URL: s.URL(clickhouse.UserAnalyst, database)}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer analyst.Close()
	for _, view := range []string{"events", "profiles", "identifiers", "identity_changes", "audience_changes", "audience_members", "rejected"} {
		if rows := names(t, analyst, "SELECT toString(count()) FROM "+view); len(rows) != 1 || rows[0] != "0" {
			t.Errorf("%s: %v", view, rows)
		}
	}
	if err := conn.Exec(t.Context(), "INSERT INTO `"+database+"`.migrations (version, name) VALUES (9999, 'later')"); err != nil {
		t.Fatal(err)
	}
	var newer *schema.NewerError
	if _, err := schema.Apply(context.Background(), conn, o); !errors.As(err, &newer) || newer.Have != 9999 {
		t.Errorf("%v", err)
	}
}

// On a cluster every statement runs everywhere, and what it makes is replicated.
func TestClusterStatements(t *testing.T) {
	o := schema.Options{Segment: "retail", Cluster: "main"}
	script, err := schema.Script(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range strings.Split(script, ";\n") {
		if !strings.Contains(statement, "CREATE") {
			continue
		}
		if !strings.Contains(statement, "ON CLUSTER `main`") {
			t.Errorf("not on the cluster: %s", statement)
		}
		if strings.Contains(statement, "ENGINE") && !strings.Contains(statement, "ENGINE = Replicated") {
			t.Errorf("not replicated: %s", statement)
		}
	}
	if strings.Contains(script, "TTL") {
		t.Error("something ends, though all is to be kept")
	}
}
