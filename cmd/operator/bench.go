package operator

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/operator/bench"
	"github.com/braidhq/braid/cmd/operator/bench/identity"
	"github.com/braidhq/braid/cmd/operator/bench/runner"
)

func benchCommand(p *command.Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure Braid on this machine",
		Args:  command.Subcommands,
		RunE:  command.Help,
	}
	c.AddCommand(benchRealtimeCommand(p), benchRunnerCommand(p), benchIdentityCommand(), benchWorkCommand())
	return c
}

func benchIdentityCommand() *cobra.Command {
	var o identity.Options
	var report string
	c := &cobra.Command{
		Use:   "identity",
		Short: "Measure how right and how fast identifiers are stitched",
		Long: `Identity sends a month of events through the core, of which it is known whose every identifier is, and prints precision and recall
over pairs of identifiers: those within a profile that have an owner in common, and those of one owner, connected by events, that are
within a profile. Then it measures the core by itself: events per second, people with many identifiers, an identifier that very many
people share.`,
		Example: "  braid bench identity\n  braid bench identity --traffic 3 --report report.json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Out = c.OutOrStdout()
			r, err := identity.Run(c.Context(), o)
			if err != nil || report == "" {
				return err
			}
			return command.WriteReport(report, r)
		},
	}
	f := c.Flags()
	f.Float64Var(&o.Traffic, "traffic", 1, "multiplies the month's visits")
	f.IntVar(&o.Sharers, "people", 100_000, "how many people share one identifier")
	f.StringVar(&report, "report", "", "file for the figures, as JSON")
	return c
}

func benchRunnerCommand(p *command.Program) *cobra.Command {
	var o runner.Options
	var report, peers string
	c := &cobra.Command{
		Use:   "runner",
		Short: "Measure the direct runner against a loop without Beam, and against Prism",
		Long: `Runner measures the Beam runner in this process against a hand-written loop over the same client: latency at steady rates, a
backlog, idling; and what a bundle, a GroupByKey and a CombinePerKey take. Each runner works in a process of its own.

Prism, the SDK's local runner, is no part of braid. In a checkout, where Go is, it is built from testing/peers and measured as
well; it listens on all interfaces while it is.`,
		Example: "  braid bench runner --report report.json\n  braid bench runner --rate 1000 --for 5s --rounds 1 --peers ''",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			own := []string{program, "bench", "work"}
			o.Out, o.Command = c.OutOrStdout(), map[string][]string{runner.Bare: own, runner.DirectOne: own}
			free, err := addPrism(c, peers, o.Command)
			if err != nil {
				return err
			}
			defer free()
			r, err := runner.Run(c.Context(), o)
			if err != nil || report == "" {
				return err
			}
			return command.WriteReport(report, r)
		},
	}
	f := c.Flags()
	f.IntSliceVar(&o.Rates, "rate", []int{10_000, 50_000}, "records per second; may be given several times")
	f.DurationVar(&o.For, "for", 15*time.Second, "how long each rate lasts")
	f.IntVar(&o.Backlog, "backlog", 1_000_000, "records in the backlog")
	f.IntVar(&o.Rounds, "rounds", 5, "how often the backlog is worked off; the median counts")
	f.StringVar(&peers, "peers", "testing/peers", "folder of the module with Prism; where it is missing Prism is left out")
	f.StringVar(&report, "report", "", "file for the figures, as JSON")
	return c
}

// addPrism builds the program that runs Prism.
func addPrism(c *cobra.Command, folder string, commands map[string][]string) (free func(), err error) {
	none := func() {}
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); folder == "" || err != nil {
		fmt.Fprintln(c.ErrOrStderr(), "Prism is left out: there is no checkout here")
		return none, nil
	}
	dir, err := os.MkdirTemp("", "braid-prism-")
	if err != nil {
		return none, err
	}
	free = func() { os.RemoveAll(dir) }
	program := filepath.Join(dir, "prism")
	build := exec.CommandContext(c.Context(), "go", "build", "-C", folder, "-o", program, "./prism")
	if out, err := build.CombinedOutput(); err != nil {
		free()
		return none, fmt.Errorf("building the program with Prism: %w\n%s\n--peers '' leaves it out", err, out)
	}
	commands[runner.Prism] = []string{program}
	return free, nil
}

// benchWorkCommand is what benchRunnerCommand starts.
func benchWorkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "work JSON", Short: "Work for bench runner", Hidden: true, Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return runner.Do(c.Context(), args[0], map[string]runner.Beam{runner.DirectOne: runner.Direct}, c.OutOrStdout())
		},
	}
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
