// Package analyst is the commands of those who ask questions of all that has happened: in go SQL, out come rows.
package analyst

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
)

// Group lists the commands.
func Group(p *command.Program) command.Group {
	return command.Group{Name: "analyst", Title: "For analysts, who ask questions of all that has happened:", Commands: []*cobra.Command{
		sqlCommand(p), exportCommand(p), tablesCommand(p),
	}}
}
