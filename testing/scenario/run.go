package scenario

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/rogpeppe/go-internal/diff"
)

// Options say how to run a scenario.
type Options struct {
	// Seed leads all random choices: the same seed gives the same ones.
	Seed uint64
	// Orders is the least number of random orders for scripts that permute; they name a number of their own or take 500.
	Orders int
	// Progress is told after each way of arriving how many of them are done; it may be nil.
	Progress func(done, total int)
}

// Result is what became of a scenario.
type Result struct {
	Printed  []Printed // what lines printed, as the script is written
	Failures []Failure // in the order in which they were found; empty when all is as expected
	Arrivals []Arrivals
	Seed     uint64
}

// Printed is what a line printed.
type Printed struct {
	Line int
	Text string // the directive
	Got  string
	line *script.Line
}

// Arrivals counts the other ways in which the events arrived.
type Arrivals struct {
	Way  string `json:"way"` // permute, replay or partitions
	Runs int    `json:"runs"`
	All  bool   `json:"all"` // whether these are all there are
}

// Failure is a line that is not as expected.
type Failure struct {
	Line      int
	Directive string
	// Message says what is wrong; empty when Want and Got differ, which says it all.
	Message   string
	Want, Got string
	// Mendable tells that another expected text in the script would mend it.
	Mendable bool
	// Way is how the events arrived when it failed: permute, replay or partitions; empty when as written.
	Way string
	// Order lists the events as they arrived, where that order is what matters.
	Order []string
}

// Diff returns Want and Got as a unified diff.
func (f *Failure) Diff() string {
	got := "printed"
	if f.Way != "" {
		got = "printed (" + f.Way + ")"
	}
	text := string(diff.Diff("expected", []byte(f.Want+"\n"), got, []byte(f.Got+"\n")))
	_, text, _ = strings.Cut(text, "\n") // the line that repeats the names
	return text
}

// Run runs a scenario: as it is written, then in all other ways it asks for. The error is that of a context that ended; whatever else
// goes wrong is among the failures.
func (s *Scenario) Run(ctx context.Context, o Options) (*Result, error) {
	r := &Result{Seed: o.Seed}
	want, err := s.written(ctx, r)
	if err == nil && want != nil {
		err = s.arrive(ctx, o, r, want)
	}
	return r, err
}

// shown is what the steps of kind Showing behind the last event printed.
type shown map[*Step]string

// written runs the script as it is written. It returns nothing shown when the script could not be run to its end.
func (s *Scenario) written(ctx context.Context, r *Result) (shown, error) {
	w := newWorld(s.Segment)
	all := shown{}
	for _, step := range s.steps {
		got, err := step.run(ctx, w)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			r.fail(step, Failure{Message: err.Error()})
			return nil, nil
		}
		if step.directive.Kind == Showing {
			all[step] = got
		}
		s.judge(r, step, got)
	}
	r.unexpected(w.Troubles())
	if err := w.audit(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.Failures = append(r.Failures, Failure{Line: 1, Message: err.Error()})
	}
	return all, nil
}

// unexpectedTold is how many troubles that nothing asked for are told one by one.
const unexpectedTold = 20

// unexpected tells of what was not used and not expected to be so.
func (r *Result) unexpected(troubles []Trouble) {
	for i, t := range troubles {
		f := Failure{
			Line: t.line, Directive: "event " + t.Event,
			Message: t.Text + "; if that is meant, say so with ---- below the event or with the directive rejected",
		}
		if i == unexpectedTold {
			f.Message = fmt.Sprintf("and %d more like that; 'rejected count' counts them", len(troubles)-i)
		}
		if i <= unexpectedTold {
			r.Failures = append(r.Failures, f)
		}
	}
}

// run does the step and returns what it prints.
func (step *Step) run(ctx context.Context, w *World) (string, error) {
	var got string
	var err error
	if step.Do != nil {
		got, err = step.Do(ctx, w)
	} else {
		got, err = step.send(ctx, w)
	}
	return script.Clean(strings.Map(visible, got)), err
}

// visible keeps what came from events from steering the terminal.
func visible(r rune) rune {
	if r != '\n' && unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
		return unicode.ReplacementChar
	}
	return r
}

// send sends the step's records and tells what became of them, where that is asked for.
func (step *Step) send(ctx context.Context, w *World) (string, error) {
	var lines []string
	for _, record := range step.Records {
		out, err := w.Send(ctx, record)
		if err != nil {
			return "", err
		}
		if step.line.Expected == nil {
			continue
		}
		w.unread = w.unread[:len(w.unread)-len(out.Troubles)] // they are told here
		text, err := out.text(w)
		if err != nil {
			return "", err
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n"), nil
}

// judge compares what a step printed with what is expected.
func (s *Scenario) judge(r *Result, step *Step, got string) {
	prints := step.directive.Kind == Showing || step.directive.Kind == Telling
	expected := step.line.Expected
	if !prints && expected == nil {
		return
	}
	r.Printed = append(r.Printed, Printed{Line: step.line.Number, Text: step.line.Text, Got: got, line: step.line})
	switch {
	case expected == nil:
		r.fail(step, Failure{Message: "nothing is expected of it; write ---- and the text below, or let 'braid test --rewrite' do so", Got: got, Mendable: true})
	case expected.Text != got:
		r.fail(step, Failure{Want: expected.Text, Got: got, Mendable: true})
	}
}

func (r *Result) fail(step *Step, f Failure) {
	f.Line, f.Directive = step.line.Number, step.line.Text
	r.Failures = append(r.Failures, f)
}

// another runs the script once more, its records sent by send, and returns what is shown behind the last of them.
func (s *Scenario) another(ctx context.Context, send func(w *World) error) (shown, error) {
	w := newWorld(s.Segment)
	if err := send(w); err != nil {
		return nil, err
	}
	_, clock := s.sent()
	w.clock = 0 // so that every partition hears of it
	if err := w.SetClock(ctx, clock); err != nil {
		return nil, err
	}
	if _, err := w.Recheck(ctx); err != nil { // what was cut off may want links that came later
		return nil, err
	}
	all := shown{}
	for _, step := range s.tail() {
		got, err := step.run(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", step.line.Number, err)
		}
		if step.directive.Kind == Showing {
			all[step] = got
		}
	}
	return all, w.audit(ctx)
}

// differences returns a failure for each step of the tail that shows something else than wanted.
func (s *Scenario) differences(want, got shown) (failures []Failure) {
	for _, step := range s.tail() {
		if step.directive.Kind == Showing && want[step] != got[step] {
			failures = append(failures, Failure{Line: step.line.Number, Directive: step.line.Text, Want: want[step], Got: got[step]})
		}
	}
	return failures
}
