package graph

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

func openCSV(f *os.File) (table, error) {
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

func (t *csvTable) columns() []string { return t.header }

func (t *csvTable) next() ([]string, error) { return t.reader.Read() }

func (t *csvTable) close() error { return t.file.Close() }
