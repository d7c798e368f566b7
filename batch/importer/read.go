package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/transforms/imports"
)

// File reads a file; key is the column with the profile key.
func File(name, path, key string) (Source, error) {
	t, err := tabular.Open(path, "")
	if err != nil {
		return Source{}, fmt.Errorf("import %s: %w", name, err)
	}
	defer t.Close()
	columns := t.Columns()
	s, person, err := newSource(name, key, columns)
	if err != nil {
		return Source{}, err
	}
	for n := 1; ; n++ {
		values, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Source{}, fmt.Errorf("import %s: %s, row %d: %w", name, path, n, err)
		}
		s.Rows = append(s.Rows, Row{Person: values[person], Values: slices.Delete(slices.Clone(values), person, person+1)})
	}
	for i := range s.Columns {
		if s.Columns[i].Type == "" {
			s.Columns[i].Type = infer(s.Rows, i)
		}
	}
	return s, nil
}

// newSource returns a source without rows, and the place of the column that holds the profile key.
func newSource(name, key string, columns []tabular.Column) (s Source, person int, err error) {
	s, person = Source{Name: name}, -1
	var names []string
	for i, c := range columns {
		if names = append(names, c.Name); c.Name == key && person < 0 {
			person = i
			continue
		}
		s.Columns = append(s.Columns, Column{columnName(c.Name), snapshot.ColumnType(c.Type)})
	}
	if person < 0 {
		err = fmt.Errorf("import %s: there is no column %q, which should hold the profile key; there are %s; name it with key: in segment.yaml",
			name, key, strings.Join(names, ", "))
	}
	return s, person, err
}

// Query reads what a query answers. The connection should be that of a user who can only read; statements that write are refused as well.
func Query(ctx context.Context, conn driver.Conn, name, text, key string) (Source, error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"output_format_native_write_json_as_string": 1}))
	rows, err := conn.Query(ctx, text)
	if err != nil {
		return Source{}, fmt.Errorf("import %s: %w", name, err)
	}
	defer rows.Close()
	var columns []tabular.Column
	for _, c := range rows.ColumnTypes() {
		columns = append(columns, tabular.Column{Name: c.Name(), Type: tabular.Type(typeOf(c.DatabaseTypeName()))})
	}
	s, person, err := newSource(name, key, columns)
	if err != nil {
		return Source{}, err
	}
	for rows.Next() {
		pointers := make([]any, len(columns))
		for i, t := range rows.ColumnTypes() {
			pointers[i] = reflect.New(t.ScanType()).Interface()
		}
		if err := rows.Scan(pointers...); err != nil {
			return Source{}, fmt.Errorf("import %s: %w", name, err)
		}
		values := make([]string, len(columns))
		for i, p := range pointers {
			values[i] = textOf(reflect.ValueOf(p).Elem())
		}
		who := values[person]
		s.Rows = append(s.Rows, Row{Person: who, Values: slices.Delete(values, person, person+1)})
	}
	if err := rows.Err(); err != nil {
		return Source{}, fmt.Errorf("import %s: %w", name, err)
	}
	return s, nil
}

// typeOf returns the type of a column of ClickHouse.
func typeOf(name string) columnType {
	for _, wrapper := range []string{"LowCardinality(", "Nullable("} {
		name = strings.TrimSuffix(strings.TrimPrefix(name, wrapper), ")")
	}
	switch {
	case strings.HasPrefix(name, "Int"), strings.HasPrefix(name, "UInt"), strings.HasPrefix(name, "Float"), strings.HasPrefix(name, "Decimal"):
		return snapshot.Number
	case name == "Bool":
		return snapshot.Bool
	case strings.HasPrefix(name, "Date"):
		return snapshot.Time
	}
	return snapshot.Text
}

func textOf(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch at := v.Interface().(type) {
	case time.Time:
		return strconv.FormatInt(at.UnixMilli(), 10)
	case fmt.Stringer:
		return at.String()
	case float32:
		return strconv.FormatFloat(float64(at), 'f', -1, 32)
	case float64:
		return strconv.FormatFloat(at, 'f', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}

// scoreTypes are the columns of scores that are no texts.
var scoreTypes = map[string]columnType{
	"days_since_last": snapshot.Number, "frequency": snapshot.Number, "monetary": snapshot.Number, "probability": snapshot.Number,
}

// Score reads a score that a run computed.
func Score(ctx context.Context, conn driver.Conn, run uint64, name string, score imports.Score) (Source, error) {
	s := Source{Name: name}
	for _, c := range score.Model.Columns() {
		t := scoreTypes[c]
		switch {
		case c == "score" && score.Model == imports.NextBestOffer:
			t = snapshot.Number
		case t == "":
			t = snapshot.Text
		}
		s.Columns = append(s.Columns, Column{c, t})
	}
	rows, err := conn.Query(ctx, "SELECT person, values FROM "+clickhouseio.Quote(schema.ScoreRows)+" WHERE run = ? AND score = ?", run, name)
	if err != nil {
		return s, fmt.Errorf("score %s: %w", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var person string
		var values map[string]string
		if err := rows.Scan(&person, &values); err != nil {
			return s, fmt.Errorf("score %s: %w", name, err)
		}
		row := Row{Person: person}
		for _, c := range s.Columns {
			row.Values = append(row.Values, values[c.Name])
		}
		s.Rows = append(s.Rows, row)
	}
	return s, rows.Err()
}
