// Package steward is the commands of those who answer for what is known of people: in go identifiers, out come profiles and why they
// are what they are.
package steward

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
)

// Group lists the commands.
func Group(p *command.Program) command.Group {
	return command.Group{Name: "steward", Title: "For stewards, who answer for what is known of people:", Commands: []*cobra.Command{
		profileCommand(p),
		identityCommand(p),
	}}
}
