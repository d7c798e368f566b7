// Package scenario runs scenario scripts: what a segment makes of events over time, written down with what is expected of it.
//
// In goes the text of a script; out come the lines whose expected text was not what was printed, with both texts. Events go through
// the real update core over a store in memory, one after the other, and the clock is the script's own. The same events can then
// arrive in every other order, again, from several partitions and with commits that fail, and what is printed at the end must stay
// the same. README.md describes the language.
//
// A directive is a value of type Directive that Register makes known; those of the language stand in package directive.
package scenario

import (
	"slices"

	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/segment"
)

// MaxRecords is how many records a script may send by default; whatever else it does counts as well.
const MaxRecords = 200_000

// Source is where a script finds what it does not hold itself.
type Source struct {
	// Read returns the content of a file; the path is relative to where the script's own is.
	Read func(path string) ([]byte, error)
	// Segment returns the one of scripts that name none, or nil when there is none either; it may be nil itself.
	Segment func() (*segment.Segment, error)
	// MaxRecords is how many records the script may send; default MaxRecords.
	MaxRecords int
}

// Scenario is a script that is ready to run. It is immutable and safe for concurrent use.
type Scenario struct {
	File    string
	Segment *segment.Segment

	script   *script.Script
	steps    []*Step
	records  int // how many the steps send
	arrivals arrivalSettings
}

// Load compiles a script; file is the name that errors carry. The error is of type strict.Errors.
func Load(file string, data []byte, source Source) (*Scenario, error) {
	parsed, err := script.Parse(file, data)
	if err != nil {
		return nil, err
	}
	c := newCompiler(parsed, source)
	c.compile()
	if c.errs == nil && c.events > 99 { // event IDs sort by number only when all are as long as the longest
		again := newCompiler(parsed, source)
		again.known, again.width = c.scenario.Segment, len(itoa(c.events))
		again.compile()
		c = again
	}
	if c.errs != nil {
		return nil, c.errs
	}
	return c.scenario, nil
}

// Rewrite returns the text of the script with what a run printed in place of the expected texts.
func (s *Scenario) Rewrite(r *Result) []byte {
	got := map[*script.Line]string{}
	for _, p := range r.Printed {
		got[p.line] = p.Got
	}
	return s.script.Rewrite(got)
}

// tail returns the steps behind the last one that sends anything.
func (s *Scenario) tail() []*Step {
	last := -1
	for i, step := range s.steps {
		if step.directive.Kind == Sending {
			last = i
		}
	}
	return s.steps[last+1:]
}

// sent returns all records in the order of the script, and the clock once they were received.
func (s *Scenario) sent() (records []Record, clock int64) {
	end := len(s.steps) - len(s.tail())
	for _, step := range s.steps[:end] {
		records = append(records, step.Records...)
	}
	if end > 0 {
		clock = s.steps[end-1].clock
	}
	return slices.Clip(records), clock
}
