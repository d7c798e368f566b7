// Package graph reads an identity graph that was made elsewhere: in goes a file of CSV, Parquet or Arrow whose rows are identifiers of one
// person each, out come the rows, in their order.
package graph

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/transforms/strict"
)

// Row is one row: what is known to belong together.
type Row struct {
	Number      int64    // from 1; a header does not count
	Identifiers []string // "key:value", not normalized
	Time        int64    // when it became known, epoch milliseconds; zero where the file does not say
}

// Options say how to read a file.
type Options struct {
	Format tabular.Format // default by the name of the file
	Keys   []string       // the stitching keys
	// Columns names the key of a column, where the two are called differently; an empty key leaves the column out.
	Columns map[string]string
	// Time is the column with the time: RFC 3339, epoch milliseconds, or a timestamp; default "time", which may be missing.
	Time string
}

// Reader yields the rows of a file.
type Reader struct {
	table tabular.Table
	keys  []string // of the columns; empty for those without one
	time  int      // column of the time, or -1
	row   int64
}

// Open opens a file.
func Open(path string, o Options) (*Reader, error) {
	t, err := tabular.Open(path, o.Format)
	if err != nil {
		return nil, err
	}
	r := &Reader{table: t}
	if err := r.bind(o); err != nil {
		t.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// bind finds out what each column holds.
func (r *Reader) bind(o Options) error {
	clock := o.Time
	if clock == "" {
		clock = "time"
	}
	var columns []string
	for _, c := range r.table.Columns() {
		columns = append(columns, c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Columns)) {
		if !slices.Contains(columns, name) {
			return fmt.Errorf("there is no column %q; there are %s", name, strings.Join(columns, ", "))
		}
	}
	r.time, r.keys = -1, make([]string, len(columns))
	named := 0
	for i, name := range columns {
		key, mapped := o.Columns[name]
		switch {
		case !mapped && name == clock:
			r.time = i
			continue
		case !mapped && slices.Contains(o.Keys, name):
			key = name
		case !mapped:
			hint := strict.Suggest(name, o.Keys)
			if hint != "" {
				hint = " (" + hint + ")"
			}
			return fmt.Errorf("column %q is no stitching key%s; name its key with --column %s=KEY, or leave it out with --column %s=", name, hint, name, name)
		case key == "":
			continue
		case !slices.Contains(o.Keys, key):
			return fmt.Errorf("column %q: there is no stitching key %q; there are %s", name, key, strings.Join(o.Keys, ", "))
		}
		r.keys[i] = key
		named++
	}
	switch {
	case o.Time != "" && r.time < 0:
		return fmt.Errorf("there is no column %q; there are %s", o.Time, strings.Join(columns, ", "))
	case named < 2:
		return fmt.Errorf("%d of the columns %s hold identifiers; a row of less than two joins nothing", named, strings.Join(columns, ", "))
	}
	return nil
}

// Next returns the next row, and io.EOF behind the last. An error names the row.
func (r *Reader) Next() (Row, error) {
	values, err := r.table.Next()
	if err == io.EOF {
		return Row{}, err
	}
	r.row++
	row := Row{Number: r.row}
	if err != nil {
		return row, fmt.Errorf("row %d: %w", r.row, err)
	}
	for i, value := range values {
		if key := r.keys[i]; key != "" && strings.TrimSpace(value) != "" {
			row.Identifiers = append(row.Identifiers, key+":"+value)
		}
	}
	if r.time >= 0 && values[r.time] != "" {
		if row.Time, err = parseTime(values[r.time]); err != nil {
			return row, fmt.Errorf("row %d: %w", r.row, err)
		}
	}
	return row, nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.table.Close() }

func parseTime(text string) (int64, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("time %q is neither epoch milliseconds nor RFC 3339", text)
	}
	return t.UnixMilli(), nil
}
