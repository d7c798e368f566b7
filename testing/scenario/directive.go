package scenario

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/event"
)

// Kind says what the lines of a directive are to a script.
type Kind int

// The kinds of directives.
const (
	Setting Kind = iota // says how the script runs; prints nothing and stands before everything else
	Sending             // sends records into the stream, which may arrive in another order
	Acting              // does something at its place, for example moves the clock
	Showing             // prints what is so now: the same whatever the order in which all arrived
	Telling             // prints what happened on the way, which depends on the order
)

// Directive is a word that lines of a script begin with.
type Directive struct {
	Name  string
	Usage string // the whole line: event TIME TABLE [FIELD=VALUE]...
	About string // what it does, one sentence
	Kind  Kind
	// Compile makes steps of a line. What is wrong it reports to the compiler.
	Compile func(c *Compiler, l *script.Line) []*Step
}

// Step is one thing a script does.
type Step struct {
	// Records are what a Sending directive sends.
	Records []Record
	// Do is what any other directive does; it returns what is printed.
	Do func(ctx context.Context, w *World) (string, error)

	line      *script.Line
	directive *Directive
	clock     int64 // the clock after it, when the script runs as it is written
}

// Record is a record on its way into the stream.
type Record struct {
	event.Record
	Name string // by which messages call it: the event ID
	Line int    // of the script
}

var directives = map[string]*Directive{}

// Register makes a directive known. It panics when there is one of that name, so it belongs into an init function.
func Register(d Directive) {
	if directives[d.Name] != nil {
		panic("scenario.Register: there is a directive " + strconv.Quote(d.Name))
	}
	directives[d.Name] = &d
}

// Directives returns all directives by kind, then name.
func Directives() []Directive {
	var all []Directive
	for _, name := range slices.Sorted(maps.Keys(directives)) {
		all = append(all, *directives[name])
	}
	slices.SortStableFunc(all, func(a, b Directive) int { return int(a.Kind) - int(b.Kind) })
	return all
}

func itoa(n int) string { return strconv.Itoa(n) }
