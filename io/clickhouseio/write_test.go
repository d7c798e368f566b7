package clickhouseio

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/testing/require"
)

var server *clickhouse.Server // of all tests; nil without the library

func TestMain(m *testing.M) {
	clickhouse.Host()
	code := func() int {
		library, err := clickhouse.Find()
		if err != nil {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "clickhouseio-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if server, err = clickhouse.Start(context.Background(), clickhouse.Options{Dir: dir, Library: library, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			panic(err)
		}
		defer server.Close()
		return m.Run()
	}()
	os.Exit(code)
}

// database makes a database for a test.
func database(t testing.TB) (Client, driver.Conn) {
	t.Helper()
	require.Component(t, "clickhouse", server != nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	name := "braid_" + strings.ToLower(strings.NewReplacer("/", "_", "#", "_").Replace(t.Name()))
	client := Client{URL: server.URL(clickhouse.UserBraid, name)}
	admin, err := client.In("default").Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, q := range []string{"DROP DATABASE IF EXISTS ", "CREATE DATABASE "} {
		if err := admin.Exec(t.Context(), q+Quote(name)); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := client.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client, conn
}

type Position struct {
	Partition uint32 `ch:"partition"`
	Offset    uint64 `ch:"offset"`
}

type visit struct {
	Position
	Page string            `ch:"page"`
	Tags map[string]string `ch:"tags"`
	Note string            // no column
}

func init() { beam.RegisterType(reflect.TypeFor[visit]()) } // a struct with a map travels by its name only

const visits = "CREATE TABLE visits (partition UInt32, offset UInt64, page String, tags Map(String, String)) ENGINE = MergeTree ORDER BY (partition, offset)"

func writer(t testing.TB, c Client, opts ...WriteOption) *writeFn {
	t.Helper()
	cfg := writeConfig{Client: c, Table: "visits"}
	for _, o := range opts {
		o(&cfg)
	}
	b, err := json.Marshal(&writeFn{Config: cfg, Type: beam.EncodedType{T: reflect.TypeFor[visit]()}})
	if err != nil {
		t.Fatal(err)
	}
	f := &writeFn{}
	if err := json.Unmarshal(b, f); err != nil {
		t.Fatal(err)
	}
	if err := f.Setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Teardown() })
	return f
}

func write(ctx context.Context, f *writeFn, rows ...visit) (ack Ack, err error) {
	emit := func(a Ack) { ack = a }
	f.StartBundle(emit)
	for _, r := range rows {
		if err := f.ProcessElement(ctx, r, emit); err != nil {
			return Ack{}, err
		}
	}
	return ack, f.FinishBundle(ctx, emit)
}

func row(partition uint32, offset uint64) visit {
	return visit{Position{partition, offset}, fmt.Sprintf("/%d/%d", partition, offset), map[string]string{"a": "b"}, "x"}
}

