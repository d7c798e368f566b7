package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/pipelines/flink"
	"github.com/braidhq/braid/transforms/segment"
)

// stopTimeout is how long a node may take to end gracefully.
const stopTimeout = time.Minute

func (p *program) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the pipelines and the HTTP API until told to stop",
		Long: `Run starts all that the two files name, by default everything in this process, and works until SIGINT or SIGTERM:
then ingest stops, the bundles under way are finished, and the process ends with nothing lost. A second signal ends it at
once, also with nothing lost: what was not committed is done again at the next start.

POST /v1/events/{table}           takes events
GET  /v1/profiles/{key}/{value}   answers what is known of a person
GET  /healthz, /readyz, /metrics  for operators`,
		Example: "  braid run\n  braid run --segment retail.yaml --config braid.yaml --log-format json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			d, s, err := p.load()
			if err != nil {
				return err
			}
			if err := d.CheckPrepare(s.Name, p.extensions.TransformNames()); err != nil {
				return configurationError{err}
			}
			return p.runNode(c.Context(), d, s)
		},
	}
}

func (p *program) runNode(ctx context.Context, d *deployment.Config, s *segment.Segment) error {
	n, err := node.Start(ctx, node.Options{Deployment: d, Segment: s, Extensions: p.extensions, Logger: p.logger})
	if err != nil {
		return err
	}
	p.logger.Info("running", "segment", s.Name, "http", "http://"+n.Address(), "kafka", n.Kafka().Brokers, "data", d.Data)
	ended := make(chan error, 1)
	go func() { ended <- n.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := n.Stop(stop); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stopping: %w", stopErr))
	}
	if err == nil {
		p.logger.Info("stopped")
	}
	return err
}

// workerCommand is hidden while braid has no command that submits to Flink.
func (p *program) workerCommand() *cobra.Command {
	var o flink.PoolOptions
	c := &cobra.Command{
		Use:    "worker",
		Short:  "Start workers for Flink's task managers until told to stop",
		Hidden: true,
		Long: `Worker is the pool that a job on Flink names: the task managers ask it for workers, and each is a process of this binary. Run
one beside every task manager, on the address that was given when the job was submitted. It ends its workers when it ends;
what they were at is done again.`,
		Example: "  braid worker\n  braid worker --listen 127.0.0.1:50001",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			o.Command = []string{program, "worker", "process", "--log-level=" + p.logLevel, "--log-format=" + p.logFormat}
			o.Output, o.Logger = p.stderr, p.logger
			pool, err := flink.StartPool(o)
			if err != nil {
				return err
			}
			defer pool.Close()
			p.logger.Info("worker pool is ready", "address", pool.Address())
			ended := make(chan error, 1)
			go func() { ended <- pool.Wait() }()
			select {
			case err := <-ended:
				return errors.Join(errors.New("the worker pool cannot be reached any more"), err)
			case <-c.Context().Done():
				p.logger.Info("stopped")
				return nil
			}
		},
	}
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:50000", "address of the pool; port 0 takes a free one")
	c.Flags().BoolVar(&o.BeyondLoopback, "listen-beyond-loopback", false, "permit an address that other machines reach; who reaches it can start workers")
	c.AddCommand(p.workerProcessCommand())
	return c
}

// workerProcessCommand is what the pool starts.
func (p *program) workerProcessCommand() *cobra.Command {
	var w flink.Worker
	c := &cobra.Command{
		Use:    "process",
		Short:  "Be one worker, as the pool starts it",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			slog.SetDefault(p.logger.With("worker", w.ID))
			return w.Run(c.Context(), c.InOrStdin())
		},
	}
	c.Flags().StringVar(&w.ID, "id", "", "ID of the worker")
	c.Flags().StringVar(&w.Control, "control", "", "address that bundles come from")
	c.Flags().StringVar(&w.Provision, "provision", "", "address that says what the runner can do")
	return c
}
