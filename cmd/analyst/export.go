package analyst

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/strict"
)

func exportCommand(p *command.Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write profiles, audiences, training sets or the answer of any query into a file",
		Long: `Write profiles, audiences, training sets or the answer of any query into a file of Parquet, Arrow, CSV or JSON lines; its name says which.
A node must run with clickhouse: embedded, or braid.yaml name a ClickHouse of your own.`,
		Example: "  braid export profiles profiles.parquet\n  braid export training set.parquet --label purchased --horizon 14d --every 7d",
		Args:    command.Subcommands,
		RunE:    command.Help,
	}
	c.AddCommand(
		exportOf(p, "profiles FILE", "Write all live profiles", "Write all live profiles: a row each, with the profile key and a column for each attribute.",
			"  braid export profiles profiles.parquet", func(_ []string, s *segment.Segment) (string, error) { return profilesQuery(s), nil }, 0),
		exportOf(p, "audiences FILE", "Write who is in which audience", "Write who is in which audience, and since when: a row for each person and audience.",
			"  braid export audiences audiences.csv", func([]string, *segment.Segment) (string, error) {
				return "SELECT audience, profile_id, since FROM audience_members ORDER BY audience, profile_id", nil
			}, 0),
		exportOf(p, "query QUERY FILE", "Write the answer of a query", "Write the answer of a query in SQL. Lists, maps and objects are written as JSON.",
			"  braid export query 'SELECT * FROM scores' scores.arrow", func(args []string, _ *segment.Segment) (string, error) { return args[0], nil }, 1),
		exportTrainingCommand(p),
	)
	return c
}

// exportOf returns a command that writes what a query answers into the file named last, behind so many other arguments.
func exportOf(p *command.Program, use, short, long, example string, query func(args []string, s *segment.Segment) (string, error), others int) *cobra.Command {
	var format command.Format
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: command.Arguments(cobra.ExactArgs(others + 1)),
		RunE: func(c *cobra.Command, args []string) error {
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			text, err := query(args, s)
			if err != nil {
				return command.Usage(c, err)
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
			done, err := export(c.Context(), conn, text, args[others])
			if err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), done)
		},
	}
	format.AddTo(c)
	return c
}

// exported is what was written.
type exported struct {
	File    string   `json:"file"`
	Rows    int64    `json:"rows"`
	Columns []string `json:"columns"`
}

// WriteText prints it for people.
func (e exported) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s: %s rows of %d columns.\n", e.File, humanize.Comma(e.Rows), len(e.Columns))
	return err
}

func export(ctx context.Context, conn driver.Conn, query, path string) (done exported, err error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"output_format_native_write_json_as_string": 1}))
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return done, fmt.Errorf("export: %w", err)
	}
	defer rows.Close()
	var columns []tabular.Column
	for _, t := range rows.ColumnTypes() {
		columns = append(columns, tabular.Column{Name: t.Name(), Type: columnType(t.ScanType())})
		done.Columns = append(done.Columns, t.Name())
	}
	w, err := tabular.Create(path, "", columns)
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	for rows.Next() {
		values, err := scan(rows)
		if err != nil {
			return done, err
		}
		for i := range values {
			if values[i], err = plain(values[i], columns[i].Type); err != nil {
				return done, fmt.Errorf("export: column %s: %w", columns[i].Name, err)
			}
		}
		if err := w.Write(values); err != nil {
			return done, err
		}
	}
	if err := rows.Err(); err != nil {
		return done, fmt.Errorf("export: %w", err)
	}
	done.File = path
	done.Rows, err = w.Close()
	return done, err
}

// columnType returns what a column of a Go type is written as; what is none of these is JSON, as a text.
func columnType(t reflect.Type) tabular.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Time]() {
		return tabular.Time
	}
	switch t.Kind() {
	case reflect.Bool:
		return tabular.Bool
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return tabular.Integer
	case reflect.Float32, reflect.Float64:
		return tabular.Number
	}
	return tabular.Text
}

// plain returns a value as the type says.
func plain(v any, t tabular.Type) (any, error) {
	r := reflect.ValueOf(v)
	for r.IsValid() && r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return nil, nil
		}
		r = r.Elem()
	}
	if !r.IsValid() {
		return nil, nil
	}
	switch t {
	case tabular.Bool:
		return r.Bool(), nil
	case tabular.Integer:
		if r.CanUint() {
			return int64(r.Uint()), nil
		}
		return r.Int(), nil
	case tabular.Number:
		return r.Float(), nil
	case tabular.Time:
		return r.Interface().(time.Time), nil
	}
	switch at := r.Interface().(type) {
	case string:
		return at, nil
	case json.RawMessage:
		return string(at), nil
	case fmt.Stringer:
		return at.String(), nil
	}
	raw, err := json.Marshal(r.Interface())
	return string(raw), err
}

