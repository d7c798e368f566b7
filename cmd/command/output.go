package command

import (
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Result is what a command found out. Its JSON form is for programs, its text for people.
type Result interface {
	WriteText(w io.Writer) error
}

// Format is the form in which a command prints its result.
type Format struct {
	JSON bool // for programs
}

// AddTo gives a command the flag --json.
func (f *Format) AddTo(c *cobra.Command) {
	c.Flags().BoolVar(&f.JSON, "json", false, "print for programs")
}

// Print prints a result.
func (f Format) Print(w io.Writer, r Result) error {
	if !f.JSON {
		return r.WriteText(w)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// IsTerminal reports whether lines can be rewritten.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// WriteReport writes figures to a file, as JSON.
func WriteReport(path string, report any) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
