package scenario

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/strict"
)

func init() {
	Register(Directive{
		Name: "segment", Usage: "segment PATH", Kind: Setting,
		About:   "The segment: a file beside the script, or the indented YAML below the line.",
		Compile: compileSegment,
	})
	for _, s := range []struct {
		name, about string
		runs        int
		set         func(*arrivalSettings) *int
	}{
		{"permute", "The events also arrive in every order, or of more than 7 events in N random ones; default 500.", 500,
			func(a *arrivalSettings) *int { return &a.permute }},
		{"replay", "The script also runs N times with every event sent again and records delivered again; default 5.", 5,
			func(a *arrivalSettings) *int { return &a.replay }},
		{"partitions", "The script also runs N times from several partitions, in bundles, with commits that fail; default 20.", 20,
			func(a *arrivalSettings) *int { return &a.partitions }},
	} {
		Register(Directive{
			Name: s.name, Usage: s.name + " [N]", About: s.about, Kind: Setting,
			Compile: func(c *Compiler, l *script.Line) []*Step {
				compileRuns(c, l, s.set(&c.scenario.arrivals), s.runs)
				return nil
			},
		})
	}
}

// maxRuns is how many other ways of arriving a line may ask for.
const maxRuns = 1_000_000

func compileRuns(c *Compiler, l *script.Line, runs *int, usual int) {
	words, ok := c.Words(l, 0, 1)
	if !ok {
		return
	}
	if *runs != 0 {
		c.Report(l, "", "%s is there twice", l.Name())
	}
	if c.scenario.arrivals.line == 0 {
		c.scenario.arrivals.line = l.Number
	}
	*runs = usual
	if len(words) == 1 {
		n, err := strconv.Atoi(words[0].Value())
		if err != nil || n < 1 || n > maxRuns {
			c.ReportWord(words[0], "", "%s is not a number from 1 to %d", words[0].Text, maxRuns)
			return
		}
		*runs = n
	}
}

func compileSegment(c *Compiler, l *script.Line) []*Step {
	if c.named {
		c.Report(l, "", "segment is there twice")
		return nil
	}
	c.named = true
	if c.known != nil {
		c.scenario.Segment = c.known
		return nil
	}
	head, err := l.Head()
	switch {
	case err != nil:
	case len(head) == 0 && len(l.Body) == 0:
		c.Report(l, "write: segment PATH, or indent its YAML below", "there is no segment here")
	case len(head) > 0 && len(l.Body) > 0:
		c.Report(l, "leave one of them out", "the segment is named and written out as well")
	case len(head) > 1:
		c.ReportWord(head[1], `quote a path with blanks: segment "my shop.yaml"`, "%s is too much", head[1].Text)
	case len(head) == 0:
		c.scenario.Segment, err = segment.Parse(c.scenario.File, []byte(l.Content()))
		for _, e := range strict.AsErrors(err) { // to where it stands in the script
			e.Line += l.Body[0].Number - 1
			e.Column += l.Indent()
		}
	default:
		c.readSegment(head[0])
	}
	c.errs = append(c.errs, strict.AsErrors(err)...)
	return nil
}

func (c *Compiler) readSegment(w script.Word) {
	path := w.Value()
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.scenario.File), path)
	}
	data, err := []byte(nil), error(fs.ErrNotExist)
	if c.source.Read != nil {
		data, err = c.source.Read(path)
	}
	if err != nil {
		if wrapped := new(fs.PathError); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		c.ReportWord(w, "the path is relative to the script", "segment %s: %v", path, err)
		return
	}
	c.scenario.Segment, err = segment.Parse(path, data)
	c.errs = append(c.errs, strict.AsErrors(err)...)
}
