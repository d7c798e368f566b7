// Package operator is the commands of those who keep Braid running: in go arguments, out come running pipelines, what is wrong with an
// installation, and what was put right in it.
package operator

import (
	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
)

// Group lists the commands.
func Group(p *command.Program) command.Group {
	return command.Group{Name: "operator", Title: "For operators, who keep it running:", Commands: []*cobra.Command{
		runCommand(p), batchCommand(p), verifyCommand(p), workerCommand(p), doctorCommand(p), topicsCommand(p), replayCommand(p), benchCommand(p), versionCommand(p),
	}}
}
