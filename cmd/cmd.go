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
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/extension"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/strict"
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
func WithAttribute(kind attribute.Kind) Option {
	return func(s *extension.Set) { s.Attributes = append(s.Attributes, kind) }
}

// Main runs the command line of this process and ends it with the command's exit code. SIGINT and SIGTERM end a command gracefully, a
// second one at once.
func Main(options ...Option) {
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
	p := &program{stderr: stderr}
	for _, option := range options {
		option(&p.extensions)
	}
	if err := p.extensions.Register(); err != nil {
		return p.exit(ctx, fmt.Errorf("this binary: %w", err))
	}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return p.exit(ctx, root.ExecuteContext(ctx))
}

// commands lists the commands in the order of the help text, by group.
func (p *program) commands() map[string][]*cobra.Command {
	return map[string][]*cobra.Command{
		"run":     {p.demoCommand(), p.runCommand(), p.benchCommand()},
		"look":    {p.profileCommand(), p.doctorCommand(), p.versionCommand()},
		"prepare": {p.validateCommand(), p.testCommand(), p.topicsCommand(), p.replayCommand()},
	}
}

func (p *program) root() *cobra.Command {
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
		Args:              p.unknownCommand,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
				return usageError{c.CommandPath(), err}
			}
			return p.startLog()
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{c.CommandPath(), err} })
	p.globalFlags(root)
	all := p.commands()
	for _, group := range []cobra.Group{{ID: "run", Title: "Run:"}, {ID: "look", Title: "Look:"}, {ID: "prepare", Title: "Prepare and repair:"}} {
		for _, c := range all[group.ID] {
			if !root.ContainsGroup(group.ID) {
				root.AddGroup(&group)
			}
			c.GroupID = group.ID
			root.AddCommand(c)
		}
	}
	root.AddCommand(p.workerCommand())
	root.SetHelpCommandGroupID("look")
	root.SetCompletionCommandGroupID("prepare")
	return root
}

// unknownCommand refuses arguments of a command that only has subcommands.
func (p *program) unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	slices.Sort(names)
	err := fmt.Errorf("unknown command %q", args[0])
	if hint := strict.Suggest(args[0], names); hint != "" {
		err = fmt.Errorf("%w (%s)", err, hint)
	}
	return usageError{c.CommandPath(), err}
}
