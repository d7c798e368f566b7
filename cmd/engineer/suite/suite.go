// Package suite runs scenario scripts from files: in go paths; out comes a report on each script, and scripts whose expected texts were
// written anew when that is asked for.
package suite

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/braidhq/braid/testing/scenario"
	_ "github.com/braidhq/braid/testing/scenario/directive" // what scripts are made of
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/strict"
	"golang.org/x/sync/errgroup"
)

// Extension is what names of scripts end in.
const Extension = ".scenario"

// Options say which scripts are run, and how.
type Options struct {
	Files []string // see Find
	// Segment returns the one of scripts that name none, or nil; it is called concurrently.
	Segment func() (*segment.Segment, error)
	Rewrite bool   // whether expected texts are written anew
	Seed    uint64 // of random choices
	Orders  int    // least number of random orders of scripts that permute
	// Done is told of each script in the order of Files, one at a time.
	Done func(Report)
	// Progress is told how many ways of arriving a script has gone through; it is called concurrently and may be nil.
	Progress func(file string, done, total int)
}

// Report is what became of one script.
type Report struct {
	File      string              `json:"file"`
	OK        bool                `json:"ok"`
	Rewritten bool                `json:"rewritten,omitempty"`
	Checks    int                 `json:"checks"`
	Arrivals  []scenario.Arrivals `json:"arrivals,omitempty"`
	Seconds   float64             `json:"seconds"`
	Mistakes  []Mistake           `json:"mistakes,omitempty"` // of the script itself, which was not run then
	Failures  []Failure           `json:"failures,omitempty"`
	Printed   []scenario.Printed  `json:"-"`
}

// Mistake is something in a script that cannot be read.
type Mistake struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	text    string
}

// Failure is a line that did not print what is expected.
type Failure struct {
	Line      int      `json:"line"`
	Directive string   `json:"directive"`
	Message   string   `json:"message,omitempty"`
	Expected  string   `json:"expected"`
	Printed   string   `json:"printed"`
	Diff      string   `json:"diff,omitempty"`
	Way       string   `json:"way,omitempty"`   // permute, replay or partitions; empty when as written
	Order     []string `json:"order,omitempty"` // in which the events arrived
}

// Find returns the scripts under paths, which are files, folders or patterns such as shop/*.scenario, those that match the expression;
// a nil expression matches all. It is an error when there are none under a path, or none that match.
func Find(paths []string, match *regexp.Regexp) ([]string, error) {
	var all []string
	for _, path := range paths {
		files, err := under(path)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	var files []string
	for _, file := range all {
		if !slices.Contains(files, file) && (match == nil || match.MatchString(file)) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("none of %d scripts matches %q", len(all), match)
	}
	return files, nil
}

func under(path string) (files []string, err error) {
	roots := []string{path}
	if _, err := os.Stat(path); err != nil {
		if roots, _ = filepath.Glob(path); len(roots) == 0 {
			return nil, fmt.Errorf("%s: there is no such file or folder", path)
		}
	}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && name != root && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir
			case !entry.IsDir() && (name == root && len(roots) == 1 || strings.HasSuffix(name, Extension)):
				files = append(files, filepath.Clean(name))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: there is no script here; their names end in %s", path, Extension)
	}
	return files, nil
}

// Run runs all scripts, as many at once as there are processors. The error is that of a context that ended, or one of writing.
func Run(ctx context.Context, o Options) error {
	reports := make([]chan Report, len(o.Files))
	for i := range reports {
		reports[i] = make(chan Report, 1)
	}
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(o.Files)) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(o.Files) {
					return nil
				}
				report, err := runFile(ctx, o.Files[i], o)
				if err != nil {
					return err
				}
				reports[i] <- report
			}
		})
	}
	g.Go(func() error {
		for _, report := range reports {
			select {
			case r := <-report:
				o.Done(r)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

func runFile(ctx context.Context, file string, o Options) (Report, error) {
	began := time.Now()
	r := Report{File: file}
	data, err := os.ReadFile(file)
	var s *scenario.Scenario
	if err == nil {
		s, err = scenario.Load(file, data, scenario.Source{Read: os.ReadFile, Segment: o.Segment})
	}
	if err != nil {
		r.Mistakes = mistakes(err)
		return r, nil
	}
	options := scenario.Options{Seed: o.Seed, Orders: o.Orders}
	if o.Progress != nil {
		options.Progress = func(done, total int) { o.Progress(file, done, total) }
	}
	result, err := s.Run(ctx, options)
	if err != nil {
		return r, err
	}
	for _, f := range result.Failures {
		if o.Rewrite && f.Mendable {
			continue
		}
		failure := Failure{Line: f.Line, Directive: f.Directive, Message: f.Message, Expected: f.Want, Printed: f.Got, Way: f.Way, Order: f.Order}
		if f.Message == "" {
			failure.Diff = f.Diff()
		}
		r.Failures = append(r.Failures, failure)
	}
	r.OK, r.Checks, r.Arrivals, r.Printed = len(r.Failures) == 0, len(result.Printed), result.Arrivals, result.Printed
	if text := s.Rewrite(result); o.Rewrite && string(text) != string(data) {
		if err := replace(file, text); err != nil {
			return r, err
		}
		r.Rewritten = true
	}
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// replace writes a file that is there, at once or not at all.
func replace(file string, text []byte) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	temporary := file + ".new"
	if err := os.WriteFile(temporary, text, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

func mistakes(err error) (all []Mistake) {
	for _, e := range strict.AsErrors(err) {
		all = append(all, Mistake{e.Line, e.Column, e.Message, e.Hint, e.Error()})
	}
	if all == nil {
		all = []Mistake{{Message: err.Error(), text: err.Error()}}
	}
	return all
}