// profilesQuery returns the query of all live profiles with a column for each attribute.
func profilesQuery(s *segment.Segment) string {
	names := make([]string, 0, len(s.File.Attributes))
	for name := range s.File.Attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	columns := []string{
		"profile_id", fmt.Sprintf("nullIf(arrayFirst(i -> i.key = %s, identifiers).value, '') AS `%s`", clickhouseio.QuoteText(s.ProfileKey), s.ProfileKey),
		"event_count", "first_seen", "last_seen",
	}
	for _, name := range names {
		columns = append(columns, fmt.Sprintf("nullIf(toString(attributes.`%s`), '') AS `%s`", name, name))
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM profiles ORDER BY profile_id"
}

// training says what a training set is made of.
type training struct {
	Label          string
	Horizon, Every strict.Duration
	From, To       string
}

func exportTrainingCommand(p *command.Program) *cobra.Command {
	var o training
	var horizon, every string
	c := exportOf(p, "training FILE", "Write a set to train a model with", `Write a set to train a model with: a row for each person at each of some moments, with what was known then, and whether an event came within
the horizon after. Nothing that came later is part of what was known, so a model learns what it will be asked.

For each event definition there are how many events there had been, how many in the last 7 and 30 days, and how many days ago the last was.
Whose an event is, the identity graph of the last batch run says.`,
		"  braid export training set.parquet --label purchased --horizon 14d --every 7d\n  braid export training set.csv --label purchased --horizon 7d --from 2026-01-01 --to 2026-06-30",
		func(_ []string, s *segment.Segment) (text string, err error) {
			if o.Horizon, err = strict.ParseDuration(horizon); err != nil {
				return "", fmt.Errorf("--horizon: %w", err)
			}
			if o.Every, err = strict.ParseDuration(every); err != nil {
				return "", fmt.Errorf("--every: %w", err)
			}
			return o.query(s)
		}, 0)
	f := c.Flags()
	f.StringVar(&o.Label, "label", "", "event definition that is to be predicted")
	f.StringVar(&horizon, "horizon", "14d", "within what time after a moment")
	f.StringVar(&every, "every", "7d", "from one moment to the next")
	f.StringVar(&o.From, "from", "", "day of the first moment (default a horizon after the first event)")
	f.StringVar(&o.To, "to", "", "day of the last moment (default a horizon before the last event)")
	return c
}

func (o training) query(s *segment.Segment) (string, error) {
	if !slices.Contains(s.EventNames, o.Label) {
		return "", fmt.Errorf("--label %q is no event definition; there are %s", o.Label, strings.Join(s.EventNames, ", "))
	}
	if o.Horizon <= 0 || o.Every <= 0 {
		return "", errors.New("--horizon and --every are longer than nothing")
	}
	horizon, every := int64(time.Duration(o.Horizon).Seconds()), int64(time.Duration(o.Every).Seconds())
	moment := func(day, otherwise string) (string, error) {
		if day == "" {
			return otherwise, nil
		}
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return "", fmt.Errorf("%q is no day such as 2026-01-31", day)
		}
		return fmt.Sprintf("toDateTime(%d, 'UTC')", t.Unix()), nil
	}
	first, err := moment(o.From, fmt.Sprintf("toDateTime(min(time)) + toIntervalSecond(%d)", horizon))
	if err != nil {
		return "", err
	}
	last, err := moment(o.To, fmt.Sprintf("toDateTime(max(time)) - toIntervalSecond(%d)", horizon))
	if err != nil {
		return "", err
	}
	columns := []string{"person", "cut AS at"}
	for _, name := range s.EventNames {
		is := fmt.Sprintf("has(definitions, %s)", clickhouseio.QuoteText(name))
		columns = append(columns,
			fmt.Sprintf("countIf(%s AND time < cut) AS `%s_count`", is, name),
			fmt.Sprintf("countIf(%s AND time < cut AND time >= cut - toIntervalDay(7)) AS `%s_7d`", is, name),
			fmt.Sprintf("countIf(%s AND time < cut AND time >= cut - toIntervalDay(30)) AS `%s_30d`", is, name),
			fmt.Sprintf("if(`%s_count` = 0, NULL, dateDiff('day', maxIf(time, %s AND time < cut), cut)) AS `%s_days_since`", name, is, name))
	}
	columns = append(columns, fmt.Sprintf("countIf(has(definitions, %s) AND time >= cut AND time < cut + toIntervalSecond(%d)) > 0 AS label", clickhouseio.QuoteText(o.Label), horizon))
	return fmt.Sprintf(`SELECT %s
FROM (SELECT person, time, definitions FROM people_events WHERE person != '') AS e
CROSS JOIN (
	SELECT arrayJoin(arrayMap(i -> first + toIntervalSecond(i * %d), range(toUInt64(greatest(0, dateDiff('second', first, last) / %d) + 1)))) AS cut
	FROM (SELECT %s AS first, %s AS last FROM people_events)
	WHERE last >= first
) AS moments
GROUP BY person, cut
HAVING countIf(time < cut) > 0
ORDER BY person, cut`, strings.Join(columns, ",\n\t"), every, every, first, last), nil
}
