// Package importer reads what batch runs import: in go queries, files and scores, out come rows by value of the profile key, as a
// snapshot keeps them, and what could not be used.
package importer

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"github.com/braidhq/braid/transforms/identity"
)

// Source is one import or score, read.
type Source struct {
	Name    string
	Columns []Column
	// Rows are the values by person, the value of the profile key as it was written, in the order of Columns; "" is nothing.
	Rows []Row
}

// Column is a column of a source.
type Column struct {
	Name string
	Type snapshot.ColumnType
}

// Row is one person's row.
type Row struct {
	Person string
	Values []string
}

// Summary says what became of a source's rows.
type Summary struct {
	Name    string `json:"name"`
	Rows    int    `json:"rows"`
	People  int    `json:"people"`  // rows that count, one for each person
	Twice   int    `json:"twice"`   // rows of a person who has a later one
	Nobody  int    `json:"nobody"`  // rows whose value of the profile key identifies nobody
	Refused int    `json:"refused"` // values left out: numbers that are none, such as NaN, texts that are too long
	Example string `json:"example,omitempty"`
}

// String says it in a line.
func (s Summary) String() string {
	text := fmt.Sprintf("%s: %d people of %d rows", s.Name, s.People, s.Rows)
	for _, left := range []struct {
		n    int
		what string
	}{{s.Twice, "twice"}, {s.Nobody, "of nobody"}, {s.Refused, "values refused"}} {
		if left.n > 0 {
			text += fmt.Sprintf(", %d %s", left.n, left.what)
		}
	}
	if s.Example != "" {
		text += " (" + s.Example + ")"
	}
	return text
}

// maxValue is how many bytes a value may have.
const maxValue = 500

// Imported are the rows of all sources by person.
type Imported struct {
	Columns   []snapshot.Column
	Summaries []Summary

	rows map[identity.ID][]*string
}

// People returns how many people have a row.
func (i *Imported) People() int { return len(i.rows) }

// Rows iterates over the rows in the order of their identifiers.
func (i *Imported) Rows() iter.Seq2[snapshot.Row, error] {
	ids := make([]identity.ID, 0, len(i.rows))
	for id := range i.rows {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b identity.ID) int { return slices.Compare(a[:], b[:]) })
	return func(yield func(snapshot.Row, error) bool) {
		for _, id := range ids {
			if !yield(snapshot.Row{Identifier: id, Values: i.rows[id]}, nil) {
				return
			}
		}
	}
}

// Join puts sources together, each person's rows side by side.
func Join(namespace string, rules *identity.Rules, sources []Source) *Imported {
	all := &Imported{rows: map[identity.ID][]*string{}}
	for _, s := range sources {
		for _, c := range s.Columns {
			all.Columns = append(all.Columns, snapshot.Column{Name: s.Name + "." + c.Name, Type: c.Type})
		}
	}
	at := 0
	for _, s := range sources {
		all.Summaries = append(all.Summaries, all.add(namespace, rules, s, at))
		at += len(s.Columns)
	}
	return all
}

func (i *Imported) add(namespace string, rules *identity.Rules, s Source, at int) Summary {
	sum := Summary{Name: s.Name, Rows: len(s.Rows)}
	example := func(format string, args ...any) {
		if sum.Example == "" {
			sum.Example = fmt.Sprintf(format, args...)
		}
	}
	known := map[identity.ID]bool{}
	for n, row := range s.Rows {
		identifier, refusal := rules.Normalize(rules.ProfileKey(), row.Person)
		if refusal != "" {
			sum.Nobody++
			example("row %d: %s", n+1, refusal)
			continue
		}
		id := identity.NewID(namespace, identifier)
		if known[id] {
			sum.Twice++
		}
		known[id] = true
		values := i.rows[id]
		if values == nil {
			values = make([]*string, len(i.Columns))
			i.rows[id] = values
		}
		for c, column := range s.Columns {
			value, err := canonical(column.Type, row.Values[c])
			if err != nil {
				sum.Refused++
				example("row %d, column %s: %v", n+1, column.Name, err)
			}
			values[at+c] = value
		}
	}
	sum.People = len(known)
	return sum
}

type columnType = snapshot.ColumnType

// infer says what the texts of a column are: numbers if all are written as JSON writes numbers, which "007" and "+1" are not.
func infer(rows []Row, column int) columnType {
	numbers := false
	for _, row := range rows {
		text := row.Values[column]
		if text == "" {
			continue
		}
		if _, err := decimal.Parse(text); err != nil {
			return snapshot.Text
		}
		numbers = true
	}
	if numbers {
		return snapshot.Number
	}
	return snapshot.Text
}

// canonical returns a value as snapshots keep it; nil is none.
func canonical(t columnType, text string) (*string, error) {
	if text == "" {
		return nil, nil
	}
	switch t {
	case snapshot.Number:
		d, err := decimal.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", clip(text), err)
		}
		text = d.String()
	case snapshot.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", clip(text))
		}
		text = strconv.FormatBool(b)
	case snapshot.Time:
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return nil, fmt.Errorf("%q is no time", clip(text))
		}
	default:
		if len(text) > maxValue {
			return nil, fmt.Errorf("a text of %d bytes, the limit is %d", len(text), maxValue)
		}
	}
	return &text, nil
}

func clip(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// columnName makes the name of a column one that a definition can name.
func columnName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}
