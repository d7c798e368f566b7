// Package engineer is the commands of those who say what is computed: in go segment.yaml and scripts, out come their mistakes, and
// whether they do what is expected of them.
package engineer

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
)

// Group lists the commands.
func Group(p *command.Program) command.Group {
	return command.Group{Name: "engineer", Title: "For engineers, who say what is computed:", Commands: []*cobra.Command{
		validateCommand(p), testCommand(p), conditionCommand(),
	}}
}
