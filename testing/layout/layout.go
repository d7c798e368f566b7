// Package layout checks the shape of the repository: which folders there are, who may import whom, and the rules of style that a
// program can see.
//
// In goes the tree; out come findings, each naming file, line and the rule it breaks.
package layout

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Finding is one breach of one rule.
type Finding struct {
	File string // from the root of the repository
	Line int    // 0 when the rule is about the file as a whole
	Rule string
}

// String gives the finding as file:line: rule.
func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Rule
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Rule)
}

// file is one file of the tree, parsed when it is Go.
type file struct {
	path      string // from the root, with slashes
	text      []byte
	syntax    *ast.File
	positions *token.FileSet
	generated bool
}

func (f *file) dir() string  { return path.Dir(f.path) }
func (f *file) test() bool   { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) isGo() bool   { return f.syntax != nil }
func (f *file) lines() int   { return strings.Count(string(f.text), "\n") }
func (f *file) source() bool { return f.isGo() && !f.test() && !f.generated }

func (f *file) at(n ast.Node, format string, args ...any) Finding {
	return Finding{File: f.path, Line: f.positions.Position(n.Pos()).Line, Rule: fmt.Sprintf(format, args...)}
}

func (f *file) whole(format string, args ...any) Finding {
	return Finding{File: f.path, Rule: fmt.Sprintf(format, args...)}
}

// ignored are the things beside the tree that git ignores as well.
var ignored = regexp.MustCompile(`^(braid|braid-data)$|\.(test|prof)$`)

// Check reads the tree and returns the findings of every rule, in the order of their files.
func Check(tree fs.FS) ([]Finding, error) {
	files, err := read(tree)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, rule := range []func([]*file) []Finding{
		checkTop, checkEmptyFolders, checkImports, checkClock, checkLength, checkCrowd, checkNames, checkText, checkSkips, checkComments,
	} {
		out = append(out, rule(files)...)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return strings.Compare(a.File, b.File) })
	return out, nil
}

// read loads the text files, without hidden folders, test data, installed packages and nested modules.
func read(tree fs.FS) ([]*file, error) {
	var out []*file
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipFolder(tree, name)
		}
		if !strings.Contains(name, "/") && ignored.MatchString(name) || !entry.Type().IsRegular() {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		f := &file{path: name, text: text}
		out = append(out, f)
		if strings.HasSuffix(name, ".go") {
			f.positions = token.NewFileSet()
			f.syntax, err = parser.ParseFile(f.positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
			if err == nil {
				f.generated = ast.IsGenerated(f.syntax)
			}
		}
		return err
	})
	return out, err
}

func skipFolder(tree fs.FS, name string) error {
	base := path.Base(name)
	switch {
	case name == ".":
		return nil
	case strings.HasPrefix(base, ".") && base != ".ci", base == "testdata", base == "node_modules", ignored.MatchString(name):
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, name+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	return nil
}
