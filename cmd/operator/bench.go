package operator

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/operator/bench"
)

func benchCommand(p *command.Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure Braid on this machine",
		Args:  command.Subcommands,
		RunE:  command.Help,
	}
	c.AddCommand(benchRealtimeCommand(p))
	return c
}

func benchRealtimeCommand(p *command.Program) *cobra.Command {
	var o bench.Options
	c := &cobra.Command{
		Use:   "realtime",
		Short: "Measure the real-time job: a backlog, a steady load, memory",
		Long: `Realtime starts everything in this process and measures how fast a backlog is worked off, then latency and memory under a
steady load, and with --bare how fast loops written by hand, as many, without Beam, work off the same backlog. All profiles are
compared with what was sent; a wrong one fails the run.`,
		Example: "  braid bench realtime\n  braid bench realtime --events 100000 --people 10000 --for 10s --bare --report report.json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Data, o.Out, o.Logger = p.Data, c.OutOrStdout(), p.Logger
			_, err := bench.Realtime(c.Context(), o)
			return err
		},
	}
	f := c.Flags()
	f.IntVar(&o.Events, "events", 1_000_000, "events in the backlog")
	f.IntVar(&o.People, "people", 100_000, "people who cause them")
	f.IntVar(&o.Rate, "rate", 5_000, "events per second of the steady load")
	f.DurationVar(&o.For, "for", 0, "how long the steady load lasts (default 1m0s; negative: none)")
	f.IntVar(&o.Workers, "workers", 0, "groups of partitions worked on side by side (default that of the processors, at most 4)")
	f.BoolVar(&o.Bare, "bare", false, "work the backlog off by the hand-written loop as well")
	f.StringVar(&o.Report, "report", "", "file for the figures, as JSON")
	f.StringVar(&o.CPUProfile, "cpuprofile", "", "file for a CPU profile, for go tool pprof")
	f.StringVar(&o.MemProfile, "memprofile", "", "file for a profile of the memory in use")
	return c
}
