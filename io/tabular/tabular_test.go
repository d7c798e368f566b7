package tabular_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/io/tabular"
)

var columns = []tabular.Column{{"text", tabular.Text}, {"number", tabular.Number}, {"whole", tabular.Integer}, {"yes", tabular.Bool}, {"at", tabular.Time}}

// What is written in any form is read as it was, nothing included.
func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, times := range map[string]string{"t.parquet": "1291161600000", "t.arrow": "1291161600000", "t.csv": "2010-12-01T00:00:00Z", "t.jsonl": "2010-12-01T00:00:00Z"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			w, err := tabular.Create(path, "", columns)
			if err != nil {
				t.Fatal(err)
			}
			const rows = 10_000 // more than a batch
			for i := range rows {
				row := []any{fmt.Sprintf("a \"quoted\", text %d", i), 0.5, int64(i), i%2 == 0, time.UnixMilli(1_291_161_600_000)}
				if i == 1 {
					row = make([]any, len(columns))
				}
				if err := w.Write(row); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Error("the file is there before it is whole")
			}
			if n, err := w.Close(); err != nil || n != rows {
				t.Fatal(n, err)
			}
			table, err := tabular.Open(path, "")
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			if got := table.Columns(); len(got) != len(columns) || got[1].Name != "number" {
				t.Errorf("%v", got)
			}
			for i := range rows {
				got, err := table.Next()
				if err != nil {
					t.Fatal(i, err)
				}
				want := []string{fmt.Sprintf("a \"quoted\", text %d", i), "0.5", fmt.Sprint(i), fmt.Sprint(i%2 == 0), times}
				if i == 1 {
					want = make([]string, len(columns))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatal(i, diff)
				}
			}
			if _, err := table.Next(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := tabular.Create(filepath.Join(dir, "t.txt"), "", columns); err == nil || !strings.Contains(err.Error(), "call it .csv") {
		t.Error(err)
	}
	w, err := tabular.Create(filepath.Join(dir, "t.parquet"), "", columns)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write([]any{"too few"}); err == nil {
		t.Error("a row of one value is taken")
	}
	if err := w.Write([]any{1, nil, nil, nil, nil}); err == nil || !strings.Contains(err.Error(), "column text") {
		t.Error(err)
	}
	w.Abort()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// FuzzLines reads anything without a panic, and what is no object is an error.
func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n{\"b\":[1,2],\"a\":null}\n"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "f.jsonl")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := tabular.Open(path, "")
		if err != nil {
			return
		}
		defer table.Close()
		for {
			row, err := table.Next()
			if err == io.EOF {
				return
			}
			if err != nil || len(row) != len(table.Columns()) {
				t.Fatal(row, err)
			}
		}
	})
}
