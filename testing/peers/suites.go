// Package peers holds Braid's runner against others of its kind: the SDK's own tests, random pipelines and figures, on the direct
// runner and on Prism, the SDK's local runner, which serves as the reference.
//
// It is a module of its own, for Prism needs much that nothing else here does, and listens on all interfaces: neither shall become part
// of braid. In go packages of the SDK's tests; out comes a table of what passes where, and why not.
package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// sdk is where the packages of the SDK are.
const sdk = "github.com/apache/beam/sdks/v2/go/"

// Suite is a package of tests that the SDK has for its own runners.
type Suite struct {
	// Package is its import path below the SDK.
	Package string
	// Skip leaves tests out, each for a reason.
	Skip map[string]string
}

// Suites are those that need nothing but a runner: no cloud, no database, no other language.
func Suites() []Suite {
	return []Suite{
		{Package: "test/integration/primitives", Skip: map[string]string{
			"TestDrain":    "never ends by itself: the pipeline is drained from outside, which the runner's own tests do",
			"TestOomParDo": "exists to run out of memory",
		}},
		{Package: "test/integration/synthetic"},
		{Package: "test/integration/wordcount"},
		{Package: "pkg/beam/testing/passert"},
		{Package: "pkg/beam/transforms/filter"},
		{Package: "pkg/beam/transforms/periodic"},
		{Package: "pkg/beam/transforms/stats"},
		{Package: "pkg/beam/transforms/top"},
		{Package: "pkg/beam/transforms/batch"},
		{Package: "pkg/beam/io/textio"},
		{Package: "pkg/beam/io/fileio"},
		{Package: "pkg/beam/io/parquetio"},
		{Package: "pkg/beam/io/avroio"},
		{Package: "pkg/beam/io/natsio"},
	}
}

// Outcome is how a test ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passes"
	Failed  Outcome = "fails"
	Refused Outcome = "refused" // with a feature as reason
	Skipped Outcome = "skipped" // by the test itself
	Missing Outcome = "missing" // the process ended before
)

// Result is how a test ended on a runner.
type Result struct {
	Outcome Outcome
	// Reason says why it did not pass: the feature, or the end of what it printed.
	Reason string
}

// Binary is a suite's test program, with the direct runner in it.
type Binary struct {
	Suite
	path, dir string
}

// SDK is a copy of the SDK's module that the tests are built from: they are unchanged, but that a file beside them brings the direct
// runner in.
type SDK struct{ dir, modfile string }

// Copy makes a copy of the SDK in the user's cache, where the next one finds it built.
func Copy(ctx context.Context) (*SDK, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}\n{{.Version}}", strings.TrimSuffix(sdk, "/go/")).Output()
	if err != nil {
		return nil, fmt.Errorf("where is the SDK: %w", err)
	}
	from, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	s := &SDK{dir: filepath.Join(cache, "braid", "beam-sdk-"+version)}
	if _, err := os.Stat(s.dir); err != nil {
		part, err := os.MkdirTemp(filepath.Dir(s.dir), "beam-sdk-")
		if err != nil {
			if err := os.MkdirAll(filepath.Dir(s.dir), 0o700); err != nil {
				return nil, err
			}
			if part, err = os.MkdirTemp(filepath.Dir(s.dir), "beam-sdk-"); err != nil {
				return nil, err
			}
		}
		defer os.RemoveAll(part)
		if err := copyModule(from, part); err != nil {
			return nil, fmt.Errorf("copying the SDK: %w", err)
		}
		if err := os.Rename(part, s.dir); err != nil {
			return nil, err
		}
	}
	s.modfile = filepath.Join(s.dir, "peers.mod")
	return s, s.modules(ctx)
}

// copyModule copies what is needed to build: Go, and what tests read. What came out of the module cache may not be written.
func copyModule(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && (relative == "java" || relative == "python"):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, relative), 0o700)
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), data, 0o600)
	})
}

// modules writes a go.mod that builds this module from the copy, beside it.
func (s *SDK) modules(ctx context.Context) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(s.modfile, "mod")+strings.TrimPrefix(name, "go."), text, 0o600); err != nil {
			return err
		}
	}
	edit := exec.CommandContext(ctx, "go", "mod", "edit", "-replace", strings.TrimSuffix(sdk, "/go/")+"="+s.dir, "-replace", "github.com/braidhq/braid="+root, s.modfile)
	if out, err := edit.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod edit: %w\n%s", err, out)
	}
	return nil
}

