// Package engineer is the commands of those who say what is computed: in go segment.yaml, scripts and files of the past, out come
// their mistakes, whether they do what is expected of them, and a stream that knows what happened before.
package engineer

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
)

// Group lists the commands.
func Group(p *command.Program) command.Group {
	return command.Group{Name: "engineer", Title: "For engineers, who say what is computed:", Commands: []*cobra.Command{
		validateCommand(p), testCommand(p), conditionCommand(), importCommand(p),
	}}
}
