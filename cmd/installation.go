package cmd

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/doctor"
)

func (p *program) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is installed, reachable and misconfigured",
		Long: `Look at the files, the data directory, the ports, the brokers, the store and the limits of the system, and say for each
whether it is well, and what to do when it is not. Nothing is changed. Exit code 1 when something fails; a warning does not fail.`,
		Example: "  braid doctor\n  braid doctor --config production.yaml\n  braid doctor --json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o := doctor.Options{Version: readBuild().Version, DeploymentFile: p.deploymentFile(), SegmentFile: p.segmentFile, Logger: p.logger}
			o.Deployment, o.DeploymentError = p.loadDeployment()
			o.Segment, o.SegmentError = p.loadSegment()
			o.Compare = p.compareTopics
			findings := doctor.Examine(c.Context(), o)
			if err := c.Context().Err(); err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), struct {
					Findings []doctor.Finding `json:"findings"`
				}{findings}); err != nil {
					return err
				}
			} else {
				writeFindings(c.OutOrStdout(), findings)
			}
			if doctor.Failed(findings) {
				return errFailed
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print for programs")
	return c
}

func writeFindings(w io.Writer, findings []doctor.Finding) {
	for _, f := range findings {
		fmt.Fprintf(w, "%-4s  %-16s  %s\n", f.State, f.Subject, strings.ReplaceAll(f.Text, "\n", "\n"+strings.Repeat(" ", 24)))
		if f.Next != "" {
			fmt.Fprintf(w, "%24s-> %s\n", "", f.Next)
		}
	}
}

// build is what a binary knows about how it was made.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the tree had changes that were not committed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, dep := range info.Deps { // in a company's own binary
		if dep.Path == "github.com/braidhq/braid" {
			b.Version = dep.Version
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (p *program) versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  braid version\n  braid version --json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			b := readBuild()
			if asJSON {
				return printJSON(c.OutOrStdout(), b)
			}
			text := "braid " + b.Version
			if b.Revision != "" {
				text += ", revision " + b.Revision[:min(12, len(b.Revision))]
				if b.Modified {
					text += " with changes"
				}
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s, %s, %s\n", text, b.Go, b.Platform)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print for programs")
	return c
}
