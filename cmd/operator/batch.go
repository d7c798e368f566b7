package operator

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/cmd/operator/batches"
)

func batchCommand(p *command.Program) *cobra.Command {
	c := &cobra.Command{
		Use:   "batch",
		Short: "Run the batch path, and see what its runs did",
		Long: `Run the batch path, and see what its runs did.

A batch run adds up all that was archived, rebuilds who belongs together, computes scores and reads imports. What it finds is a snapshot,
which the real-time path and the HTTP API read at once. It needs ClickHouse: 'clickhouse: embedded' in braid.yaml.`,
		Example: "  braid batch run\n  braid batch status",
		Args:    command.Subcommands,
		RunE:    command.Help,
	}
	c.AddCommand(batchRunCommand(p), batchStatusCommand(p))
	return c
}

func batchRunCommand(p *command.Program) *cobra.Command {
	var format command.Format
	var full bool
	var report string
	var q command.Question
	c := &cobra.Command{
		Use:   "run",
		Short: "Do one batch run now",
		Long: `Do one batch run now. Only what was archived since the run before is read, unless attributes have changed; --full reads all history
and says whether that gives the same. A run that fails changes nothing.

The running node does it. When none runs and all is embedded, one is started for it.`,
		Example: "  braid batch run\n  braid batch run --full --report run.json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var r batch.Report
			q.Path = "/v1/batch/runs"
			err := long(p, c, q, map[string]bool{"full": full}, &r, func(ctx context.Context, n *node.Node, progress func(batch.Progress)) (any, error) {
				return n.RunBatch(ctx, batch.Options{Whole: full, Progress: progress})
			})
			if report != "" && r.Run > 0 {
				err = errors.Join(err, command.WriteReport(report, r))
			}
			if err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), batches.Run{Report: r})
		},
	}
	c.Flags().BoolVar(&full, "full", false, "read all history and compare it with the snapshots so far")
	c.Flags().StringVar(&report, "report", "", "file to write what it did to, as JSON")
	format.AddTo(c)
	q.AddTo(c)
	return c
}

func batchStatusCommand(p *command.Program) *cobra.Command {
	var format command.Format
	q := command.Question{Path: "/v1/batch/runs"}
	c := &cobra.Command{
		Use:     "status",
		Short:   "List the latest batch runs",
		Long:    "List the latest batch runs of the node that runs on the data directory, the last one first.",
		Example: "  braid batch status\n  braid batch status --json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			raw, err := p.Ask(c, q)
			if err != nil {
				return err
			}
			var runs batches.Runs
			if err := json.Unmarshal(raw, &runs); err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), runs)
		},
	}
	format.AddTo(c)
	q.AddTo(c)
	return c
}

func verifyCommand(p *command.Program) *cobra.Command {
	var format command.Format
	var all bool
	var o batch.VerifyOptions
	var report string
	var q command.Question
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare live profiles with what all archived events add up to",
		Long: `Compare live profiles with what all archived events add up to: for each set of identifiers every attribute's state, to the byte, and who
belongs together. The stream goes on meanwhile; events from a cut on are left out on both sides.

It exits with 1 when anything differs. The running node does it. When none runs and all is embedded, one is started for it.`,
		Example: "  braid verify --all\n  braid verify --sample 1000 --report verify.json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if all == (o.Sample > 0) || o.Sample < 0 {
				return command.Usage(c, errors.New("either --all or --sample N"))
			}
			var v batch.Verification
			q.Path = "/v1/verifications"
			err := long(p, c, q, map[string]int{"sample": o.Sample}, &v, func(ctx context.Context, n *node.Node, progress func(batch.Progress)) (any, error) {
				o.Progress = progress
				return n.Verify(ctx, o)
			})
			if err != nil {
				return err
			}
			if report != "" {
				if err := command.WriteReport(report, v); err != nil {
					return err
				}
			}
			if err := format.Print(c.OutOrStdout(), batches.Verification{Verification: v}); err != nil {
				return err
			}
			if v.Differences > 0 {
				return command.ErrFailed
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "compare all profiles")
	c.Flags().IntVar(&o.Sample, "sample", 0, "compare so many profiles")
	c.Flags().StringVar(&report, "report", "", "file to write the figures to, as JSON")
	format.AddTo(c)
	q.AddTo(c)
	return c
}

// long has a node do something that takes long; when none runs and all is embedded, one that is started for it.
func long(p *command.Program, c *cobra.Command, q command.Question, options, result any, do func(context.Context, *node.Node, func(batch.Progress)) (any, error)) error {
	line := &batches.Line{Out: c.ErrOrStderr(), Terminal: command.IsTerminal(c.ErrOrStderr())}
	defer line.End()
	err := p.Follow(c, q, options, func(raw json.RawMessage) {
		var progress batch.Progress
		if json.Unmarshal(raw, &progress) == nil {
			line.Show(progress)
		}
	}, result)
	if !errors.Is(err, command.ErrNoNode) || q.Node != "" {
		return err
	}
	d, s, loadErr := p.Load()
	if loadErr != nil {
		return loadErr
	}
	if d.Kafka.Embedded == nil || !d.StoreEmbedded() {
		return err
	}
	d.Listen = "127.0.0.1:0"
	n, err := node.Start(c.Context(), node.Options{Deployment: d, Segment: s, Extensions: p.Extensions, Logger: p.Logger})
	if err != nil {
		return err
	}
	got, err := do(c.Context(), n, line.Show)
	stop, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), stopTimeout)
	defer cancel()
	if err = errors.Join(err, n.Stop(stop)); err != nil {
		return err
	}
	raw, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, result)
}
