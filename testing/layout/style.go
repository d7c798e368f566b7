package layout

import (
	"bytes"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	maxLines = 400
	maxFiles = 12
)

func checkLength(files []*file) (out []Finding) {
	for _, f := range files {
		if f.isGo() && !f.generated && f.lines() > maxLines {
			out = append(out, f.whole("%d lines, at most %d: split it along what it is about", f.lines(), maxLines))
		}
	}
	return out
}

func checkCrowd(files []*file) (out []Finding) {
	count := map[string]int{}
	for _, f := range files {
		if f.source() {
			count[f.dir()]++
			if count[f.dir()] == maxFiles+1 {
				out = append(out, f.whole("package %s has more than %d source files", f.dir(), maxFiles))
			}
		}
	}
	return out
}

// emptyNames say nothing about what is in a file or folder.
var emptyNames = []string{"util", "utils", "common", "type", "types", "helper", "helpers", "manager", "base", "misc"}

func checkNames(files []*file) (out []Finding) {
	for _, f := range files {
		if !f.isGo() {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
		for _, part := range append(strings.Split(f.dir(), "/"), name) {
			if slices.Contains(emptyNames, part) {
				out = append(out, f.whole("%q names nothing: file and folder names are nouns of the domain", part))
			}
		}
	}
	return out
}

// The patterns are put together from halves so that this file does not match them.
var (
	machinePath = regexp.MustCompile(`(^|[^\w./-])/(?:` + "wo" + `rk|` + "ro" + `ot|` + "ho" + `me)/\w`)
	registry    = regexp.MustCompile(`(?i)proxy\.` + `golang\.org|registry\.` + `npmjs|repo1?\.` + `maven`)
	leftOpen    = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b|(?i)\bnot ` + `implemented\b|\bun` + `implemented\b`)
)

func checkText(files []*file) (out []Finding) {
	for _, f := range files {
		if bytes.IndexByte(f.text, 0) >= 0 || f.path == "go.sum" || f.generated {
			continue
		}
		for i, line := range strings.Split(string(f.text), "\n") {
			for _, rule := range []struct {
				pattern *regexp.Regexp
				text    string
				goOnly  bool
			}{
				{machinePath, "a path of one machine", false},
				{registry, "the host of a package registry", false},
				{leftOpen, "left open: finish it, or leave it out", true},
			} {
				if found := rule.pattern.FindString(line); found != "" && (f.isGo() || !rule.goOnly) {
					out = append(out, Finding{f.path, i + 1, rule.text + ": " + strings.TrimSpace(found)})
				}
			}
		}
	}
	return out
}

// skipper is the one package that may skip a test.
const skipper = "testing/require"

// checkSkips finds tests that skip by themselves. Skipping in a property test only rejects a draw and is fine.
func checkSkips(files []*file) (out []Finding) {
	for _, f := range files {
		if !f.isGo() || f.generated || f.dir() == skipper {
			continue
		}
		var stack []ast.Node
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if n == nil {
				stack = stack[:len(stack)-1]
				return true
			}
			stack = append(stack, n)
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && isTest(stack, x.Name) {
				out = append(out, f.at(n, "%s.%s: tests are skipped by require.Component alone, so that BRAID_REQUIRE=all fails them; a fuzz target returns instead", x.Name, s.Sel.Name))
			}
			return true
		})
	}
	return out
}

// isTest reports whether the innermost parameter of that name is one of package testing.
func isTest(stack []ast.Node, name string) bool {
	for _, n := range slices.Backward(stack) {
		var params *ast.FieldList
		switch fn := n.(type) {
		case *ast.FuncLit:
			params = fn.Type.Params
		case *ast.FuncDecl:
			params = fn.Type.Params
		default:
			continue
		}
		for _, field := range params.List {
			if !slices.ContainsFunc(field.Names, func(id *ast.Ident) bool { return id.Name == name }) {
				continue
			}
			kind := field.Type
			if star, ok := kind.(*ast.StarExpr); ok {
				kind = star.X
			}
			s, ok := kind.(*ast.SelectorExpr)
			if !ok {
				return false
			}
			pkg, ok := s.X.(*ast.Ident)
			return ok && pkg.Name == "testing"
		}
	}
	return false
}
