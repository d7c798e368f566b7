package analyst

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/io/schema"
)

func tablesCommand(p *command.Program) *cobra.Command {
	o := schema.Options{}
	c := &cobra.Command{
		Use:   "tables",
		Short: "Print the statements that make the tables of the segment in ClickHouse",
		Long: `Print the statements that make the tables of the segment in ClickHouse, with what every table and column means. 'braid run' makes
them itself; this is for reading, and for whoever has to ask somebody else to run them.`,
		Example: "  braid tables\n  braid tables --cluster main --days 400 > tables.sql",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := p.LoadSegment()
			if err != nil {
				return err
			}
			if o.RetentionDays < 0 {
				return command.Usage(c, fmt.Errorf("--days %d", o.RetentionDays))
			}
			o.Segment = s.Name
			text, err := schema.Script(o)
			if err == nil {
				_, err = fmt.Fprint(c.OutOrStdout(), text)
			}
			return err
		},
	}
	c.Flags().StringVar(&o.Cluster, "cluster", "", "cluster on which the statements run; its tables are replicated")
	c.Flags().IntVar(&o.RetentionDays, "days", 0, "days that the stream and its logs are kept (default: for ever)")
	return c
}
