// Package script reads and writes scenario scripts: in goes text, out come its directives, each with its words, body and expected
// text, or all mistakes with their places. It knows the shape of the language, not what the directives mean.
//
//	# A comment.
//	segment shop.yaml
//	event 10:00 page_view cookie=a1 properties.type=product
//	  name="Yoga mat"                  an indented line belongs to the directive above
//	profile cookie=a1
//	----
//	expected text, up to an empty line
package script

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/braidhq/braid/transforms/strict"
)

// MaxBytes is the largest script Parse reads.
const MaxBytes = 4 << 20

// Script is a script without mistakes of shape.
type Script struct {
	File  string // the name that errors carry
	Lines []*Line
	text  []text // what it was made from
}

// Line is a directive: one line with what belongs to it.
type Line struct {
	File     string
	Number   int       // from 1
	Column   int       // in characters, from 1
	Text     string    // without the white space around it
	Body     []Body    // the indented lines below it
	Expected *Expected // nil when no text is expected
	end      int       // index of the line of the script after it and its body
}

// Body is one indented line below a directive.
type Body struct {
	Number int
	Column int    // in characters, from 1, of the beginning of Text
	Text   string // with its indentation
}

// Expected is the text that a directive has to print.
type Expected struct {
	Number   int    // of the fence
	Text     string // lines without line feed at the end
	from, to int    // indexes of the fence and of the line after the text, in the script
}

// text is one line of a file; what a nested script is cut out of keeps its place.
type text struct {
	number int
	column int // of its first character
	text   string
}

// Parse reads a script. The error is of type strict.Errors.
func Parse(file string, data []byte) (*Script, error) {
	fail := func(line int, format string, args ...any) error {
		return strict.Errors{{File: file, Line: line, Column: 1, Message: fmt.Sprintf(format, args...)}}
	}
	if len(data) > MaxBytes {
		return nil, fail(1, "the script has %d bytes, the limit is %d", len(data), MaxBytes)
	}
	var lines []text
	for i, line := range strings.Split(strings.TrimSuffix(strings.TrimLeft(string(data), "\ufeff"), "\n"), "\n") {
		line = strings.TrimRight(line, "\r")
		if !utf8.ValidString(line) {
			return nil, fail(i+1, "the line is not UTF-8")
		}
		lines = append(lines, text{number: i + 1, column: 1, text: line})
	}
	return parse(file, lines)
}

func parse(file string, lines []text) (*Script, error) {
	p := parser{Script: Script{File: file, text: lines}}
	for p.next < len(lines) {
		p.line(lines[p.next])
	}
	if p.errs != nil {
		return nil, p.errs
	}
	return &p.Script, nil
}

func blank(line string) bool { return strings.Trim(line, " \t") == "" }

type parser struct {
	Script
	next    int // index of the line to read
	current *Line
	errs    strict.Errors
}

func (p *parser) report(at text, hint, format string, args ...any) {
	if len(p.errs) < strict.MaxErrors {
		p.errs = append(p.errs, &strict.Error{File: p.File, Line: at.number, Column: at.column, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

func (p *parser) line(at text) {
	p.next++
	switch {
	case blank(at.text) || at.text[0] == '#':
	case fence(at.text):
		p.expected(at)
	case at.text[0] == ' ' || at.text[0] == '\t':
		p.body(at)
	default:
		p.current = &Line{File: p.File, Number: at.number, Column: at.column, Text: strings.Trim(at.text, " \t"), end: p.next}
		p.Lines = append(p.Lines, p.current)
	}
}

// body adds a line to the directive above, with the empty lines in between.
func (p *parser) body(at text) {
	switch {
	case p.current == nil:
		p.report(at, "begin the line without blanks", "an indented line belongs to the directive above it, and there is none")
		return
	case p.current.Expected != nil:
		p.report(at, "the body stands between the directive and its ----", "an indented line after the expected text")
		return
	}
	if n := len(p.current.Body); n > 0 {
		for number := p.current.Body[n-1].Number + 1; number < at.number; number++ {
			p.current.Body = append(p.current.Body, Body{Number: number, Column: at.column})
		}
	}
	p.current.Body = append(p.current.Body, Body{Number: at.number, Column: at.column, Text: at.text})
	p.current.end = p.next
}

// Indent returns how many characters all lines of the body are indented by.
func (l *Line) Indent() int {
	indent := -1
	prefix := ""
	for _, b := range l.Body {
		own := b.Text[:len(b.Text)-len(strings.TrimLeft(b.Text, " \t"))]
		switch {
		case blank(b.Text):
		case indent < 0:
			prefix, indent = own, len(own)
		default:
			for !strings.HasPrefix(own, prefix) {
				prefix = prefix[:len(prefix)-1]
			}
			indent = len(prefix)
		}
	}
	return max(indent, 0)
}

// Content returns the body without the indentation that all of its lines have.
func (l *Line) Content() string {
	indent := l.Indent()
	var b strings.Builder
	for i, line := range l.Body {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line.Text[min(indent, len(line.Text)):])
	}
	return b.String()
}

// Nested reads the body as a script of its own, after replace changed each line. The error is of type strict.Errors.
func (l *Line) Nested(replace func(string) string) (*Script, error) {
	indent := l.Indent()
	lines := make([]text, 0, len(l.Body))
	for _, b := range l.Body {
		lines = append(lines, text{number: b.Number, column: b.Column + indent, text: replace(b.Text[min(indent, len(b.Text)):])})
	}
	return parse(l.File, lines)
}
