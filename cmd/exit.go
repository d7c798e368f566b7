package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	ExitDone          = 0
	ExitFailed        = 1   // also: something that was checked is wrong
	ExitUsage         = 2   // the command line is wrong
	ExitConfiguration = 3   // segment.yaml or braid.yaml is wrong or missing
	ExitNotFound      = 4   // there is no such profile
	ExitInterrupted   = 130 // interrupted before it was done
)

// errFailed ends a command that has already printed what is wrong.
var errFailed = errors.New("failed")

// usageError is a mistake on the command line.
type usageError struct {
	command string
	err     error
}

func (e usageError) Error() string { return fmt.Sprintf("%v\nTry '%s --help'.", e.err, e.command) }

func (e usageError) Unwrap() error { return e.err }

// configurationError is a mistake in one of the files.
type configurationError struct{ err error }

func (e configurationError) Error() string { return e.err.Error() }

func (e configurationError) Unwrap() error { return e.err }

// notFoundError says that there is nothing under what was asked for.
type notFoundError struct{ what string }

func (e notFoundError) Error() string { return e.what }

// exit prints the error and returns the exit code.
func (p *program) exit(ctx context.Context, err error) int {
	var usage usageError
	var configuration configurationError
	var missing notFoundError
	code := ExitFailed
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, errFailed):
		return ExitFailed
	case errors.As(err, &usage):
		code = ExitUsage
	case errors.As(err, &configuration):
		code = ExitConfiguration
	case errors.As(err, &missing):
		code = ExitNotFound
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(p.stderr, "braid: interrupted")
		return ExitInterrupted
	}
	fmt.Fprintf(p.stderr, "braid: %v\n", err)
	return code
}

// arguments makes a wrong number of arguments a usage error.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{c.CommandPath(), err}
		}
		return nil
	}
}
