// Package cmd is the command line of braid: in go the arguments and two files, segment.yaml and braid.yaml; out come running
// pipelines, answers and exit codes.
//
// A company builds its own binary with its own event functions, transforms and attribute kinds:
//
//	func main() {
//		cmd.Main(cmd.WithAttribute(median), cmd.WithEvent("vat", addVAT), cmd.WithTransform("explode", explode))
//	}
//
// Commands print for people by default and for programs with --json. Results go to standard output, everything else to standard
// error.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/analyst"
	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/engineer"
	"github.com/braidhq/braid/cmd/extension"
	"github.com/braidhq/braid/cmd/newcomer"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/cmd/operator"
	"github.com/braidhq/braid/cmd/steward"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
)

// Option adds something of a company's own to its binary.
type Option func(*extension.Set)

// WithEvent adds a function that ingest passes every event through. Functions run in the order in which they are added.
func WithEvent(name string, f extension.EventFunc) Option {
	return func(s *extension.Set) { s.Events = append(s.Events, extension.Event{Name: name, Func: f}) }
}

// WithTransform adds a transform of PCollection<event.Draft> to the prepare job. Transforms run in the order in which they are added.
func WithTransform(name string, f extension.TransformFunc) Option {
	return func(s *extension.Set) { s.Transforms = append(s.Transforms, extension.Transform{Name: name, Func: f}) }
}

// WithAttribute adds a kind of attribute, which segment.yaml then names like the built-in ones.
func WithAttribute(kind accumulator.Kind) Option {
	return func(s *extension.Set) { s.Attributes = append(s.Attributes, kind) }
}

// Main runs the command line of this process and ends it with the command's exit code. SIGINT and SIGTERM end a command gracefully, a
// second one at once.
func Main(options ...Option) {
	clickhouse.Host() // this process may be the child that holds the embedded ClickHouse
	node.TuneCollector()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go interrupt(signals, cancel, func() {
		fmt.Fprintln(os.Stderr, "braid: ended at once")
		os.Exit(ExitInterrupted)
	})
	os.Exit(Run(ctx, os.Args[1:], os.Stdout, os.Stderr, options...))
}

// interrupt ends the context at the first signal and the process at the second.
func interrupt(signals <-chan os.Signal, cancel context.CancelFunc, end func()) {
	<-signals
	fmt.Fprintln(os.Stderr, "braid: stopping; once more ends it at once")
	cancel()
	<-signals
	end()
}

// Run runs one command and returns its exit code. The end of the context is the wish to end it gracefully.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, options ...Option) int {
	p := &command.Program{Stderr: stderr}
	for _, option := range options {
		option(&p.Extensions)
	}
	if err := p.Extensions.Register(); err != nil {
		return exit(ctx, p, fmt.Errorf("this binary: %w", err))
	}
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exit(ctx, p, root.ExecuteContext(ctx))
}

// groups lists the commands in the order of the help text, by who uses them.
var groups = []func(*command.Program) command.Group{newcomer.Group, engineer.Group, operator.Group, steward.Group, analyst.Group}

func init() { cobra.EnableCommandSorting = false } // in each group as it lists them

func newRoot(p *command.Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "braid",
		Short: "A real-time customer data platform in one binary",
		Long: `Braid turns a stream of customer events into live, stitched profiles.

Two files say what it does: segment.yaml, what is computed, and braid.yaml, where it runs. Without braid.yaml everything is
embedded in this process, under ./braid-data.

Exit codes:
  0    done
  1    failed; for validate, test and doctor: something is wrong
  2    the command line is wrong
  3    segment.yaml or braid.yaml is wrong or missing
  4    there is no such profile
  130  interrupted before it was done; a service that was told to stop and did so gracefully ends with 0`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              command.Subcommands,
		RunE:              command.Help,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
				return command.Usage(c, err)
			}
			return p.StartLog()
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return command.Usage(c, err) })
	p.Flags.AddTo(root)
	for _, group := range groups {
		g := group(p)
		root.AddGroup(&cobra.Group{ID: g.Name, Title: g.Title})
		for _, c := range g.Commands {
			c.GroupID = g.Name
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("newcomer")
	root.SetCompletionCommandGroupID("newcomer")
	return root
}
