package newcomer

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/newcomer/demo"
)

func demoCommand(p *command.Program) *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch a real month of a shop become live profiles",
		Long: `Demo starts everything in this process and replays a real month of invoices (UCI Online Retail, December 2010) with the
web sessions around them: anonymous browsing, log-in, purchase, second devices, and all that goes wrong in real life. It
prints a live line, a summary that is checked against the invoices to the penny, and one profile before and after a merge.
Without --for it then stays to be asked, until Ctrl-C.`,
		Example: "  braid demo\n  braid demo --for 30s --report report.json\n  braid demo --data ./demo --rate 2000",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Data, o.Out, o.Logger, o.Extensions = p.Data, c.OutOrStdout(), p.Logger, p.Extensions
			o.Stay = o.For == 0
			o.Terminal = command.IsTerminal(o.Out)
			return demo.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.DurationVar(&o.For, "for", 0, "how long to send events (default: until the month is over, and then stay)")
	f.Float64Var(&o.Speed, "speed", 60_000, "seconds of the shop's time per second")
	f.Float64Var(&o.Rate, "rate", 0, "events per second, instead of --speed")
	f.StringVar(&o.Listen, "listen", "", "address of the HTTP API (default 127.0.0.1:8080, or a free port when that is taken)")
	f.BoolVar(&o.NoBatch, "no-batch", false, "leave out the batch path, which needs ClickHouse")
	f.StringVar(&o.Report, "report", "", "file for the figures, as JSON")
	c.MarkFlagsMutuallyExclusive("speed", "rate")
	return c
}
