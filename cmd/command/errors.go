package command

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/transforms/strict"
)

// ErrFailed ends a command that has already printed what is wrong.
var ErrFailed = errors.New("failed")

// UsageError is a mistake on the command line.
type UsageError struct {
	Command string // its path, such as braid profile get
	Err     error
}

func (e UsageError) Error() string { return fmt.Sprintf("%v\nTry '%s --help'.", e.Err, e.Command) }

func (e UsageError) Unwrap() error { return e.Err }

// ConfigurationError is a mistake in one of the files.
type ConfigurationError struct{ Err error }

func (e ConfigurationError) Error() string { return e.Err.Error() }

func (e ConfigurationError) Unwrap() error { return e.Err }

// NotFoundError says that there is nothing under what was asked for.
type NotFoundError struct{ What string }

func (e NotFoundError) Error() string { return e.What }

// Usage returns the UsageError of a command.
func Usage(c *cobra.Command, err error) error { return UsageError{c.CommandPath(), err} }

// Arguments makes a wrong number of arguments a usage error.
func Arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return Usage(c, err)
		}
		return nil
	}
}

// Subcommands refuses arguments of a command that only has subcommands.
func Subcommands(c *cobra.Command, args []string) error {
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
	return Usage(c, err)
}

// Help is what a command does that only has subcommands.
func Help(c *cobra.Command, _ []string) error { return c.Help() }
