// Package strict reads configuration files: YAML goes in, a Go value comes out, together with every mistake found on the way, each
// with file, line, column, path, message and a hint.
//
// It is YAML without its surprises: an unknown or repeated field is an error, nothing is converted in silence (text that looks like
// a number needs quotes), and anchors, aliases, merge keys, tags and several documents in one file are refused, so that a small
// file cannot unfold into a large one. A "$" in a text is just that; only a Secret refers to the environment.
package strict

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxBytes is the largest file Decode reads.
const MaxBytes = 1 << 20

// MaxErrors is how many errors a Document keeps.
const MaxErrors = 100

// Environment looks up one variable, as os.LookupEnv does.
type Environment func(name string) (value string, ok bool)

// Document is a decoded file: it knows where each value stands, so that later checks can point to it, and collects the errors.
type Document struct {
	file   string
	lines  []string
	env    Environment
	root   *node
	nodes  map[Path]*node
	errs   []*Error
	failed map[Path]bool
}

// Decode reads YAML into v, a pointer to a struct that may hold defaults, following its yaml tags. File is the name that errors
// carry. Env resolves Secret values and may be nil when v has none. What is wrong is found in the document's Err; v then holds
// what could be read.
func Decode(file string, data []byte, v any, env Environment) *Document {
	d := &Document{file: file, env: env, nodes: map[Path]*node{}, failed: map[Path]bool{}}
	switch {
	case len(data) > MaxBytes:
		d.report(&node{line: 1, column: 1}, "", "", "the file has %d bytes, the limit is %d", len(data), MaxBytes)
	case !utf8.Valid(data):
		d.lines = strings.Split(string(data), "\n")
		for i, line := range d.lines {
			if !utf8.ValidString(line) {
				d.report(&node{line: i + 1, column: 1}, "", "", "the line is not UTF-8")
				break
			}
		}
	default:
		source := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
		d.lines = strings.Split(source, "\n")
		if d.root = d.parse(source); d.root != nil {
			d.decodeInto(d.root, v)
		}
	}
	return d
}

// Err returns all errors in the order of the file as one error of type Errors, or nil.
func (d *Document) Err() error {
	if len(d.errs) == 0 {
		return nil
	}
	errs := slices.Clone(d.errs)
	slices.SortStableFunc(errs, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return Errors(errs)
}

// Has reports whether the file holds a value at the path.
func (d *Document) Has(path Path) bool { return d.nodes[path] != nil }

// Failed reports whether an error was reported at the path or below it, so that a later check can spare itself.
func (d *Document) Failed(path Path) bool { return d.failed[path] }

// Report adds an error about the value at the path. A path that the file does not hold is reported at its nearest ancestor.
func (d *Document) Report(path Path, hint, format string, args ...any) {
	d.report(d.nearest(path), path, hint, format, args...)
}

// ReportKey adds an error about the name of a field or map entry instead of its value.
func (d *Document) ReportKey(path Path, hint, format string, args ...any) {
	n := d.nearest(path)
	if n.keyLine > 0 {
		n = &node{line: n.keyLine, column: n.keyColumn}
	}
	d.report(n, path, hint, format, args...)
}

// ReportIn adds an error about a place within the text at the path; line and column (in characters) count from 1 within the text.
func (d *Document) ReportIn(path Path, line, column int, hint, format string, args ...any) {
	n := d.nearest(path)
	if d.nodes[path] == n && n.kind == Text {
		l, c := d.within(n, line, column)
		n = &node{line: l, column: c}
	}
	d.report(n, path, hint, format, args...)
}

func (d *Document) nearest(path Path) *node {
	for {
		if n := d.nodes[path]; n != nil {
			return n
		}
		if path == "" {
			return &node{line: 1, column: 1}
		}
		path = path.parent()
	}
}

func (d *Document) report(at *node, path Path, hint, format string, args ...any) {
	for p := path; ; p = p.parent() {
		d.failed[p] = true
		if p == "" {
			break
		}
	}
	if len(d.errs) < MaxErrors {
		d.errs = append(d.errs, &Error{File: d.file, Line: at.line, Column: at.column, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// Error is one mistake in a file.
type Error struct {
	File    string
	Line    int    // from 1
	Column  int    // in characters, from 1
	Path    Path   // empty for the file as a whole
	Message string // what is wrong
	Hint    string // how to fix it; may be empty
}

// Error returns "file:line:column: path: message (hint)".
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(string(e.Path) + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Errors are the mistakes in a file, one line each.
type Errors []*Error

// Error returns one line per mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// AsErrors returns the mistakes that an error holds, or nil.
func AsErrors(err error) Errors {
	var errs Errors
	if errors.As(err, &errs) {
		return errs
	}
	return nil
}
