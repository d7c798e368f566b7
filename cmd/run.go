package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/demo"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
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

func (p *program) demoCommand() *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch a real month of a shop become live profiles",
		Long: `Demo starts everything in this process and replays a real month of invoices (UCI Online Retail, December 2010) with the
web sessions around them: anonymous browsing, log-in, purchase, second devices, and all that goes wrong in real life. It
prints a live line, a summary that is checked against the invoices to the penny, and one profile before and after a merge.
Without --for it then stays to be asked, until Ctrl-C.`,
		Example: "  braid demo\n  braid demo --for 30s --report report.json\n  braid demo --data ./demo --rate 2000",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Data, o.Out, o.Logger, o.Extensions = p.data, c.OutOrStdout(), p.logger, p.extensions
			o.Stay = o.For == 0
			o.Terminal = isTerminal(o.Out)
			return demo.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.DurationVar(&o.For, "for", 0, "how long to send events (default: until the month is over, and then stay)")
	f.Float64Var(&o.Speed, "speed", 60_000, "seconds of the shop's time per second")
	f.Float64Var(&o.Rate, "rate", 0, "events per second, instead of --speed")
	f.StringVar(&o.Listen, "listen", "", "address of the HTTP API (default 127.0.0.1:8080, or a free port when that is taken)")
	f.StringVar(&o.Report, "report", "", "file for the figures, as JSON")
	c.MarkFlagsMutuallyExclusive("speed", "rate")
	return c
}

// isTerminal reports whether lines can be rewritten.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
