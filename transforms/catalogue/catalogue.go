// Package catalogue is the core of what is known about things rather than people, such as products, coupons and sales: in goes the key of a
// thing, out comes its row.
//
// Rows come from elsewhere: whoever reads files registers as the opener, and may give other rows from one moment to the next.
package catalogue

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync/atomic"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
)

// Definition is one catalogue.
type Definition struct {
	// File is a CSV, Parquet, Arrow or JSON lines file, relative to the working directory; it is read again when it changes.
	File string `yaml:"file" json:"file" jsonschema:"required,description=CSV\\, Parquet\\, Arrow or JSON lines file\\, relative to the working directory. It is read again when it changes."`
	// Key is the column by which rows are found.
	Key string `yaml:"key" json:"key" jsonschema:"required,description=Column by which rows are found."`
}

// FieldError tells which field of a definition is wrong.
type FieldError struct{ Field, Message, Hint string }

var catalogueName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}$`)

// Validate checks a definition; Field is "name" for the name of the catalogue itself.
func (d Definition) Validate(name string) []FieldError {
	var errs []FieldError
	if !catalogueName.MatchString(name) {
		errs = append(errs, FieldError{"name", fmt.Sprintf("%q cannot name a catalogue", name), "a letter, then letters, digits and _, at most 64"})
	}
	if d.File == "" {
		errs = append(errs, FieldError{"file", "the file of the catalogue is missing", "for example {file: products.jsonl, key: sku}"})
	}
	if d.Key == "" {
		errs = append(errs, FieldError{"key", "the column by which rows are found is missing", "for example {file: products.jsonl, key: sku}"})
	}
	return errs
}

// Row is what is known about a thing, by column.
type Row map[string]accumulator.Value

// Catalogue has rows. It is safe for concurrent use.
type Catalogue interface {
	// Row returns the row of a key, nil when there is none.
	Row(key string) Row
}

// Opener opens a catalogue.
type Opener func(d Definition) (Catalogue, error)

var opener atomic.Pointer[Opener]

// Register says who opens catalogues. It belongs into an init function.
func Register(open Opener) { opener.Store(&open) }

// Set is some catalogues by name; nil has none.
type Set map[string]Catalogue

// Open opens catalogues. The error joins one for each that cannot be opened.
func Open(definitions map[string]Definition) (Set, error) {
	if len(definitions) == 0 {
		return nil, nil
	}
	open := opener.Load()
	if open == nil {
		return nil, errors.New("catalogues: nothing here can open them")
	}
	s := Set{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		c, err := (*open)(definitions[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("catalogue %s: %w", name, err))
			continue
		}
		s[name] = c
	}
	return s, errors.Join(errs...)
}

// Value returns one column of the row of a key; null when there is no such catalogue, row or column.
func (s Set) Value(name, key, column string) accumulator.Value {
	c := s[name]
	if c == nil {
		return accumulator.Value{}
	}
	return c.Row(key)[column]
}
