package snapshot

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	beam.RegisterType(reflect.TypeFor[File]())
	register.DoFn3x1[context.Context, Cell, func(File), error](&collectFn{})
	register.Emitter1[File]()
	register.DoFn1x1[File, error](&noteFn{})
}

// collected is how many bytes of cells a file holds that Collect writes at most.
const collected = 64 << 20

// Collect writes a PCollection<Cell> into files of sorted cells, in a directory that all workers share. Collected reads them.
func Collect(s beam.Scope, dir string, cells beam.PCollection) {
	s = s.Scope("snapshot.Collect")
	files := beam.ParDo(s, &collectFn{Dir: dir}, cells)
	beam.ParDo0(s, &noteFn{Dir: dir}, beam.Reshuffle(s, files)) // which only hears of bundles that succeeded
}

// noteFn notes that a file counts.
type noteFn struct{ Dir string }

// ProcessElement leaves a note beside the file.
func (f *noteFn) ProcessElement(file File) error {
	return os.WriteFile(filepath.Join(f.Dir, file.Name+noted), nil, 0o600)
}

// noted ends the names of notes.
const noted = ".counts"

// collectFn sorts cells and writes them. What a bundle wrote that then failed is not noted.
type collectFn struct {
	Dir string

	cells []Cell
	size  int
}

// StartBundle lets go of what a bundle that failed left.
func (f *collectFn) StartBundle(context.Context, func(File)) error {
	f.cells, f.size = f.cells[:0], 0
	return os.MkdirAll(f.Dir, 0o700)
}

// ProcessElement gathers.
func (f *collectFn) ProcessElement(_ context.Context, c Cell, emit func(File)) error {
	f.cells, f.size = append(f.cells, c), f.size+len(c.States)+len(c.Seen)+100
	if f.size < collected {
		return nil
	}
	return f.write(emit)
}

// FinishBundle writes the rest.
func (f *collectFn) FinishBundle(_ context.Context, emit func(File)) error {
	if len(f.cells) == 0 {
		return nil
	}
	return f.write(emit)
}

func (f *collectFn) write(emit func(File)) error {
	slices.SortFunc(f.cells, func(a, b Cell) int { return slices.Compare(a.ID[:], b.ID[:]) })
	w, err := newWriter(f.Dir, cellSchema)
	if err != nil {
		return fmt.Errorf("collecting cells: %w", err)
	}
	for _, c := range f.cells {
		if err := w.cell(c); err != nil {
			w.abort()
			return err
		}
	}
	f.cells, f.size = f.cells[:0], 0
	file, err := w.done(f.Dir, "cells")
	if err != nil {
		return fmt.Errorf("collecting cells: %w", err)
	}
	emit(file)
	return nil
}

// Collected returns the cells that Collect wrote into a directory, in the order of their IDs; a directory that is not there has none.
func Collected(dir string) (iter.Seq2[Cell, error], error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return merged(nil), nil
	}
	if err != nil {
		return nil, err
	}
	var tables []*table
	for _, e := range entries {
		name, counts := strings.CutSuffix(e.Name(), noted)
		if !counts {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		t, err := openTable(dir, File{Name: name, Bytes: info.Size(), Rows: anyRows}, true)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return merged(tables), nil
}
