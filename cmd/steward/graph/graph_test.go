package graph_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/cmd/steward/graph"
)

var keys = []string{"customer", "email", "cookie"}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// read returns all rows of a file, one line each, and the error it ends with.
func read(path string, o graph.Options) (string, error) {
	o.Keys = keys
	r, err := graph.Open(path, o)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var lines []string
	for {
		row, err := r.Next()
		if err == io.EOF {
			return strings.Join(lines, "\n"), nil
		}
		if err != nil {
			return strings.Join(lines, "\n"), err
		}
		lines = append(lines, fmt.Sprint(row.Number, " ", strings.Join(row.Identifiers, " "), " ", row.Time))
	}
}

// sample is a table of three rows: a number, a text that may be missing, and a time.
func sample(t *testing.T) (*arrow.Schema, arrow.Record) {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "customer", Type: arrow.PrimitiveTypes.Int64}, {Name: "email", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "time", Type: arrow.FixedWidthTypes.Timestamp_ms, Nullable: true}, {Name: "score", Type: arrow.PrimitiveTypes.Float64},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, email := range []string{"a@x.example", "", "c@x.example"} {
		b.Field(0).(*array.Int64Builder).Append(int64(i + 7))
		if email == "" {
			b.Field(1).AppendNull()
			b.Field(2).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(email)
			b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(1_291_161_600_000 + int64(i)))
		}
		b.Field(3).(*array.Float64Builder).Append(0.5)
	}
	return schema, b.NewRecord()
}

const sampleRows = `1 customer:7 email:a@x.example 1291161600000
2 customer:8 0
3 customer:9 email:c@x.example 1291161600002`

func TestFormats(t *testing.T) {
	schema, record := sample(t)
	defer record.Release()
	var stream, columns bytes.Buffer
	sw := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	whole, err := os.Create(filepath.Join(t.TempDir(), "whole"))
	if err != nil {
		t.Fatal(err)
	}
	fw, err := ipc.NewFileWriter(whole, ipc.WithSchema(schema))
	if err != nil {
		t.Fatal(err)
	}
	pw, err := pqarrow.NewFileWriter(schema, &columns, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []interface {
		Write(arrow.Record) error
		Close() error
	}{sw, fw, pw} {
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(whole.Name())
	if err != nil {
		t.Fatal(err)
	}
	csv := "\ufeffcustomer,email,time,score\r\n7,a@x.example,2010-12-01T00:00:00Z,1\r\n8,,,\r\n9,\"c@x.example\",1291161600002,2\r\n"
	for name, content := range map[string][]byte{
		"graph.csv": []byte(csv), "graph.arrows": stream.Bytes(), "graph.arrow": file, "graph.parquet": columns.Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(write(t, name, content), graph.Options{Columns: map[string]string{"score": ""}})
			if diff := cmp.Diff(sampleRows, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestColumns(t *testing.T) {
	got, err := read(write(t, "graph.csv", []byte("client,seen,mail\nc1,1970-01-01T00:00:01Z,a@x.example\n")),
		graph.Options{Columns: map[string]string{"client": "cookie", "mail": "email"}, Time: "seen"})
	if want := "1 cookie:c1 email:a@x.example " + fmt.Sprint(time.Second.Milliseconds()); got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for name, tc := range map[string]struct {
		file, content string
		options       graph.Options
		want          string
	}{
		"unknown form":       {"graph.xls", "", graph.Options{}, "the name does not say what it is"},
		"no such format":     {"graph.csv", "", graph.Options{Format: "xml"}, `unknown format "xml"`},
		"empty":              {"graph.csv", "", graph.Options{}, "it is empty"},
		"no Parquet":         {"graph.parquet", "customer,email\n", graph.Options{}, "parquet"},
		"no Arrow":           {"graph.arrow", "customer,email\n", graph.Options{}, "neither an Arrow file"},
		"unknown column":     {"graph.csv", "customer,emial\n", graph.Options{}, `column "emial" is no stitching key (did you mean "email"?)`},
		"unknown key":        {"graph.csv", "customer,mail\n", graph.Options{Columns: map[string]string{"mail": "fax"}}, `there is no stitching key "fax"`},
		"no such column":     {"graph.csv", "customer,email\n", graph.Options{Columns: map[string]string{"mail": "email"}}, `there is no column "mail"`},
		"no time column":     {"graph.csv", "customer,email\n", graph.Options{Time: "at"}, `there is no column "at"`},
		"a single column":    {"graph.csv", "customer,time\n", graph.Options{}, "joins nothing"},
		"a row too short":    {"graph.csv", "customer,email\n1,a@x.example\n2\n", graph.Options{}, "row 2: record on line 3: wrong number of fields"},
		"a time that is not": {"graph.csv", "customer,email,time\n1,a@x.example,yesterday\n", graph.Options{}, `row 1: time "yesterday"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(write(t, tc.file, []byte(tc.content)), tc.options); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	if _, err := graph.Open(filepath.Join(t.TempDir(), "none.csv"), graph.Options{}); err == nil {
		t.Error("a file that is not there was opened")
	}
}
