package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/segment"
)

// stopTimeout is how long a node may take to end gracefully.
const stopTimeout = time.Minute

func runCommand(p *command.Program) *cobra.Command {
	var runner string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the pipelines and the HTTP API until told to stop",
		Long: `Run starts all that the two files name, by default everything in this process, and works until SIGINT or SIGTERM:
then ingest stops, the bundles under way are finished, and the process ends with nothing lost. A second signal ends it at
once, also with nothing lost: what was not committed is done again at the next start.

POST /v1/events/{table}           takes events
GET  /v1/profiles/{key}/{value}   answers what is known of a person
GET  /healthz, /readyz, /metrics  for operators`,
		Example: "  braid run\n  braid run --segment retail.yaml --config braid.yaml --log-format json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if runner != string(deployment.RunnerDirect) {
				return command.Usage(c, fmt.Errorf("--runner %q: there is direct, which runs the pipelines in this process", runner))
			}
			d, s, err := p.Load()
			if err != nil {
				return err
			}
			if err := d.CheckPrepare(s.Name, p.Extensions.TransformNames()); err != nil {
				return command.ConfigurationError{Err: err}
			}
			if _, err := transforms.Secretive(s.Config()); err != nil {
				return command.ConfigurationError{Err: err}
			}
			return runNode(c.Context(), p, d, s)
		},
	}
	c.Flags().StringVar(&runner, "runner", string(deployment.RunnerDirect), "what runs the pipelines")
	return c
}

func runNode(ctx context.Context, p *command.Program, d *deployment.Config, s *segment.Segment) error {
	n, err := node.Start(ctx, node.Options{Deployment: d, Segment: s, Extensions: p.Extensions, Logger: p.Logger})
	if err != nil {
		return err
	}
	p.Logger.Info("running", "segment", s.Name, "http", "http://"+n.Address(), "kafka", n.Kafka().Brokers, "data", d.Data)
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
		p.Logger.Info("stopped")
	}
	return err
}
