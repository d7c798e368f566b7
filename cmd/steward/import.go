package steward

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/steward/graph"
	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/io/topics"
)

func identityImportCommand(p *command.Program) *cobra.Command {
	var o graph.Options
	var im graph.Import
	var kind, format, at, report string
	var printed command.Format
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import an identity graph that was made elsewhere",
		Long: `Import an identity graph that was made elsewhere: each row of a CSV, Parquet or Arrow file holds identifiers that belong together. Columns
are named like stitching keys; a column "time" says when that became known, and among links that contradict each other it counts like
the time of an event.

The rows go into the stream as events of their own that join identifiers, count for no attribute and are nobody's event. The same rows
give the same events: what is imported twice changes nothing, and an import that broke off goes on with --from.

With --kind forbids the columns a and b hold two identifiers each, as KEY:VALUE, that may never share a profile.`,
		Example: `  braid identity import graph.csv
  braid identity import graph.parquet --column client=cookie --column score= --origin crm
  braid identity import pairs.csv --kind forbids --dry-run`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			im.Time = time.Now().UnixMilli()
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return command.Usage(c, fmt.Errorf("--time %q is no time such as 2026-11-20T08:00:00Z", at))
				}
				im.Time = t.UnixMilli()
			}
			if im.Kind, o.Keys = graph.Kind(kind), s.Rules.Keys(); im.Kind == graph.Forbids {
				o.Keys = []string{"a", "b"}
			} else if im.Kind != graph.Links {
				return command.Usage(c, fmt.Errorf("--kind %q is neither links nor forbids", kind))
			}
			o.Format = tabular.Format(format)
			rows, err := graph.Open(args[0], o)
			if err != nil {
				return err
			}
			defer rows.Close()
			if im.Origin == "" {
				im.Origin = filepath.Base(args[0])
			}
			im.Rules, im.Topic = s.Rules, topics.Name(s.Name, topics.Events)
			if !im.DryRun {
				client, release, err := p.ReachKafka(c.Context(), config)
				if err != nil {
					return err
				}
				defer release()
				im.Client = client
			}
			last := time.Now()
			im.Progress = func(sum graph.Summary) {
				if time.Since(last) >= time.Second {
					last = time.Now()
					p.Logger.Info("importing", "rows", sum.Rows, "sent", sum.Sent)
				}
			}
			sum, err := im.Run(c.Context(), rows)
			if err != nil {
				return fmt.Errorf("%w\n%d rows arrived; --from %d goes on behind them", err, sum.Sent, sum.Next)
			}
			if report != "" {
				if err := command.WriteReport(report, sum); err != nil {
					return err
				}
			}
			return printed.Print(c.OutOrStdout(), imported{sum, im.DryRun})
		},
	}
	f := c.Flags()
	f.StringVar(&kind, "kind", string(graph.Links), "what a row says: links or forbids")
	f.StringVar(&format, "format", "", "form of the file: csv, parquet or arrow (default by its name)")
	f.StringToStringVar(&o.Columns, "column", nil, "stitching key of a column, COLUMN=KEY; COLUMN= leaves it out; may be repeated")
	f.StringVar(&o.Time, "time-column", "", "column with the time (default time, if there is one)")
	f.StringVar(&at, "time", "", "time of rows that have none, such as 2026-11-20T08:00:00Z (default now)")
	f.StringVar(&im.Origin, "origin", "", "where the graph comes from; kept with the links (default the file's name)")
	f.Int64Var(&im.From, "from", 1, "first row to send")
	f.BoolVar(&im.DryRun, "dry-run", false, "read and count, and send nothing")
	f.StringVar(&report, "report", "", "file for the figures, as JSON")
	printed.AddTo(c)
	return c
}

// imported is what an import did.
type imported struct {
	graph.Summary
	dry bool
}

// WriteText prints it for people.
func (i imported) WriteText(w io.Writer) error {
	said := fmt.Sprintf("%d rows read, %d sent", i.Rows, i.Sent)
	if i.dry {
		said = fmt.Sprintf("%d rows read, %d would be sent", i.Rows, i.Rows-i.Useless)
	}
	fmt.Fprintln(w, said+".")
	if i.Useless > 0 {
		fmt.Fprintf(w, "  %d with less than two identifiers that count\n", i.Useless)
	}
	for _, reason := range slices.Sorted(maps.Keys(i.Refused)) {
		if _, err := fmt.Fprintf(w, "  %d identifiers: %s\n", i.Refused[reason], reason); err != nil {
			return err
		}
	}
	return nil
}
