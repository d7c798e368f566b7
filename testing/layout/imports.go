package layout

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is the path of the module, before the folders.
const module = "github.com/braidhq/braid"

const beam = "github.com/apache/beam"

// topLevel is all that may stand at the root beside hidden files.
var topLevel = []string{
	"pipelines", "transforms", "io", "batch", "serving", "cmd", "testing", "go.mod", "go.sum", "README.md", "LICENSE", "NOTICE",
}

func checkTop(files []*file) (out []Finding) {
	seen := map[string]bool{}
	for _, f := range files {
		top, _, _ := strings.Cut(f.path, "/")
		if seen[top] || strings.HasPrefix(top, ".") || slices.Contains(topLevel, top) {
			continue
		}
		seen[top] = true
		out = append(out, f.whole("the top level is fixed: %s", strings.Join(topLevel, ", ")))
	}
	return out
}

// checkEmptyFolders keeps packages out of the folders that would shadow the standard library.
func checkEmptyFolders(files []*file) (out []Finding) {
	for _, f := range files {
		if f.isGo() && (f.dir() == "io" || f.dir() == "testing") {
			out = append(out, f.whole("no Go package sits directly in %s/, give it a folder of its own", f.dir()))
		}
	}
	return out
}

// layer is a part of the repository with its own rule about imports.
type layer struct {
	name string
	may  []string // layers of this module it may import
	why  string
	not  []string // what else it may not import: the path itself and what lies under it
}

const (
	core     = "core"
	shell    = "transforms"
	input    = "io"
	batch    = "batch"
	serving  = "serving"
	pipeline = "pipelines"
	command  = "cmd"
	tests    = "testing"
)

// effects are the packages through which a core would reach the world.
var effects = []string{
	beam, "net=", "net/http", "net/rpc", "net/smtp", "os", "syscall", "database/sql", "plugin", "log=", "github.com/twmb", "github.com/cockroachdb/pebble",
	"github.com/ClickHouse", "github.com/jackc", "google.golang.org/grpc", "github.com/prometheus/client_golang",
}

var layers = []layer{
	{core, []string{core}, "cores import only cores and know no Beam, clock, network or disk", effects},
	{shell, []string{core}, "transforms imports cores and Beam; stores and sinks are interfaces that a core declares", nil},
	{input, []string{core, input}, "io imports cores, but neither transform shells nor what wires them", nil},
	{batch, []string{core, input, batch}, "batch imports cores, Beam and io", nil},
	{serving, []string{core, input, serving}, "serving imports cores and io clients, never Beam", []string{beam}},
	{pipeline, []string{core, shell, input, batch, pipeline}, "pipelines wires cores, transforms, io and batch", nil},
	{command, []string{core, shell, input, batch, serving, pipeline, command, tests}, "", nil},
	{tests, []string{core, shell, input, batch, serving, pipeline, command, tests}, "", nil},
}

// layerOf names the layer of a folder, or "" at the root.
func layerOf(dir string) string {
	top, under, nested := strings.Cut(dir, "/")
	if top == shell && nested && under != "" {
		return core
	}
	if slices.Contains([]string{shell, input, batch, serving, pipeline, command, tests}, top) {
		return top
	}
	return ""
}

func checkImports(files []*file) (out []Finding) {
	imports := map[string][]string{} // folder to what its sources import
	for _, f := range files {
		if f.isGo() && !f.test() {
			for _, spec := range f.syntax.Imports {
				imports[f.dir()] = append(imports[f.dir()], importPath(spec))
			}
		}
	}
	for _, f := range files {
		if !f.isGo() || f.test() { // tests may wire what they test
			continue
		}
		i := slices.IndexFunc(layers, func(l layer) bool { return l.name == layerOf(f.dir()) })
		if i < 0 {
			continue
		}
		for _, spec := range f.syntax.Imports {
			if rule := layers[i].refuses(importPath(spec), imports); rule != "" {
				out = append(out, f.at(spec, "imports %s: %s", importPath(spec), rule))
			}
		}
	}
	return out
}

// refuses says which rule the import breaks, or "".
func (l layer) refuses(imported string, imports map[string][]string) string {
	own, ok := strings.CutPrefix(imported, module+"/")
	if !ok {
		if slices.ContainsFunc(l.not, func(not string) bool { return covers(not, imported) }) {
			return l.why
		}
		return ""
	}
	if to := layerOf(own); to != "" && !slices.Contains(l.may, to) {
		return l.why
	}
	if slices.Contains(l.not, beam) {
		if way := wayTo(beam, own, imports, map[string]bool{}); way != nil {
			return "this brings in Beam by way of " + strings.Join(way, " -> ") + "; " + l.why
		}
	}
	return ""
}

// covers reports whether a forbidden path covers an import; one that ends in = stands for that package alone.
func covers(not, imported string) bool {
	if exact, ok := strings.CutSuffix(not, "="); ok {
		return imported == exact
	}
	return imported == not || strings.HasPrefix(imported, not+"/")
}

// wayTo finds how a folder comes to import a library, through other folders of the module.
func wayTo(library, dir string, imports map[string][]string, seen map[string]bool) []string {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	for _, imported := range imports[dir] {
		if covers(library, imported) {
			return []string{dir}
		}
		if own, ok := strings.CutPrefix(imported, module+"/"); ok {
			if way := wayTo(library, own, imports, seen); way != nil {
				return append([]string{dir}, way...)
			}
		}
	}
	return nil
}

func importPath(spec *ast.ImportSpec) string {
	text, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return text
}

// clock lists what package time has that reads or waits for the wall clock.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// checkClock keeps the wall clock out of the cores: there time is an argument.
func checkClock(files []*file) (out []Finding) {
	for _, f := range files {
		if !f.source() || layerOf(f.dir()) != core {
			continue
		}
		name := ""
		for _, spec := range f.syntax.Imports {
			if importPath(spec) == "time" {
				name = "time"
				if spec.Name != nil {
					name = spec.Name.Name
				}
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && name != "" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == name && slices.Contains(clock, s.Sel.Name) {
					out = append(out, f.at(n, "%s.%s: a core knows no clock, time is an argument", path.Base(name), s.Sel.Name))
				}
			}
			return true
		})
	}
	return out
}
