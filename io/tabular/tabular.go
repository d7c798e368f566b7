// Package tabular reads tables that others made: in goes a file of CSV, Parquet, Arrow or JSON lines, out come its rows as texts, in their order.
package tabular

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Format is the form of a file.
type Format string

// The formats.
const (
	CSV     Format = "csv"
	Parquet Format = "parquet"
	Arrow   Format = "arrow" // Arrow IPC, as a file or a stream
	Lines   Format = "jsonl" // an object of JSON on each line
)

// Type is what the values of a column are.
type Type string

// The types. Times are written in epoch milliseconds.
const (
	Unknown Type = "" // CSV does not say
	Text    Type = "text"
	Number  Type = "number"
	Bool    Type = "bool"
	Time    Type = "time"
)

// Column is a column of a table.
type Column struct {
	Name string
	Type Type
}

// Table is a file as rows of texts.
type Table interface {
	Columns() []Column
	// Next returns the values of the next row, empty where there is none, and io.EOF behind the last. They are good until the next call.
	Next() ([]string, error)
	Close() error
}

// Open opens a file; without a format, its name says what it is.
func Open(path string, format Format) (Table, error) {
	if format == "" {
		switch strings.ToLower(filepath.Ext(path)) {
		case ".csv":
			format = CSV
		case ".parquet":
			format = Parquet
		case ".arrow", ".arrows", ".ipc", ".feather":
			format = Arrow
		case ".jsonl", ".ndjson":
			format = Lines
		default:
			return nil, fmt.Errorf("%s: the name does not say what it is; name the format: csv, parquet, arrow or jsonl", path)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var t Table
	switch format {
	case CSV:
		t, err = openCSV(f)
	case Parquet:
		t, err = openParquet(f)
	case Arrow:
		t, err = openArrow(f)
	case Lines:
		t, err = openLines(f)
	default:
		err = fmt.Errorf("unknown format %q; use csv, parquet, arrow or jsonl", string(format))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
