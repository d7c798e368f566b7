package operator

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
)

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

// WriteText implements command.Result.
func (b build) WriteText(w io.Writer) error {
	text := "braid " + b.Version
	if b.Revision != "" {
		text += ", revision " + b.Revision[:min(12, len(b.Revision))]
		if b.Modified {
			text += " with changes"
		}
	}
	_, err := fmt.Fprintf(w, "%s, %s, %s\n", text, b.Go, b.Platform)
	return err
}

func versionCommand(*command.Program) *cobra.Command {
	var format command.Format
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  braid version\n  braid version --json",
		Args:    command.Arguments(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return format.Print(c.OutOrStdout(), readBuild()) },
	}
	format.AddTo(c)
	return c
}
