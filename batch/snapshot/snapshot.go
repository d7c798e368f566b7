// Package snapshot keeps what batch runs found: in go cells and imported rows in the order of their IDs, out comes a profile.History that
// is looked up in memory-mapped files.
//
// A snapshot is immutable. It is a manifest, NUMBER.json, that lists Arrow files; CURRENT names the manifest that counts. A new snapshot
// shares the files of the one before and adds a delta; when there are many deltas, they become one file with the base again. FORMAT.md
// describes the files for readers in other languages.
package snapshot

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strconv"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// Snapshot is an open snapshot. It never changes and is safe for concurrent use; its files are unmapped when nobody uses it any more.
type Snapshot struct {
	Manifest
	cells    []*table
	imported []*table
}

func open(dir string, m *Manifest, known func(File) *table) (*Snapshot, error) {
	s := &Snapshot{Manifest: *m}
	for _, list := range []struct {
		files  []File
		tables *[]*table
		fields int
	}{{m.Cells, &s.cells, len(cellSchema.Fields())}, {m.Imported, &s.imported, 1 + len(m.Columns)}} {
		for _, f := range list.files {
			t := known(f)
			if t == nil {
				var err error
				if t, err = openTable(dir, f, false); err != nil {
					return nil, err
				}
			}
			if t.schema.NumFields() != list.fields {
				return nil, fmt.Errorf("%w: file %s has %d columns, not %d", ErrDamaged, f.Name, t.schema.NumFields(), list.fields)
			}
			*list.tables = append(*list.tables, t)
		}
	}
	return s, nil
}

// Epoch returns the first epoch whose events are not in the snapshot.
func (s *Snapshot) Epoch() uint64 { return s.Manifest.Epoch }

// Cell returns what the events of a cell add up to.
func (s *Snapshot) Cell(id identity.ID) (past profile.Bucket, ok bool, err error) {
	past = profile.Bucket{Epoch: s.Manifest.Epoch - 1, Batch: true}
	for _, t := range s.cells {
		b, row, found := t.find(id)
		if !found {
			continue
		}
		c := b.cell(row)
		states, err := attribute.DecodeStates(slices.Clone(c.States))
		runtime.KeepAlive(t)
		if err != nil {
			return past, false, fmt.Errorf("%w: file %s: %w", ErrDamaged, t.file.Name, err)
		}
		past.Events += c.Events
		if past.States, err = attribute.Merge(past.States, states); err != nil {
			return past, false, fmt.Errorf("%w: file %s: %w", ErrDamaged, t.file.Name, err)
		}
		ok = true
	}
	return past, ok, nil
}

// Seen returns the memory of retries that a cell has at the end of the snapshot.
func (s *Snapshot) Seen(id identity.ID) profile.Seen {
	for _, t := range slices.Backward(s.cells) {
		if b, row, ok := t.find(id); ok {
			seen := profile.Seen(slices.Clone(b.cell(row).Seen))
			runtime.KeepAlive(t)
			return seen
		}
	}
	return nil
}

// Imported returns what was imported for an identifier.
func (s *Snapshot) Imported(id identity.ID) (attribute.Imported, error) {
	var all attribute.Imported
	for _, t := range s.imported {
		b, row, ok := t.find(id)
		if !ok {
			continue
		}
		all = make(attribute.Imported, len(s.Columns))
		for i, c := range s.Columns {
			buffer := 2 + 3*i
			if !b.valid(buffer, row) {
				continue
			}
			v, err := c.Type.value(string(b.bytesAt(buffer, row)))
			if err != nil {
				return nil, fmt.Errorf("%w: file %s, column %s: %w", ErrDamaged, t.file.Name, c.Name, err)
			}
			all[c.Name] = v
		}
		runtime.KeepAlive(t)
	}
	return all, nil
}

func (t ColumnType) value(text string) (accumulator.Value, error) {
	switch t {
	case Number:
		d, err := decimal.Parse(text)
		if err != nil {
			return accumulator.Value{}, err
		}
		return accumulator.DecimalValue(d), nil
	case Bool:
		b, err := strconv.ParseBool(text)
		return accumulator.BoolValue(b), err
	case Time:
		ms, err := strconv.ParseInt(text, 10, 64)
		return accumulator.TimeValue(ms), err
	case Text:
		return accumulator.TextValue(text), nil
	}
	return accumulator.Value{}, fmt.Errorf("type %q is unknown", t)
}

// Cells iterates over all cells in the order of their IDs, each with what all files have of it. A cell is good until the next.
func (s *Snapshot) Cells() iter.Seq2[Cell, error] {
	return merged(s.cells)
}

// merged iterates over the cells of several files.
func merged(tables []*table) iter.Seq2[Cell, error] {
	return func(yield func(Cell, error) bool) {
		defer runtime.KeepAlive(tables)
		cursors := make([]cursor, len(tables))
		for i, t := range tables {
			cursors[i] = cursor{table: t}
		}
		for {
			least := -1
			for i := range cursors {
				if cursors[i].ended() {
					continue
				}
				if a := cursors[i].id(); least < 0 || less(a, cursors[least].id()) {
					least = i
				}
			}
			if least < 0 {
				return
			}
			id := cursors[least].id()
			var sum Cell
			for i := range cursors {
				if cursors[i].ended() || cursors[i].id() != id {
					continue
				}
				var err error
				if sum, err = sum.plus(cursors[i].cell()); err != nil {
					yield(sum, fmt.Errorf("%w: file %s: %w", ErrDamaged, tables[i].file.Name, err))
					return
				}
				cursors[i].next()
			}
			if !yield(sum, nil) {
				return
			}
		}
	}
}

func less(a, b identity.ID) bool { return slices.Compare(a[:], b[:]) < 0 }

// plus returns a cell with what a later file has of it.
func (c Cell) plus(o Cell) (Cell, error) {
	if c.States == nil {
		return o, nil
	}
	a, err := attribute.DecodeStates(c.States)
	if err != nil {
		return c, err
	}
	b, err := attribute.DecodeStates(o.States)
	if err != nil {
		return c, err
	}
	states, err := attribute.Merge(a, b)
	if err != nil {
		return c, err
	}
	return Cell{ID: c.ID, Events: c.Events + o.Events, States: states.Append(nil), Seen: o.Seen}, nil
}

// cursor walks through a table.
type cursor struct {
	table      *table
	batch, row int
}

func (c *cursor) ended() bool     { return c.batch == len(c.table.batches) }
func (c *cursor) id() identity.ID { return c.table.batches[c.batch].id(c.row) }
func (c *cursor) cell() Cell      { return c.table.batches[c.batch].cell(c.row) }
func (c *cursor) next() {
	if c.row++; c.row == c.table.batches[c.batch].rows {
		c.batch, c.row = c.batch+1, 0
	}
}