func exec(t testing.TB, conn driver.Conn, query string) {
	t.Helper()
	if err := conn.Exec(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, conn driver.Conn, query string) (n uint64) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWrite(t *testing.T) {
	client, conn := database(t)
	exec(t, conn, visits)
	f := writer(t, client)
	for range 2 { // at least once: a bundle that comes again is there again
		if ack, err := write(t.Context(), f, row(0, 1), row(1, 1), row(0, 2)); err != nil || ack != (Ack{"visits", 3, 0}) {
			t.Fatalf("%+v, %v", ack, err)
		}
	}
	if n := count(t, conn, "SELECT count() FROM visits WHERE page = concat('/', toString(partition), '/', toString(offset)) AND tags['a'] = 'b'"); n != 6 {
		t.Errorf("%d rows", n)
	}
	if ack, err := write(t.Context(), f); err != nil || ack != (Ack{}) {
		t.Errorf("an empty bundle: %+v, %v", ack, err)
	}
}

// However logs are cut into bundles, whatever is written again from an earlier place on, and wherever writers are lost, each row is
// there once.
func TestInOrderWritesOnce(t *testing.T) {
	client, conn := database(t)
	exec(t, conn, visits)
	rapid.Check(t, func(r *rapid.T) {
		exec(t, conn, "TRUNCATE TABLE visits")
		sent := [2]uint64{} // next offset of each log
		f := writer(t, client, InOrder("offset", "partition"))
		for range rapid.IntRange(1, 8).Draw(r, "bundles") {
			var rows []visit
			for p := range sent {
				from := rapid.Uint64Range(0, sent[p]).Draw(r, "from") // it is read again from here
				to := rapid.Uint64Range(from, sent[p]+4).Draw(r, "to")
				for o := from; o < to; o++ {
					rows = append(rows, row(uint32(p), o))
				}
				sent[p] = max(sent[p], to)
			}
			if rapid.Bool().Draw(r, "lost before") { // rows were given to it, and nothing was sent
				f.StartBundle(nil)
				for _, row := range rows {
					if err := f.ProcessElement(t.Context(), row, nil); err != nil {
						t.Fatal(err)
					}
				}
				if rapid.Bool().Draw(r, "replaced") {
					f = writer(t, client, InOrder("offset", "partition"))
				}
			}
			if _, err := write(t.Context(), f, rows...); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(r, "lost after") { // it was sent, and the acknowledgement was lost
				f = writer(t, client, InOrder("offset", "partition"))
				if ack, err := write(t.Context(), f, rows...); err != nil || ack.Rows != 0 || ack.Skipped != int64(len(rows)) {
					t.Fatalf("%+v, %v", ack, err)
				}
			}
		}
		if n, want := count(t, conn, "SELECT count() FROM visits"), sent[0]+sent[1]; n != want {
			r.Fatalf("%d rows, want %d", n, want)
		}
		if n, want := count(t, conn, "SELECT uniqExact(partition, offset) FROM visits"), sent[0]+sent[1]; n != want {
			r.Fatalf("%d different rows, want %d", n, want)
		}
	})
}

// What ClickHouse refuses is told with the table; the next bundle goes on.
func TestWriteFails(t *testing.T) {
	client, conn := database(t)
	f := writer(t, client, InOrder("offset", "partition"))
	if _, err := write(t.Context(), f, row(0, 0)); err == nil || !strings.Contains(err.Error(), "visits") {
		t.Fatalf("without the table: %v", err)
	}
	exec(t, conn, "CREATE TABLE visits (partition UInt32, offset UInt64, page String, tags UInt8) ENGINE = MergeTree ORDER BY offset")
	if _, err := write(t.Context(), f, row(0, 0)); err == nil || !strings.Contains(err.Error(), "a row cannot be written") {
		t.Fatalf("with a column of another type: %v", err)
	}
	exec(t, conn, "DROP TABLE visits")
	exec(t, conn, visits)
	if ack, err := write(t.Context(), f, row(0, 0)); err != nil || ack.Rows != 1 {
		t.Fatalf("%+v, %v", ack, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := write(cancelled, f, row(0, 1)); err == nil {
		t.Fatal("written under a cancelled context")
	}
	if ack, err := write(t.Context(), f, row(0, 0), row(0, 1)); err != nil || ack.Rows > 1 {
		t.Fatalf("%+v, %v", ack, err)
	}
	if n := count(t, conn, "SELECT count() FROM visits"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestRowsThatAreNone(t *testing.T) {
	for want, rows := range map[string]any{
		"structs":   "text",
		"has a tag": struct{ A int }{},
		"not exported": struct {
			a int `ch:"a"`
		}{},
		`ch:"offset"`: struct {
			A int `ch:"partition"`
		}{},
	} {
		cfg := writeConfig{Client: Client{URL: "clickhouse://u@127.0.0.1:9000/d"}, Table: "t", Offset: "offset", Log: []string{"partition"}}
		if err := cfg.validate(reflect.TypeOf(rows)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v, want %q", rows, err, want)
		}
	}
}

func TestClientHoldsNoSecret(t *testing.T) {
	for url, want := range map[string]string{
		"clickhouse://u:secret@h:9000/d":                        "holds a password",
		"clickhouse://u@h:9000/d?password=secret":               "no reference",
		"clickhouse://u@h:9000/d?password=${A}&password_file=b": "exclude each other",
		"http://u@h/d":    `begins with "http:"`,
		"clickhouse:///d": "names no host",
		"clickhouse://u@h:9000/d?dial_timeout=soon":                      "invalid duration",
		"clickhouse://u@h:1,h:2/d?secure=true&password=${A}&ca_file=/ca": "",
	} {
		err := Client{URL: url}.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	t.Setenv("BRAID_TEST_PASSWORD", "p")
	o, err := Client{URL: "clickhouse://u@h:1,h:2/d?secure=true&password=${BRAID_TEST_PASSWORD}"}.Options()
	if err != nil || o.Auth.Password != "p" || len(o.Addr) != 2 || o.TLS == nil {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := (Client{URL: "clickhouse://u@h:1/d?password=${BRAID_TEST_NOT_SET}"}).Options(); err == nil || !strings.Contains(err.Error(), "BRAID_TEST_NOT_SET") {
		t.Errorf("%v", err)
	}
}

// BenchmarkWrite writes bundles of 10,000 rows.
func BenchmarkWrite(b *testing.B) {
	client, conn := database(b)
	exec(b, conn, visits)
	f := writer(b, client, InOrder("offset", "partition"))
	rows := make([]visit, 10_000)
	next := uint64(0)
	for b.Loop() {
		for i := range rows {
			rows[i] = row(0, next)
			next++
		}
		if _, err := write(b.Context(), f, rows...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(next)/b.Elapsed().Seconds(), "rows/s")
}
