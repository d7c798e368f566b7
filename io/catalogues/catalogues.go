// Package catalogues reads catalogues from files: in goes a file of CSV, Parquet, Arrow or JSON lines, out come its rows by key, those of
// today: a file that changes is read again.
package catalogues

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"github.com/braidhq/braid/transforms/catalogue"
)

func init() {
	catalogue.Register(func(d catalogue.Definition) (catalogue.Catalogue, error) { return Open(d) })
}

// lookEvery is how often a file is looked at.
const lookEvery = time.Second

// Catalogue is a file's rows.
type Catalogue struct {
	definition catalogue.Definition
	current    atomic.Pointer[rows]
	looked     atomic.Int64
	mu         sync.Mutex // of who looks
	failed     string     // what was said last
}

type rows struct {
	changed time.Time
	size    int64
	byKey   map[string]catalogue.Row
}

// Open reads a file.
func Open(d catalogue.Definition) (*Catalogue, error) {
	c := &Catalogue{definition: d}
	if err := c.look(); err != nil {
		return nil, err
	}
	c.looked.Store(time.Now().UnixNano())
	return c, nil
}

// Row returns the row of a key. When the file has changed and cannot be read, it is that of before; the log says so.
func (c *Catalogue) Row(key string) catalogue.Row {
	if now := time.Now().UnixNano(); now-c.looked.Load() > int64(lookEvery) && c.mu.TryLock() {
		c.looked.Store(now)
		text := ""
		if err := c.look(); err != nil {
			text = err.Error()
		}
		if text != "" && text != c.failed {
			slog.Error("a catalogue cannot be read; its rows of before stay in use", "file", c.definition.File, "error", text)
		}
		c.failed = text
		c.mu.Unlock()
	}
	return c.current.Load().byKey[key]
}

// look reads the file if it has changed.
func (c *Catalogue) look() error {
	info, err := os.Stat(c.definition.File)
	if err != nil {
		return err
	}
	if old := c.current.Load(); old != nil && old.changed.Equal(info.ModTime()) && old.size == info.Size() {
		return nil
	}
	byKey, err := read(c.definition)
	if err != nil {
		return err
	}
	c.current.Store(&rows{changed: info.ModTime(), size: info.Size(), byKey: byKey})
	return nil
}

func read(d catalogue.Definition) (map[string]catalogue.Row, error) {
	t, err := tabular.Open(d.File, "")
	if err != nil {
		return nil, err
	}
	defer t.Close()
	columns, key := t.Columns(), -1
	var names []string
	for i, column := range columns {
		if names = append(names, column.Name); column.Name == d.Key {
			key = i
		}
	}
	if key < 0 {
		return nil, fmt.Errorf("%s: there is no column %q; there are %s", d.File, d.Key, strings.Join(names, ", "))
	}
	all := map[string]catalogue.Row{}
	for n := 1; ; n++ {
		values, err := t.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", d.File, n, err)
		}
		if values[key] == "" {
			return nil, fmt.Errorf("%s: row %d has no %s", d.File, n, d.Key)
		}
		if _, twice := all[values[key]]; twice {
			return nil, fmt.Errorf("%s: row %d: %s %q comes twice", d.File, n, d.Key, values[key])
		}
		row := make(catalogue.Row, len(columns))
		for i, column := range columns {
			if values[i] != "" {
				row[column.Name] = value(column.Type, values[i])
			}
		}
		all[strings.Clone(values[key])] = row
	}
}

// value returns a text as what its column is; what it cannot be is a text.
func value(t tabular.Type, text string) accumulator.Value {
	switch t {
	case tabular.Number, tabular.Unknown:
		if d, err := decimal.Parse(text); err == nil {
			return accumulator.DecimalValue(d)
		}
	case tabular.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return accumulator.BoolValue(b)
		}
	case tabular.Time:
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			return accumulator.TimeValue(ms)
		}
	}
	return accumulator.TextValue(strings.Clone(text))
}
