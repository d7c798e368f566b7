// Package history brings the past into the stream: in go files of events, one a row, out come the events, in their order and at their own
// times, each once however often an import is broken off.
package history

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

// Source is the header source of imported events.
const Source = "import"

// Mapping says what the columns of a file are. Its YAML form is what --mapping reads.
type Mapping struct {
	// Table is the event table of all rows; default the column table.
	Table string `yaml:"table" json:"table,omitempty"`
	// Columns says where in an event a column goes, by its name: time, event_id, table, identifiers.NAME, properties.NAME, context.NAME, or
	// nothing, which leaves it out. By default columns called like one of these go there, those in which the table's stitching keys are
	// found are identifiers, and all others are properties.
	Columns map[string]string `yaml:"columns" json:"columns,omitempty"`
	// TimeLayout is how times are written, as Go writes its own reference time ("2006-01-02 15:04:05"), in UTC where it names no zone;
	// default RFC 3339, or epoch milliseconds or seconds.
	TimeLayout string `yaml:"time_layout" json:"time_layout,omitempty"`
}

// mapper makes events of rows.
type mapper struct {
	mapping Mapping
	config  *update.Config
	name    string // of the file, without its folder
	lines   bool   // JSON lines: values may be objects
	columns []tabular.Column
	targets []string
}

// newMapper finds out where each column goes.
func newMapper(config *update.Config, m Mapping, name string, format tabular.Format, columns []tabular.Column) (*mapper, error) {
	out := &mapper{mapping: m, config: config, name: name, lines: format == tabular.Lines, columns: columns}
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	for _, column := range slices.Sorted(maps.Keys(m.Columns)) {
		if !slices.Contains(names, column) {
			return nil, fmt.Errorf("there is no column %q; there are %s", column, strings.Join(names, ", "))
		}
	}
	fields := map[string]bool{}
	for table, sources := range config.Tables {
		for _, s := range sources {
			if m.Table == "" || m.Table == table {
				fields[s.Field] = true
			}
		}
	}
	for _, c := range columns {
		target, mapped := m.Columns[c.Name]
		root, rest, dotted := strings.Cut(c.Name, ".")
		switch {
		case mapped:
		case slices.Contains([]string{"time", "event_id", "table", "identifiers", "properties", "context"}, c.Name):
			target = c.Name
		case dotted && rest != "" && slices.Contains([]string{"identifiers", "properties", "context"}, root):
			target = c.Name
		case fields[c.Name]:
			target = "identifiers." + c.Name
		default:
			target = "properties." + c.Name
		}
		root, rest, dotted = strings.Cut(target, ".")
		switch {
		case target == "" || slices.Contains([]string{"time", "event_id", "table"}, target):
		case slices.Contains([]string{"identifiers", "properties", "context"}, root) && (!dotted || rest != ""):
		default:
			return nil, fmt.Errorf("column %q cannot go to %q; name time, event_id, table, identifiers.NAME, properties.NAME or context.NAME", c.Name, target)
		}
		out.targets = append(out.targets, target)
	}
	switch {
	case m.Table != "" && config.Tables[m.Table] == nil:
		return nil, fmt.Errorf("the segment has no table %q; it has %s", m.Table, strings.Join(slices.Sorted(maps.Keys(config.Tables)), ", "))
	case m.Table == "" && !slices.Contains(out.targets, "table"):
		return nil, fmt.Errorf("no column says which table a row belongs to; name it with --table")
	case !slices.Contains(out.targets, "time"):
		return nil, fmt.Errorf("no column holds the time of an event; name it with --column NAME=time; there are %s", strings.Join(names, ", "))
	}
	return out, nil
}

// record makes the record of a row. The same row of a file of the same name always gives the same.
func (m *mapper) record(number int64, values []string) (event.Record, error) {
	d := event.Draft{Table: m.mapping.Table, Source: Source}
	parts := map[string]map[string]any{}
	for i, text := range values {
		target := m.targets[i]
		if text == "" || target == "" {
			continue
		}
		root, path, dotted := strings.Cut(target, ".")
		switch {
		case target == "time":
			at, err := m.time(text)
			if err != nil {
				return event.Record{}, err
			}
			d.Time = at
		case target == "event_id":
			d.ID = text
		case target == "table":
			d.Table = text
		case !dotted:
			if !gjson.Valid(text) || text[0] != '{' {
				return event.Record{}, fmt.Errorf("column %s is no object of JSON", m.columns[i].Name)
			}
			gjson.Parse(text).ForEach(func(name, value gjson.Result) bool {
				set(parts, root, name.Str, json.RawMessage(value.Raw))
				return true
			})
		default:
			set(parts, root, path, m.value(root, i, text))
		}
	}
	if d.Time == 0 {
		return event.Record{}, fmt.Errorf("it has no time")
	}
	d.Received = d.Time
	for root, to := range map[string]*json.RawMessage{"identifiers": &d.Identifiers, "properties": &d.Properties, "context": &d.Context} {
		if parts[root] == nil {
			continue
		}
		raw, err := json.Marshal(parts[root])
		if err != nil {
			return event.Record{}, err
		}
		*to = raw
	}
	if d.ID == "" {
		sum := sha256.Sum256([]byte(m.name + "\n" + strconv.FormatInt(number, 10) + "\n" + strings.Join(values, "\x00")))
		d.ID = "import/" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
	}
	r, err := event.New(d)
	if err != nil {
		return r, err
	}
	r.Value = m.config.Conceal(d.Table, r.Value)
	r.Key = []byte(m.config.RecordKey(d.Table, r.Value))
	return r, nil
}

// set puts a value at a path within a part of an event.
func set(parts map[string]map[string]any, root, path string, value any) {
	at := parts[root]
	if at == nil {
		at = map[string]any{}
		parts[root] = at
	}
	for {
		name, rest, more := strings.Cut(path, ".")
		if !more {
			at[name] = value
			return
		}
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at, path = next, rest
	}
}

// value returns a value as JSON: identifiers are texts, numbers numbers.
func (m *mapper) value(root string, column int, text string) any {
	if root == "identifiers" {
		return text
	}
	switch t := m.columns[column].Type; {
	case t == tabular.Bool && (text == "true" || text == "false"):
		return text == "true"
	case (t == tabular.Number || t == tabular.Unknown) && isNumber(text):
		return json.RawMessage(text)
	case m.lines && (text[0] == '{' || text[0] == '[') && gjson.Valid(text):
		return json.RawMessage(text)
	case t == tabular.Time:
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
		}
	}
	return text
}

func isNumber(text string) bool {
	return (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && gjson.Valid(text)
}

// time reads a time as epoch milliseconds.
func (m *mapper) time(text string) (int64, error) {
	if m.mapping.TimeLayout != "" {
		t, err := time.Parse(m.mapping.TimeLayout, text)
		if err != nil {
			return 0, fmt.Errorf("time %q is not written like %q", text, m.mapping.TimeLayout)
		}
		return t.UnixMilli(), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		const secondsUntil = 100_000_000_000 // the year 5138 in seconds, March 1973 in milliseconds
		if n > -secondsUntil && n < secondsUntil {
			n *= 1000
		}
		return n, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("time %q is neither RFC 3339 nor a number of seconds or milliseconds; say how it is written with --time-layout", text)
}
