package operator

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/operator/doctor"
)

func doctorCommand(p *command.Program) *cobra.Command {
	var format command.Format
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is installed, reachable and misconfigured",
		Long: `Look at the files, the data directory, the ports, the brokers, the store and the limits of the system, and say for each
whether it is well, and what to do when it is not. Nothing is changed. Exit code 1 when something fails; a warning does not fail.`,
		Example: "  braid doctor\n  braid doctor --config production.yaml\n  braid doctor --json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o := doctor.Options{Version: readBuild().Version, DeploymentFile: p.DeploymentFile(), SegmentFile: p.SegmentFile, Logger: p.Logger}
			o.Deployment, o.DeploymentError = p.LoadDeployment()
			o.Segment, o.SegmentError = p.LoadSegment()
			o.Compare = topicComparison(p)
			findings := doctor.Examine(c.Context(), o)
			if err := c.Context().Err(); err != nil {
				return err
			}
			if err := format.Print(c.OutOrStdout(), examination{findings}); err != nil {
				return err
			}
			if doctor.Failed(findings) {
				return command.ErrFailed
			}
			return nil
		},
	}
	format.AddTo(c)
	return c
}

// examination is what doctor prints.
type examination struct {
	Findings []doctor.Finding `json:"findings"`
}

// WriteText implements command.Result.
func (e examination) WriteText(w io.Writer) error {
	for _, f := range e.Findings {
		fmt.Fprintf(w, "%-4s  %-16s  %s\n", f.State, f.Subject, strings.ReplaceAll(f.Text, "\n", "\n"+strings.Repeat(" ", 24)))
		if f.Next != "" {
			fmt.Fprintf(w, "%24s-> %s\n", "", f.Next)
		}
	}
	return nil
}
