package layout

import (
	"go/ast"
	"path"
	"strings"
)

// checkComments wants a package comment in the file named after the package, and on each exported name a comment that ends in a
// full stop.
func checkComments(files []*file) (out []Finding) {
	packages := map[string]bool{} // folders, true once the comment was found
	first := map[string]*file{}
	for _, f := range files {
		if !f.source() {
			continue
		}
		dir := f.dir()
		if first[dir] == nil {
			first[dir] = f
		}
		named := path.Base(f.path) == f.syntax.Name.Name+".go" || f.syntax.Name.Name == "main"
		switch {
		case f.syntax.Doc == nil:
		case !named:
			out = append(out, f.at(f.syntax, "the package comment stands in %s.go, the file named after the package", f.syntax.Name.Name))
		default:
			packages[dir] = true
		}
		for _, decl := range f.syntax.Decls {
			out = append(out, checkDecl(f, decl)...)
		}
	}
	for dir, f := range first {
		if !packages[dir] {
			out = append(out, f.whole("package %s has no package comment in %s.go", dir, f.syntax.Name.Name))
		}
	}
	return out
}

func checkDecl(f *file, decl ast.Decl) (out []Finding) {
	check := func(n ast.Node, name string, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			text := strings.TrimSpace(doc.Text())
			if text == "" {
				continue
			}
			if !strings.HasSuffix(text, ".") && !strings.HasSuffix(lastLine(text), "}") && !strings.HasPrefix(lastLine(text), "\t") {
				out = append(out, f.at(n, "the comment of %s does not end in a full stop", name))
			}
			return
		}
		out = append(out, f.at(n, "exported %s has no comment", name))
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d) {
			if d.Doc == nil && d.Recv != nil && ordinary(d.Name.Name) {
				return nil
			}
			check(d, d.Name.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					check(s, s.Name.Name, s.Doc, d.Doc)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && s.Comment == nil {
						check(name, name.Name, s.Doc, d.Doc)
					}
				}
			}
		}
	}
	return out
}

// ordinary are methods whose meaning the standard library settled.
func ordinary(name string) bool {
	switch name {
	case "String", "Error", "Unwrap", "Len", "Less", "Swap", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "Write", "Read":
		return true
	}
	return false
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	kind := d.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.IsExported()
		default:
			return true
		}
	}
}

func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }
