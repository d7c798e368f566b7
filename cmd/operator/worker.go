package operator

import (
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/pipelines/flink"
)

// workerCommand is hidden while braid has no command that submits to Flink.
func workerCommand(p *command.Program) *cobra.Command {
	var o flink.PoolOptions
	c := &cobra.Command{
		Use:    "worker",
		Short:  "Start workers for Flink's task managers until told to stop",
		Hidden: true,
		Long: `Worker is the pool that a job on Flink names: the task managers ask it for workers, and each is a process of this binary. Run
one beside every task manager, on the address that was given when the job was submitted. It ends its workers when it ends;
what they were at is done again.`,
		Example: "  braid worker\n  braid worker --listen 127.0.0.1:50001",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			o.Command = []string{program, "worker", "process", "--log-level=" + p.LogLevel, "--log-format=" + p.LogFormat}
			o.Output, o.Logger = p.Stderr, p.Logger
			pool, err := flink.StartPool(o)
			if err != nil {
				return err
			}
			defer pool.Close()
			p.Logger.Info("worker pool is ready", "address", pool.Address())
			ended := make(chan error, 1)
			go func() { ended <- pool.Wait() }()
			select {
			case err := <-ended:
				return errors.Join(errors.New("the worker pool cannot be reached any more"), err)
			case <-c.Context().Done():
				p.Logger.Info("stopped")
				return nil
			}
		},
	}
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:50000", "address of the pool; port 0 takes a free one")
	c.Flags().BoolVar(&o.BeyondLoopback, "listen-beyond-loopback", false, "permit an address that other machines reach; who reaches it can start workers")
	c.AddCommand(workerProcessCommand(p))
	return c
}

// workerProcessCommand is what the pool starts.
func workerProcessCommand(p *command.Program) *cobra.Command {
	var w flink.Worker
	c := &cobra.Command{
		Use:    "process",
		Short:  "Be one worker, as the pool starts it",
		Hidden: true,
		Args:   command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			slog.SetDefault(p.Logger.With("worker", w.ID))
			return w.Run(c.Context(), c.InOrStdin())
		},
	}
	c.Flags().StringVar(&w.ID, "id", "", "ID of the worker")
	c.Flags().StringVar(&w.Control, "control", "", "address that bundles come from")
	c.Flags().StringVar(&w.Provision, "provision", "", "address that says what the runner can do")
	return c
}
