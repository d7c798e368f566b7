package scenario

import (
	"fmt"
	"maps"
	"slices"

	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/strict"
)

// Compiler turns the lines of one script into steps and collects what is wrong.
type Compiler struct {
	source   Source
	scenario *Scenario
	lines    []*script.Line
	errs     strict.Errors
	known    *segment.Segment // from an earlier pass over the same script
	named    bool             // whether the script says which segment it is for
	begun    bool             // whether something else than a setting was met
	hand     int64            // the moment at which the line above was received
	clock    int64            // the greatest so far; 0 before the first
	shift    int64            // by which a repeated line is later than it says
	width    int              // digits of event IDs
	size     int              // how many things the script does
	events   int              // that had no ID of their own
}

func newCompiler(s *script.Script, source Source) *Compiler {
	if source.MaxRecords == 0 {
		source.MaxRecords = MaxRecords
	}
	return &Compiler{
		source: source, scenario: &Scenario{File: s.File, script: s}, lines: s.Lines, hand: script.Start, width: 2,
	}
}

func (c *Compiler) compile() {
	if c.usualSegment() {
		c.lineByLine(c.lines)
	}
	switch {
	case c.errs != nil:
	case len(c.scenario.steps) == 0:
		c.ReportAt(1, 1, "begin with: event 10:00 TABLE FIELD=VALUE", "the script does nothing")
	case c.scenario.arrivals.any() && c.scenario.records == 0:
		c.ReportAt(c.scenario.arrivals.line, 1, "", "the script sends nothing that could arrive in another way")
	case c.scenario.arrivals.any() && !slices.ContainsFunc(c.scenario.tail(), func(s *Step) bool { return s.directive.Kind == Showing }):
		c.ReportAt(c.scenario.arrivals.line, 1, "end the script with profiles, for example", "nothing behind the last event shows what it came to")
	}
}

// usualSegment finds the segment of a script that names none.
func (c *Compiler) usualSegment() bool {
	if c.source.Segment == nil || slices.ContainsFunc(c.lines, func(l *script.Line) bool { return l.Name() == "segment" }) {
		return true
	}
	var err error
	if c.scenario.Segment, err = c.source.Segment(); err == nil {
		return true
	}
	if c.errs = strict.AsErrors(err); c.errs == nil {
		c.ReportAt(1, 1, "", "%v", err)
	}
	return false
}

func (c *Compiler) lineByLine(lines []*script.Line) {
	for _, l := range lines {
		before := len(c.errs)
		c.line(l)
		if len(c.errs) > before && l.Name() == "segment" {
			return // all else would be wrong as well
		}
	}
}

func (c *Compiler) line(l *script.Line) {
	d := directives[l.Name()]
	switch {
	case d == nil:
		hint := strict.Suggest(l.Name(), slices.Collect(maps.Keys(directives)))
		if hint == "" {
			hint = "'braid test --help' lists the directives"
		}
		c.Report(l, hint, "unknown directive %q", l.Name())
		return
	case d.Kind == Setting && c.begun:
		c.Report(l, "move it to the top", "%s stands before all events and checks", d.Name)
	case d.Kind == Setting && l.Expected != nil:
		c.Report(l, "remove the ---- below it", "%s prints nothing", d.Name)
	case d.Kind != Setting && c.scenario.Segment == nil:
		c.Report(l, "begin the script with: segment PATH", "there is no segment to run this on")
		c.scenario.Segment = &segment.Segment{} // said once
		return
	case d.Kind != Setting && c.scenario.Segment.Rules == nil:
		return
	}
	c.begun = c.begun || d.Kind != Setting
	steps := d.Compile(c, l)
	for _, s := range steps {
		if s.directive == nil { // else it stands within l
			s.line, s.directive, s.clock = l, d, c.clock
			c.scenario.records += len(s.Records)
			if !c.count(l, max(1, len(s.Records))) {
				return
			}
		}
	}
	c.scenario.steps = append(c.scenario.steps, steps...)
}

// count reports whether the script may do n more things.
func (c *Compiler) count(l *script.Line, n int) bool {
	c.size += n
	if c.size > c.source.MaxRecords && c.size-n <= c.source.MaxRecords {
		c.Report(l, "", "the script does more than %d things", c.source.MaxRecords)
	}
	return c.size <= c.source.MaxRecords
}

// Segment returns the segment of the script.
func (c *Compiler) Segment() *segment.Segment { return c.scenario.Segment }

// Report notes what is wrong with a line; the hint, which may be empty, says how to put it right.
func (c *Compiler) Report(l *script.Line, hint, format string, args ...any) {
	c.ReportAt(l.Number, l.Column, hint, format, args...)
}

// ReportWord notes what is wrong with a word.
func (c *Compiler) ReportWord(w script.Word, hint, format string, args ...any) {
	c.ReportAt(w.Line, w.Column, hint, format, args...)
}

// ReportAt notes what is wrong at a place.
func (c *Compiler) ReportAt(line, column int, hint, format string, args ...any) {
	if len(c.errs) < strict.MaxErrors {
		c.errs = append(c.errs, &strict.Error{File: c.scenario.File, Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// Words returns the words of a line and its body, without the name. It reports what cannot be read, and a number of words that is
// not within least and most; most is -1 when there may be any number.
func (c *Compiler) Words(l *script.Line, least, most int) ([]script.Word, bool) {
	words, err := l.Words()
	if err != nil {
		c.errs = append(c.errs, strict.AsErrors(err)...)
		return nil, false
	}
	if len(words) < least || most >= 0 && len(words) > most {
		at, hint := script.Word{Line: l.Number, Column: l.Column}, "write: "+directives[l.Name()].Usage
		if len(words) < least {
			c.ReportWord(at, hint, "something is missing")
		} else {
			c.ReportWord(words[most], hint, "%s is too much", words[most].Text)
		}
		return nil, false
	}
	return words, true
}

// Moment returns the moment that a word tells, in epoch milliseconds.
func (c *Compiler) Moment(w script.Word) (int64, bool) { return c.moment(w, w.Value()) }

// MomentOf returns the moment that the value of a field tells.
func (c *Compiler) MomentOf(f script.Field) (int64, bool) { return c.moment(f.Word, f.Value()) }

func (c *Compiler) moment(w script.Word, text string) (int64, bool) {
	ms, err := script.ParseMoment(text, c.hand-c.shift)
	if err == nil {
		ms, err = script.Within(ms + c.shift)
	}
	if err != nil {
		c.ReportWord(w, "", "%v", err)
		return 0, false
	}
	return ms, true
}

// Clock returns the greatest moment of receiving so far.
func (c *Compiler) Clock() int64 {
	if c.clock == 0 {
		return script.Start
	}
	return c.clock
}

// Receive moves the hand, by which the times of day of what follows are read, and perhaps the clock.
func (c *Compiler) Receive(ms int64) {
	c.hand, c.clock = ms, max(c.clock, ms)
}

// NextID returns the ID of the next event that has none of its own: e01, e02 and so on.
func (c *Compiler) NextID() string {
	c.events++
	return fmt.Sprintf("e%0*d", c.width, c.events)
}
