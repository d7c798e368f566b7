package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/braidhq/braid/cmd/command"
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

// exit prints the error and returns the exit code.
func exit(ctx context.Context, p *command.Program, err error) int {
	var usage command.UsageError
	var configuration command.ConfigurationError
	var missing command.NotFoundError
	code := ExitFailed
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, command.ErrFailed):
		return ExitFailed
	case errors.As(err, &usage):
		code = ExitUsage
	case errors.As(err, &configuration):
		code = ExitConfiguration
	case errors.As(err, &missing):
		code = ExitNotFound
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(p.Stderr, "braid: interrupted")
		return ExitInterrupted
	}
	fmt.Fprintf(p.Stderr, "braid: %v\n", err)
	return code
}
