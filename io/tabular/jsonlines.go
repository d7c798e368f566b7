package tabular

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/tidwall/gjson"
)

// maxLine is how many bytes a line of JSON may have.
const maxLine = 16 << 20

// linesTable is a file with an object of JSON on each line. Its columns are the names that any line has, in the order in which they are
// met; what is within an object or a list is one value, as JSON.
type linesTable struct {
	file    *os.File
	lines   *bufio.Scanner
	columns []Column
	places  map[string]int
	values  []string
}

func openLines(f *os.File) (Table, error) {
	t := &linesTable{file: f, places: map[string]int{}}
	t.rewind()
	for number := 1; ; number++ {
		object, err := t.object(number)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		object.ForEach(func(name, value gjson.Result) bool {
			at, known := t.places[name.Str]
			if !known {
				at = len(t.columns)
				t.places[name.Str], t.columns = at, append(t.columns, Column{Name: name.Str})
			}
			t.columns[at].Type = join(t.columns[at].Type, value)
			return true
		})
	}
	for i := range t.columns {
		if t.columns[i].Type == Unknown {
			t.columns[i].Type = Text
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	t.rewind()
	t.values = make([]string, len(t.columns))
	return t, nil
}

func (t *linesTable) rewind() {
	t.lines = bufio.NewScanner(t.file)
	t.lines.Buffer(make([]byte, 64<<10), maxLine)
}

// object returns the next object. Empty lines are left out.
func (t *linesTable) object(number int) (gjson.Result, error) {
	for t.lines.Scan() {
		line := bytes.TrimSpace(t.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if !gjson.ValidBytes(line) || line[0] != '{' {
			return gjson.Result{}, fmt.Errorf("row %d is no object of JSON", number)
		}
		return gjson.ParseBytes(line), nil
	}
	if err := t.lines.Err(); err != nil {
		return gjson.Result{}, err
	}
	return gjson.Result{}, io.EOF
}

// join returns the type of a column that has one more value.
func join(t Type, v gjson.Result) Type {
	is := Text
	switch v.Type {
	case gjson.Null:
		return t
	case gjson.True, gjson.False:
		is = Bool
	case gjson.Number:
		is = Number
	}
	if t != Unknown && t != is {
		return Text
	}
	return is
}

// Columns returns the names that any line has.
func (t *linesTable) Columns() []Column { return t.columns }

// Next returns the next row.
func (t *linesTable) Next() ([]string, error) {
	object, err := t.object(0)
	if err != nil {
		return nil, err
	}
	clear(t.values)
	object.ForEach(func(name, value gjson.Result) bool {
		switch at := t.places[name.Str]; value.Type {
		case gjson.Null:
		case gjson.String:
			t.values[at] = value.Str
		default:
			t.values[at] = value.Raw
		}
		return true
	})
	return slices.Clip(t.values), nil
}

// Close closes the file.
func (t *linesTable) Close() error { return t.file.Close() }
