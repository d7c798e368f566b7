package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Format is the version of manifests and of the files that they list.
const Format = 1

// Manifest says what a snapshot is made of.
type Manifest struct {
	Format  int    `json:"format"`
	Segment string `json:"segment"`
	Number  uint64 `json:"number"` // snapshots are numbered from 1
	// Epoch is the first epoch whose events are not in it.
	Epoch uint64 `json:"epoch"`
	// Created is when it was published, epoch milliseconds.
	Created int64 `json:"created"`
	// Definitions are the hashes, in hexadecimal, of the attribute definitions that all its cells were folded by.
	Definitions []string `json:"definitions"`
	// Cells are the files of cells: the base, then deltas. What several have of one cell adds up.
	Cells []File `json:"cells"`
	// Imported are the files of imported rows, at most one.
	Imported []File `json:"imported,omitempty"`
	// Columns are what the imported rows hold, each as IMPORT.COLUMN, with the type that its values had.
	Columns []Column `json:"columns,omitempty"`
}

// File is an Arrow file, sorted by its first column.
type File struct {
	Name     string `json:"name"`
	Rows     int    `json:"rows"`
	Bytes    int64  `json:"bytes"`
	Checksum string `json:"checksum"`       // XXH64 in hexadecimal
	From     uint64 `json:"from,omitempty"` // epochs of a file of cells: From <= epoch < To
	To       uint64 `json:"to,omitempty"`
}

// Column is a column of imported rows.
type Column struct {
	Name string     `json:"name"`
	Type ColumnType `json:"type"`
}

// ColumnType says how the texts of a column are to be taken.
type ColumnType string

// The types of columns. A number is written in decimal, a time in epoch milliseconds.
const (
	Text   ColumnType = "text"
	Number ColumnType = "number"
	Bool   ColumnType = "bool"
	Time   ColumnType = "time"
)

const currentFile = "CURRENT"

func manifestName(number uint64) string { return fmt.Sprintf("%010d.json", number) }

// readCurrent returns the name of the manifest that counts, "" when there is none.
func readCurrent(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

func readManifest(dir, name string) (*Manifest, error) {
	if filepath.Base(name) != name {
		return nil, fmt.Errorf("%w: CURRENT says %q", ErrDamaged, name)
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	switch {
	case m.Format > Format:
		return nil, fmt.Errorf("%w: %s has format %d, known is %d", ErrFormat, name, m.Format, Format)
	case m.Format < 1 || manifestName(m.Number) != name:
		return nil, fmt.Errorf("%w: %s is no manifest", ErrDamaged, name)
	}
	return &m, nil
}

// write makes a file appear whole, and durable.
func write(dir, name string, content []byte) (err error) {
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDirectory(dir)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (m *Manifest) write(dir string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return err
	}
	return write(dir, manifestName(m.Number), b.Bytes())
}

// manifests returns the numbers of all manifests in a directory, ascending.
func manifests(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".json")
		if number, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && manifestName(number) == e.Name() {
			all = append(all, number)
		}
	}
	return all, nil
}
