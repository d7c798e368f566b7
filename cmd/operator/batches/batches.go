// Package batches shows batch runs and verifications: in go their progress and reports, out come lines for people.
package batches

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/braidhq/braid/batch"
)

// Line writes progress: on a terminal one line that is rewritten, else a line for each step.
type Line struct {
	Out      io.Writer
	Terminal bool

	step  string
	width int
}

// Show shows how far something is.
func (l *Line) Show(p batch.Progress) {
	text := p.Step
	switch {
	case p.Step == "waiting" && p.Note != "":
		text = "waiting for " + p.Note
	case p.Of > 0:
		text += fmt.Sprintf(" %3d %% of %s %s", 100*p.Done/p.Of, humanize.Comma(int64(p.Of)), p.Note)
	case p.Done > 0:
		text += fmt.Sprintf(" %s %s", humanize.Comma(int64(p.Done)), p.Note)
	case p.Note != "":
		text += ": " + p.Note
	}
	switch {
	case l.Terminal:
		fmt.Fprintf(l.Out, "\r%-*s", l.width, text)
		l.width = len(text)
	case p.Step != l.step:
		fmt.Fprintln(l.Out, text)
	}
	l.step = p.Step
}

// End ends the line.
func (l *Line) End() {
	if l.Terminal && l.width > 0 {
		fmt.Fprintf(l.Out, "\r%-*s\r", l.width, "")
	}
}

// Run is the report of a run, to be printed.
type Run struct{ batch.Report }

// WriteText says what a run did.
func (r Run) WriteText(w io.Writer) error {
	n := func(n uint64) string { return humanize.Comma(int64(n)) }
	what := "what came since the run before"
	if r.Whole {
		what = "all history"
	}
	fmt.Fprintf(w, "Batch run %d is %s: %s up to epoch %d, in %.1f s.\n", r.Report.Run, r.State, what, r.Epoch, r.Ended.Sub(r.Began).Seconds())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "  %s\t events read\n", n(r.Events))
	fmt.Fprintf(t, "  %s\t sets of identifiers and %s links make %s profiles\n", n(r.Cells), n(r.Links), n(r.Profiles))
	fmt.Fprintf(t, "  %s\t people with scores or imports, for %s of them others than before\n", n(r.Scored), n(r.Revisited))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range r.Imports {
		fmt.Fprintf(w, "  %s\n", s)
	}
	for _, e := range r.Evaluations {
		fmt.Fprintf(w, "  %s\n", e)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "  %s\n", note)
	}
	var steps []string
	for _, s := range r.Steps {
		steps = append(steps, fmt.Sprintf("%s %.1f s", s.Name, s.Seconds))
	}
	_, err := fmt.Fprintf(w, "  %s\n", strings.Join(steps, ", "))
	return err
}

// Runs are the latest runs, to be printed.
type Runs []batch.Report

// WriteText writes a table.
func (r Runs) WriteText(w io.Writer) error {
	if len(r) == 0 {
		_, err := fmt.Fprintln(w, "No batch run yet. 'braid batch run' does one; batch.schedule in segment.yaml does them by itself.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tSTATE\tBEGAN\tTOOK\tUP TO EPOCH\tEVENTS READ\tPROFILES\tSCORED\tNOTES")
	for _, o := range r {
		took := ""
		if !o.Ended.IsZero() {
			took = o.Ended.Sub(o.Began).Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", o.Run, o.State, o.Began.Format("2006-01-02 15:04:05"), took, o.Epoch,
			humanize.Comma(int64(o.Events)), humanize.Comma(int64(o.Profiles)), humanize.Comma(int64(o.Scored)), strings.Join(o.Notes, "; "))
	}
	return t.Flush()
}

// Verification is what came of one, to be printed.
type Verification struct{ batch.Verification }

// WriteText says what was compared and what differs.
func (v Verification) WriteText(w io.Writer) error {
	n := func(n int) string { return humanize.Comma(int64(n)) }
	fmt.Fprintf(w, "%s of %s profiles compared with the archive, up to epoch %d: %s sets of identifiers with %s events. %s differences.\n",
		n(v.Compared), n(v.Profiles), v.Epoch, n(v.Cells), humanize.Comma(int64(v.Events)), n(v.Differences))
	if v.Changed > 0 {
		fmt.Fprintf(w, "For %s of them events came meanwhile: who belongs to them was not compared, what their events before add up to was.\n", n(v.Changed))
	}
	if v.Evicted > 0 {
		fmt.Fprintf(w, "%s profiles have forgotten identifiers; they cannot be compared.\n", n(v.Evicted))
	}
	for _, e := range v.Examples {
		fmt.Fprintf(w, "  %s\n", e)
	}
	return nil
}
