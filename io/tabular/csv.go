package tabular

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strings"
)

// csvTable is a CSV file (RFC 4180) with a header.
type csvTable struct {
	file   *os.File
	reader *csv.Reader
	header []string
}

func openCSV(f *os.File) (Table, error) {
	r := csv.NewReader(f)
	r.ReuseRecord = true
	header, err := r.Read()
	if err == io.EOF {
		return nil, fmt.Errorf("it is empty; a header names the columns")
	}
	if err != nil {
		return nil, err
	}
	t := &csvTable{file: f, reader: r}
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		t.header = append(t.header, strings.TrimSpace(name))
	}
	return t, nil
}

// Columns returns the header.
func (t *csvTable) Columns() []Column {
	all := make([]Column, len(t.header))
	for i, name := range t.header {
		all[i].Name = name
	}
	return all
}

// Next returns the next row.
func (t *csvTable) Next() ([]string, error) { return t.reader.Read() }

// Close closes the file.
func (t *csvTable) Close() error { return t.file.Close() }
