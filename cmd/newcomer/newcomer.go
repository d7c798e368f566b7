// Package newcomer is the commands of those who get to know Braid: in go few arguments, out comes something to look at.
package newcomer

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
)

// Group lists the commands.
func Group(p *command.Program) command.Group {
	return command.Group{Name: "newcomer", Title: "First steps:", Commands: []*cobra.Command{demoCommand(p)}}
}