// Build compiles a suite into a folder.
func (s *SDK) Build(ctx context.Context, suite Suite, work string) (*Binary, error) {
	dir := filepath.Join(s.dir, "go", filepath.FromSlash(suite.Package))
	name, err := packageOf(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", suite.Package, err)
	}
	source := "package " + name + "\n\nimport _ \"github.com/braidhq/braid/pipelines/direct\"\n"
	if err := os.WriteFile(filepath.Join(dir, "braid_runner_test.go"), []byte(source), 0o600); err != nil {
		return nil, err
	}
	b := &Binary{Suite: suite, path: filepath.Join(work, strings.ReplaceAll(suite.Package, "/", "_")+".test"), dir: dir}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-mod=mod", "-modfile", s.modfile, "-o", b.path, sdk+suite.Package)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", suite.Package, err, out)
	}
	return b, nil
}

// packageOf returns the package of the tests in a folder.
func packageOf(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if filepath.Base(f) == "braid_runner_test.go" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.PackageClauseOnly)
		if err != nil {
			return "", err
		}
		return parsed.Name.Name, nil
	}
	return "", errors.New("there are no tests")
}

var (
	ended   = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) `)
	began   = regexp.MustCompile(`(?m)^=== RUN   (\S+)$`)
	refusal = regexp.MustCompile(`uses ([^;]+?), which the direct runner does not run`)
)

// Tests lists the names of the suite's tests that use pipelines or not, in order.
func (b *Binary) Tests(ctx context.Context) ([]string, error) {
	c := exec.CommandContext(ctx, b.path, "-test.list", "^Test")
	c.Dir = b.dir
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Package, err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Test") && b.Skip[line] == "" {
			names = append(names, line)
		}
	}
	return names, nil
}

// Results runs the tests on a runner. A test that ends the process is told from those behind it, which are run in another one.
func (b *Binary) Results(ctx context.Context, runner string, tests []string) (map[string]Result, error) {
	results := map[string]Result{}
	left := slices.Clone(tests)
	for len(left) > 0 {
		c := exec.CommandContext(ctx, b.path, "-test.v", "-test.timeout", "1m", "-test.run", "^("+strings.Join(left, "|")+")$", "-runner="+runner)
		c.Dir = b.dir
		c.WaitDelay = 5 * time.Second
		out, err := c.CombinedOutput()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		seen := b.read(out, results)
		next := slices.DeleteFunc(slices.Clone(left), func(name string) bool { return seen[name] })
		if len(next) == len(left) { // it ended before any test, or in the first
			crashed := left[0]
			if m := began.FindAllStringSubmatch(string(out), -1); len(m) > 0 {
				crashed = m[len(m)-1][1]
			}
			crashed, _, _ = strings.Cut(crashed, "/")
			results[crashed] = Result{Missing, fmt.Sprintf("the process ended: %v: %s", err, tail(out))}
			next = slices.DeleteFunc(next, func(name string) bool { return name == crashed })
		}
		left = next
	}
	return results, nil
}

// read takes the results of one process, and returns the tests that ended in it.
func (b *Binary) read(out []byte, results map[string]Result) map[string]bool {
	seen := map[string]bool{}
	marks := ended.FindAllSubmatchIndex(out, -1)
	for _, m := range marks {
		name := string(out[m[4]:m[5]])
		seen[name] = true
		switch verdict := string(out[m[2]:m[3]]); verdict {
		case "PASS":
			results[name] = Result{Outcome: Passed}
		case "SKIP":
			results[name] = Result{Skipped, ""}
		default:
			results[name] = failure(printed(out, name, m[0]))
		}
	}
	return seen
}

// printed returns what a test printed, up to the line that says how it ended and behind it.
func printed(out []byte, name string, end int) []byte {
	from := bytes.LastIndex(out[:end], []byte("=== RUN   "+name+"\n"))
	to := bytes.Index(out[end:], []byte("\n=== RUN"))
	if to < 0 {
		to = len(out) - end
	}
	return out[max(from, 0) : end+to]
}

// failure tells a refusal from a failure.
func failure(text []byte) Result {
	var features []string
	for _, m := range refusal.FindAllSubmatch(text, -1) {
		if f := string(m[1]); !slices.Contains(features, f) {
			features = append(features, f)
		}
	}
	if len(features) > 0 {
		slices.Sort(features)
		return Result{Refused, strings.Join(features, ", ")}
	}
	return Result{Failed, tail(text)}
}

func tail(text []byte) string {
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-2000):])
}
