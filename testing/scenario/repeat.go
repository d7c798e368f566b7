package scenario

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/strict"
)

func init() {
	Register(Directive{
		Name: "repeat", Usage: "repeat N [every DURATION] [as NAME]", Kind: Acting,
		About:   "Does the indented lines N times; {n}, or {NAME}, is the number of the round, {n:6} with zeros to six digits; every: each round is so much later.",
		Compile: compileRepeat,
	})
}

var roundName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// rounds is what a repeat line says.
type rounds struct {
	n     int
	every int64 // milliseconds
	name  string
	place *regexp.Regexp // where the number of the round goes
}

func compileRepeat(c *Compiler, l *script.Line) (steps []*Step) {
	r, ok := parseRounds(c, l)
	if !ok {
		return nil
	}
	if len(l.Body) == 0 {
		c.Report(l, "indent what is to be repeated below the line", "there is nothing to repeat")
		return nil
	}
	if l.Expected != nil {
		c.Report(l, "put profiles, for example, below it", "repeat prints nothing")
		return nil
	}
	hand, shift := c.hand, c.shift
	for i := range r.n {
		if r.every > 0 {
			c.hand, c.shift = hand+int64(i)*r.every, shift+int64(i)*r.every
		}
		if !c.count(l, 1) {
			return nil
		}
		more, ok := compileRound(c, l, func(text string) string { return r.number(text, i+1) })
		if !ok {
			return nil
		}
		steps = append(steps, more...)
	}
	c.shift = shift
	return steps
}

// number puts the number of the round in its place.
func (r rounds) number(text string, round int) string {
	return r.place.ReplaceAllStringFunc(text, func(found string) string {
		width, _ := strconv.Atoi(r.place.FindStringSubmatch(found)[1])
		return fmt.Sprintf("%0*d", width, round)
	})
}

func compileRound(c *Compiler, l *script.Line, replace func(string) string) (steps []*Step, ok bool) {
	body, err := l.Nested(replace)
	if err != nil {
		c.errs = append(c.errs, strict.AsErrors(err)...)
		return nil, false
	}
	outer := c.scenario.steps
	defer func() { c.scenario.steps = outer }()
	c.scenario.steps = nil
	before := len(c.errs)
	for _, inner := range body.Lines {
		switch d := directives[inner.Name()]; {
		case d != nil && d.Kind != Sending && d.Kind != Acting:
			c.Report(inner, "only what sends events or moves the clock may", "%s cannot be repeated", d.Name)
		case inner.Expected != nil:
			c.Report(inner, "check after the last round", "what is repeated cannot have an expected text")
		default:
			c.line(inner)
		}
	}
	return c.scenario.steps, len(c.errs) == before
}

func parseRounds(c *Compiler, l *script.Line) (r rounds, ok bool) {
	words, err := l.Head()
	if err != nil {
		c.errs = append(c.errs, strict.AsErrors(err)...)
		return r, false
	}
	r.name = "n"
	usage := "write: " + directives["repeat"].Usage
	if len(words)%2 != 1 {
		c.Report(l, usage, "a number is missing, or what belongs to every or as")
		return r, false
	}
	if r.n, err = strconv.Atoi(words[0].Value()); err != nil || r.n < 1 || r.n > c.source.MaxRecords {
		c.ReportWord(words[0], "", "%s is not a number from 1 to %d", words[0].Text, c.source.MaxRecords)
		return r, false
	}
	for i := 1; i < len(words); i += 2 {
		value := words[i+1].Value()
		switch words[i].Text {
		case "every":
			d, err := strict.ParseDuration(value)
			if err != nil {
				c.ReportWord(words[i+1], "", "%v", err)
				return r, false
			}
			r.every = d.Milliseconds()
		case "as":
			if r.name = value; !roundName.MatchString(value) {
				c.ReportWord(words[i+1], "lower-case letters, digits and _", "%s cannot name the rounds", words[i+1].Text)
				return r, false
			}
		default:
			c.ReportWord(words[i], usage, "unknown word %s", words[i].Text)
			return r, false
		}
	}
	r.place = regexp.MustCompile(`\{` + r.name + `(?::(\d{1,2}))?\}`)
	return r, true
}
