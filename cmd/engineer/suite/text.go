package suite

import (
	"fmt"
	"io"
	"strings"
)

// Text writes a report for people; verbose also what the lines printed.
func (r *Report) Text(w io.Writer, verbose bool) error {
	var b strings.Builder
	verdict := "ok    "
	if !r.OK {
		verdict = "FAILED"
	}
	fmt.Fprintf(&b, "%s  %s  %s\n", verdict, r.File, r.figures())
	for _, m := range r.Mistakes {
		fmt.Fprintf(&b, "  %s\n", m.text)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "  %s:%d: %s\n", r.File, f.Line, f.Directive)
		if f.Way != "" {
			fmt.Fprintf(&b, "    %s\n", f.arrived())
		}
		if f.Message != "" {
			fmt.Fprintf(&b, "    %s\n", f.Message)
			indent(&b, f.Printed)
		}
		indent(&b, f.Diff)
	}
	if verbose {
		for _, p := range r.Printed {
			fmt.Fprintf(&b, "  %d: %s\n", p.Line, p.Text)
			indent(&b, p.Got)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(b *strings.Builder, text string) {
	if text != "" {
		b.WriteString("    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n")
	}
}

func (r *Report) figures() string {
	if r.Mistakes != nil {
		return "cannot be read"
	}
	parts := []string{count(r.Checks, "check")}
	for _, a := range r.Arrivals {
		switch {
		case a.Way == "permute" && a.All:
			parts = append(parts, fmt.Sprintf("all %s", count(a.Runs, "order")))
		case a.Way == "permute":
			parts = append(parts, count(a.Runs, "order"))
		default:
			parts = append(parts, a.Way+" "+count(a.Runs, "time"))
		}
	}
	if r.Rewritten {
		parts = append(parts, "rewritten")
	}
	return strings.Join(parts, ", ")
}

// arrived says how the events arrived when the line failed.
func (f *Failure) arrived() string {
	const most = 40
	switch {
	case f.Way == "replay":
		return "when events are sent again and records are delivered again:"
	case f.Way == "partitions":
		return "when the events arrive from several partitions and commits fail:"
	case len(f.Order) > most:
		return fmt.Sprintf("when the events arrive as %s and %d more:", strings.Join(f.Order[:most], " "), len(f.Order)-most)
	}
	return fmt.Sprintf("when the events arrive as %s:", strings.Join(f.Order, " "))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
