package clickhouseio

import (
	"fmt"
	"reflect"
	"strings"
)

// shape is how the fields of a struct are columns.
type shape struct {
	columns []string
	fields  [][]int // paths, as reflect.Value.FieldByIndex takes them
}

// shapeOf reads the tags of a struct: `ch:"name"`. Fields without one, or with "-", are no columns; structs that are embedded without
// one give theirs.
func shapeOf(t reflect.Type) (shape, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return shape{}, fmt.Errorf("clickhouseio: rows are structs, not %v", t)
	}
	var s shape
	var collect func(t reflect.Type, path []int) error
	collect = func(t reflect.Type, path []int) error {
		for i := range t.NumField() {
			f := t.Field(i)
			at := append(append([]int(nil), path...), i)
			name, tagged := f.Tag.Lookup("ch")
			switch {
			case !tagged && f.Anonymous && f.Type.Kind() == reflect.Struct:
				if err := collect(f.Type, at); err != nil {
					return err
				}
			case !tagged || name == "-":
			case !f.IsExported():
				return fmt.Errorf("clickhouseio: field %s of %v has the tag ch, but is not exported", f.Name, t)
			default:
				s.columns = append(s.columns, name)
				s.fields = append(s.fields, at)
			}
		}
		return nil
	}
	if err := collect(t, nil); err != nil {
		return shape{}, err
	}
	if len(s.columns) == 0 {
		return shape{}, fmt.Errorf("clickhouseio: no field of %v has a tag such as `ch:\"column\"`", t)
	}
	return s, nil
}

// index returns the place of a column.
func (s shape) index(column string) (int, error) {
	for i, c := range s.columns {
		if c == column {
			return i, nil
		}
	}
	return 0, fmt.Errorf("clickhouseio: no field has the tag ch:%q; there are %s", column, strings.Join(s.columns, ", "))
}

// values appends what the columns of a row hold.
func (s shape) values(dst []any, row reflect.Value) []any {
	for row.Kind() == reflect.Pointer {
		row = row.Elem()
	}
	for _, f := range s.fields {
		dst = append(dst, row.FieldByIndex(f).Interface())
	}
	return dst
}

// pointers appends where the columns of a row go; row is a pointer.
func (s shape) pointers(dst []any, row reflect.Value) []any {
	for _, f := range s.fields {
		dst = append(dst, row.Elem().FieldByIndex(f).Addr().Interface())
	}
	return dst
}

// insert returns the statement that announces rows.
func (s shape) insert(table string) string {
	quoted := make([]string, len(s.columns))
	for i, c := range s.columns {
		quoted[i] = Quote(c)
	}
	return "INSERT INTO " + Quote(table) + " (" + strings.Join(quoted, ", ") + ")"
}
