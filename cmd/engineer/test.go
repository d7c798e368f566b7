package engineer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/cmd/command"
	"github.com/braidhq/braid/cmd/engineer/suite"
	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/transforms/segment"
)

// testOptions are the flags of test.
type testOptions struct {
	match            string
	rewrite, verbose bool
	seed             uint64
	orders           int
	format           command.Format
}

func testCommand(p *command.Program) *cobra.Command {
	var o testOptions
	c := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run scenario scripts: events over time and what is expected of them",
		Long: `Run scenario scripts: what a segment makes of events over time, and what is expected of it. PATH is a script, a folder in which all
*.scenario are run, or a pattern. Nothing is started or reached: events go through the real update core over a store in memory, and
the clock is the script's own.

  segment segment.yaml                               # relative to the script; default: what --segment names
  permute                                            # the end must be the same in every order
  event 10:00 page_view anonymous_id=a1 properties.type=product name="Yoga mat"
  event 10:05 login user_id=7 anonymous_id=a1
  wait 1h
  profile customer_id=7 views
  ----
  profile customer_id:7
  ...

The text below ---- goes on until an empty line. It need not be typed: --rewrite writes what is printed, for you to look at.
The whole language is described in testing/scenario/README.md, with examples beside it.

` + directiveHelp(),
		Example: `  braid test login.scenario
  braid test scenarios/ -v
  braid test scenarios/ --segment segment.yaml --run cart
  braid test login.scenario --rewrite && git diff
  braid test 'scenarios/*.scenario' --json`,
		Args: command.Arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error { return test(p, c, args, o) },
	}
	o.format.AddTo(c)
	f := c.Flags()
	f.StringVar(&o.match, "run", "", "only scripts whose path matches this regular expression")
	f.BoolVar(&o.rewrite, "rewrite", false, "write what is printed into the scripts, instead of comparing it")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print what every line printed")
	f.IntVar(&o.orders, "orders", 0, "try at least so many random orders of scripts that permute (default: as many as each script says)")
	f.Uint64Var(&o.seed, "seed", 0, "of the random orders; printed when one of them fails (default: a new one each time)")
	return c
}

// directiveHelp lists the directives.
func directiveHelp() string {
	titles := map[scenario.Kind]string{
		scenario.Setting: "Settings, at the top:", scenario.Sending: "Events:", scenario.Acting: "Time and repetition:",
		scenario.Showing: "Checks, the same in every order:", scenario.Telling: "Checks of what happened on the way, as the script is written:",
	}
	var b strings.Builder
	kind := scenario.Kind(-1)
	for _, d := range scenario.Directives() {
		if d.Kind != kind {
			kind = d.Kind
			fmt.Fprintf(&b, "%s\n", titles[kind])
		}
		fmt.Fprintf(&b, "  %s\n      %s\n", d.Usage, d.About)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func test(p *command.Program, c *cobra.Command, paths []string, o testOptions) error {
	var match *regexp.Regexp
	var err error
	if o.match != "" {
		if match, err = regexp.Compile(o.match); err != nil {
			return command.Usage(c, fmt.Errorf("--run: %w", err))
		}
	}
	files, err := suite.Find(paths, match)
	if err != nil {
		return command.Usage(c, err)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	options := suite.Options{Files: files, Rewrite: o.rewrite, Seed: o.seed, Orders: o.orders, Progress: progress(p.Stderr, time.Now)}
	if options.Segment, err = usualSegment(p, c); err != nil {
		return err
	}
	return runSuite(c.Context(), c.OutOrStdout(), options, o)
}

// usualSegment returns what finds the segment of scripts that name none: that of --segment. When the flag was not given the file need
// not be there, and is not looked at unless a script asks for it.
func usualSegment(p *command.Program, c *cobra.Command) (func() (*segment.Segment, error), error) {
	if c.Flags().Changed("segment") {
		s, err := p.LoadSegment()
		return func() (*segment.Segment, error) { return s, nil }, err
	}
	return sync.OnceValues(func() (*segment.Segment, error) {
		if _, err := os.Stat(p.SegmentFile); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return p.LoadSegment()
	}), nil
}

func runSuite(ctx context.Context, w io.Writer, options suite.Options, o testOptions) error {
	var all []suite.Report
	var broken error
	failed, random := 0, false
	options.Done = func(r suite.Report) {
		all = append(all, r)
		if !r.OK {
			failed++
		}
		for _, f := range r.Failures {
			random = random || f.Way != ""
		}
		if !o.format.JSON {
			broken = errors.Join(broken, r.Text(w, o.verbose))
		}
	}
	if err := errors.Join(suite.Run(ctx, options), broken); err != nil {
		return err
	}
	if err := o.format.Print(w, testResult{failed == 0, o.seed, all, failed, random}); err != nil || failed == 0 {
		return err
	}
	return command.ErrFailed
}

// testResult is what test prints; for people the reports have been printed one by one before it.
type testResult struct {
	OK     bool           `json:"ok"`
	Seed   uint64         `json:"seed"`
	Files  []suite.Report `json:"files"`
	failed int
	random bool // whether a random order made one fail
}

// WriteText implements command.Result.
func (r testResult) WriteText(w io.Writer) error {
	if r.failed > 0 {
		fmt.Fprintf(w, "%d of %d failed\n", r.failed, len(r.Files))
	}
	if r.random {
		fmt.Fprintf(w, "again in the same way: --seed %d\n", r.Seed)
	}
	return nil
}

// progress returns what tells of scripts that take long, at most once in a while.
func progress(w io.Writer, now func() time.Time) func(file string, done, total int) {
	const pause = 2 * time.Second
	var mu sync.Mutex
	last := now()
	return func(file string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if at := now(); at.Sub(last) >= pause && done < total {
			last = at
			fmt.Fprintf(w, "%s: %d of %d ways of arriving\n", file, done, total)
		}
	}
}
