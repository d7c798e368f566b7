package engineer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/engineer/history"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/tabular"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/strict"
)

func importCommand(p *command.Program) *cobra.Command {
	c := &cobra.Command{
		Use:     "import",
		Short:   "Bring in what there was before",
		Long:    "Bring in what there was before. An identity graph is brought in by 'braid identity import'.",
		Example: "  braid import events orders-*.csv --table orders",
		Args:    command.Subcommands,
		RunE:    command.Help,
	}
	c.AddCommand(importEventsCommand(p))
	return c
}

func importEventsCommand(p *command.Program) *cobra.Command {
	var im history.Import
	var format, mapping, rejects, report string
	var printed command.Format
	c := &cobra.Command{
		Use:   "events FILE...",
		Short: "Bring in events of the past, from files",
		Long: `Bring in events of the past from files of CSV, Parquet, Arrow or JSON lines, one a row. A FILE may be a pattern such as 'orders-*.csv'.
They count as having been received when they happened, so windows, sessions and the order of links are what they would have been.

A column goes where its name says: time, event_id, table, identifiers.NAME, properties.NAME or context.NAME; columns in which the table's
stitching keys are found are identifiers; all others are properties. --column says otherwise, --mapping reads a file of YAML:

  table: orders
  time_layout: '02/01/2006 15:04'
  columns: {InvoiceDate: time, CustomerID: identifiers.user_id, Notes: ''}

An import that is broken off goes on where it was when it is given once more; a file that was imported is passed over. Rows that are no
events are counted by reason; --rejects writes them down.`,
		Example: `  braid import events orders.csv --table orders --column InvoiceDate=time
  braid import events 'clicks/*.parquet' --mapping clicks.yaml --rejects rejects.jsonl
  braid import events events.jsonl --dry-run`,
		Args: command.Arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) (err error) {
			config, s, err := p.Load()
			if err != nil {
				return err
			}
			files, err := matching(args)
			if err != nil {
				return command.Usage(c, err)
			}
			if mapping != "" {
				if err := readMapping(mapping, &im.Mapping); err != nil {
					return command.ConfigurationError{Err: err}
				}
			}
			if im.Config, err = transforms.Secretive(s.Config()); err != nil {
				return command.ConfigurationError{Err: err}
			}
			im.Format, im.Topic, im.State = tabular.Format(format), topics.Name(s.Name, topics.Events), filepath.Join(config.Data, "imports", s.Name)
			if !im.DryRun {
				client, release, err := p.ReachKafka(c.Context(), config)
				if err != nil {
					return err
				}
				defer release()
				if err := ensureTopics(c.Context(), config, s.Name, client); err != nil {
					return err
				}
				im.Client = client
			}
			if rejects != "" {
				f, err := os.Create(rejects)
				if err != nil {
					return err
				}
				encoder := json.NewEncoder(f)
				im.Rejects = func(r history.Reject) { err = errors.Join(err, encoder.Encode(r)) }
				defer func() { err = errors.Join(err, f.Close()) }()
			}
			said := time.Now()
			im.Progress = func(file string, sum history.Summary) {
				if time.Since(said) >= time.Second {
					said = time.Now()
					fmt.Fprintf(c.ErrOrStderr(), "%s: %s rows, %s sent\n", file, humanize.Comma(sum.Rows), humanize.Comma(sum.Sent))
				}
			}
			sum, err := im.Run(c.Context(), files)
			if err != nil {
				return fmt.Errorf("%w\n%d rows arrived; the same command goes on behind them", err, sum.Sent)
			}
			if report != "" {
				if err := command.WriteReport(report, sum); err != nil {
					return err
				}
			}
			return printed.Print(c.OutOrStdout(), importedEvents{sum, im.DryRun})
		},
	}
	f := c.Flags()
	f.StringVar(&im.Mapping.Table, "table", "", "event table of all rows (default: the column table says it)")
	f.StringToStringVar(&im.Mapping.Columns, "column", nil, "where a column goes, COLUMN=time or COLUMN=properties.NAME; COLUMN= leaves it out; may be repeated")
	f.StringVar(&im.Mapping.TimeLayout, "time-layout", "", "how times are written, like '2006-01-02 15:04:05' (default RFC 3339, or epoch seconds or milliseconds)")
	f.StringVar(&mapping, "mapping", "", "file of YAML with table, columns and time_layout, instead of these flags")
	f.StringVar(&format, "format", "", "form of the files: csv, parquet, arrow or jsonl (default by their names)")
	f.StringVar(&rejects, "rejects", "", "file for the rows that are no events, as JSON lines with the reason")
	f.BoolVar(&im.DryRun, "dry-run", false, "read and check, and send nothing")
	f.StringVar(&report, "report", "", "file for the figures, as JSON")
	for _, flag := range []string{"table", "column", "time-layout"} {
		c.MarkFlagsMutuallyExclusive("mapping", flag)
	}
	printed.AddTo(c)
	return c
}

// ensureTopics makes the topics where no node has done so yet.
func ensureTopics(ctx context.Context, config *deployment.Config, segment string, client kafkaio.Client) error {
	options, err := client.Options()
	if err != nil {
		return err
	}
	admin, err := kgo.NewClient(append(options, kgo.DisableClientMetrics())...)
	if err != nil {
		return err
	}
	defer admin.Close()
	specs, err := topics.Plan(segment, config.TopicOptions())
	if err != nil {
		return err
	}
	_, err = topics.Ensure(ctx, kadm.NewClient(admin), specs)
	return err
}

func readMapping(path string, m *history.Mapping) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return strict.Decode(path, text, m, nil).Err()
}

// matching returns the files that patterns match, each pattern's in their order; a name without a match is one that is not there.
func matching(patterns []string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("there is no file %q", pattern)
		}
		all = append(all, files...)
	}
	return all, nil
}

// importedEvents is what an import did.
type importedEvents struct {
	history.Summary
	dry bool
}

// WriteText prints it for people.
func (i importedEvents) WriteText(w io.Writer) error {
	var rejected int64
	for _, n := range i.Rejected {
		rejected += int64(n)
	}
	said := fmt.Sprintf("%s rows of %d files read, %s events sent", humanize.Comma(i.Rows), i.Files, humanize.Comma(i.Sent))
	if i.dry {
		said = fmt.Sprintf("%s rows of %d files read, %s events would be sent", humanize.Comma(i.Rows), i.Files, humanize.Comma(i.Rows-rejected))
	}
	if i.Before > 0 {
		said += fmt.Sprintf(", %s had been sent before", humanize.Comma(i.Before))
	}
	fmt.Fprintln(w, said+".")
	for _, reason := range slices.Sorted(maps.Keys(i.Rejected)) {
		if _, err := fmt.Fprintf(w, "  %s rows are no events: %s\n", humanize.Comma(int64(i.Rejected[reason])), reason); err != nil {
			return err
		}
	}
	return nil
}
