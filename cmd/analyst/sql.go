package analyst

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/transforms/segment"
)

func sqlCommand(p *command.Program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "sql QUERY",
		Short: "Ask ClickHouse about events, profiles, identifiers, changes of identity and what was rejected",
		Long: `Ask ClickHouse a question in SQL. The views are events, profiles, identifiers, identity_changes and rejected; 'braid tables' says
what is in them. A node must run with clickhouse: embedded, or braid.yaml name a ClickHouse of your own. In the embedded one the
question is asked as a user who can only read.`,
		Example: `  braid sql 'SELECT table, count() FROM events GROUP BY table ORDER BY table'
  braid sql "SELECT properties.category, uniq(identifiers['cookie']) FROM events WHERE table = 'page_view' GROUP BY ALL" --json
  braid sql 'SELECT reason, count(), any(detail) FROM rejected GROUP BY reason'`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			client, err := find(config, s)
			if err != nil {
				return err
			}
			conn, err := client.Open(c.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			// Columns of JSON come as texts: people read them, and programs parse them.
			ctx := clickhouse.Context(c.Context(), clickhouse.WithSettings(clickhouse.Settings{"output_format_native_write_json_as_string": 1}))
			rows, err := conn.Query(ctx, args[0])
			if err != nil {
				return fmt.Errorf("sql: %w", err)
			}
			defer rows.Close()
			if asJSON {
				err = writeJSON(c.OutOrStdout(), rows)
			} else {
				err = writeTable(c.OutOrStdout(), rows)
			}
			return errors.Join(err, rows.Err())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print for programs: an object per row and line")
	return c
}

// find returns the database of the segment.
func find(config *deployment.Config, s *segment.Segment) (clickhouseio.Client, error) {
	if client, ok := config.ClickHouseClient(); ok {
		return client.In(schema.DatabaseName(s.Name)), nil
	}
	node, ok, err := config.Published()
	switch {
	case err != nil:
		return clickhouseio.Client{}, err
	case ok && node.ClickHouse != "":
		return clickhouseio.Client{URL: node.ClickHouse}, nil
	case ok:
		return clickhouseio.Client{}, errors.New("the node that runs has no ClickHouse; put 'clickhouse: embedded' into braid.yaml and start it again")
	}
	return clickhouseio.Client{}, errors.New("no node runs on this data directory; start one with 'braid run' and 'clickhouse: embedded' in braid.yaml")
}

// scan returns the next row's values.
func scan(rows driver.Rows) ([]any, error) {
	types := rows.ColumnTypes()
	pointers := make([]any, len(types))
	for i, t := range types {
		pointers[i] = reflect.New(t.ScanType()).Interface()
	}
	if err := rows.Scan(pointers...); err != nil {
		return nil, err
	}
	for i, p := range pointers {
		v := reflect.ValueOf(p).Elem().Interface()
		if one, ok := v.(interface{ Any() any }); ok { // of a type that differs from row to row
			v = one.Any()
		}
		if types[i].DatabaseTypeName() == "JSON" {
			if text, ok := v.(string); ok {
				v = json.RawMessage(text)
			}
		}
		pointers[i] = v
	}
	return pointers, nil
}

func writeTable(to io.Writer, rows driver.Rows) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(rows.Columns(), "\t"))
	for rows.Next() {
		values, err := scan(rows)
		if err != nil {
			return err
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = cell(v)
		}
		fmt.Fprintln(w, strings.Join(texts, "\t"))
	}
	return w.Flush()
}

// cell is a value in a table: texts as they are but on one line, the rest as JSON where that says more.
func cell(v any) string {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return "NULL"
		}
		v = r.Elem().Interface()
	}
	switch at := v.(type) {
	case nil:
		return "NULL"
	case time.Time:
		return at.Format("2006-01-02 15:04:05.999")
	case json.RawMessage:
		return string(at)
	}
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.String:
		return strings.NewReplacer("\t", " ", "\n", " ").Replace(r.String())
	case r.Kind() == reflect.Slice || r.Kind() == reflect.Map:
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v)
}

func writeJSON(to io.Writer, rows driver.Rows) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	for rows.Next() {
		values, err := scan(rows)
		if err != nil {
			return err
		}
		row := map[string]any{}
		for i, name := range rows.Columns() {
			row[name] = values[i]
		}
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	return nil
}
