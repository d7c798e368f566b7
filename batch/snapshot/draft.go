package snapshot

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/braidhq/braid/transforms/identity"
)

// Draft is a snapshot that is being made. Nobody sees it before Publish; a draft that is given up leaves files behind that Forget removes.
type Draft struct {
	directory *Directory
	base      *Snapshot // the latest one; nil when there is none
	manifest  Manifest
}

// Base returns the snapshot that a delta adds to, nil when there is none.
func (d *Draft) Base() *Snapshot { return d.base }

// Delta adds cells of the epochs from that of the base on, in the order of their IDs, to what the base has.
func (d *Draft) Delta(cells iter.Seq2[Cell, error]) error {
	from := uint64(0)
	if d.base != nil {
		from, d.manifest.Cells = d.base.Manifest.Epoch, slices.Clone(d.base.Manifest.Cells)
	}
	if err := d.add(cells, from); err != nil {
		return err
	}
	return d.compact()
}

// Whole takes cells of all epochs, in the order of their IDs; the base has no part in it.
func (d *Draft) Whole(cells iter.Seq2[Cell, error]) error {
	d.manifest.Cells = nil
	return d.add(cells, 0)
}

func (d *Draft) add(cells iter.Seq2[Cell, error], from uint64) error {
	w, err := newWriter(d.directory.path, cellSchema)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	for c, err := range cells {
		if err == nil {
			err = w.cell(c)
		}
		if err != nil {
			w.abort()
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	if w.rows == 0 && len(d.manifest.Cells) > 0 {
		w.abort()
		d.manifest.Cells[len(d.manifest.Cells)-1].To = d.manifest.Epoch
		return nil
	}
	f, err := w.done(d.directory.path, "cells")
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	f.From, f.To = from, d.manifest.Epoch
	d.manifest.Cells = append(d.manifest.Cells, f)
	return nil
}

// compact makes one file of all when there are too many, or the deltas are not small any more.
func (d *Draft) compact() error {
	files := d.manifest.Cells
	behind := 0
	for _, f := range files[1:] {
		behind += f.Rows
	}
	if len(files) <= deltas && behind*portion <= files[0].Rows {
		return nil
	}
	if len(files) == 1 {
		return nil
	}
	cells, err := d.Cells()
	if err != nil {
		return err
	}
	d.manifest.Cells = nil
	return d.add(cells, files[0].From)
}

// Cells iterates over the cells of the draft.
func (d *Draft) Cells() (iter.Seq2[Cell, error], error) {
	var tables []*table
	for _, f := range d.manifest.Cells {
		t, err := openTable(d.directory.path, f, true)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return merged(tables), nil
}

// Row is an imported row: the texts of its values, nil where there is none, in the order of the columns.
type Row struct {
	Identifier identity.ID
	Values     []*string
}

// Import takes imported rows in the order of their identifiers. They take the place of those of the base.
func (d *Draft) Import(columns []Column, rows iter.Seq2[Row, error]) error {
	fields := []arrow.Field{{Name: "identifier", Type: idType}}
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	w, err := newWriter(d.directory.path, arrow.NewSchema(fields, nil))
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	for row, err := range rows {
		if err == nil {
			err = w.begin(row.Identifier)
		}
		if err == nil {
			for i, v := range row.Values {
				if b := w.builder.Field(1 + i).(*array.StringBuilder); v == nil {
					b.AppendNull()
				} else {
					b.Append(*v)
				}
			}
			err = w.end()
		}
		if err != nil {
			w.abort()
			return fmt.Errorf("snapshot: imported rows: %w", err)
		}
	}
	f, err := w.done(d.directory.path, "imported")
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	d.manifest.Imported, d.manifest.Columns = []File{f}, columns
	return nil
}

// Publish makes the draft the snapshot that counts.
func (d *Draft) Publish(now time.Time) (*Snapshot, error) {
	d.manifest.Created = now.UnixMilli()
	dir := d.directory.path
	if err := d.manifest.write(dir); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if err := write(dir, currentFile, []byte(manifestName(d.manifest.Number)+"\n")); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if err := d.directory.Look(); err != nil {
		return nil, err
	}
	return d.directory.Latest(), nil
}
