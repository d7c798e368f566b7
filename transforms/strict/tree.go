package strict

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNesting bounds how deep lists and maps nest.
const maxNesting = 50

// Kind is the kind of a YAML value.
type Kind int

// The kinds.
const (
	Null Kind = iota
	Text
	Integer
	Decimal
	Boolean
	List
	Map
)

// String returns the kind with its article, for messages.
func (k Kind) String() string {
	return [...]string{"nothing", "a text", "an integer", "a decimal number", "true or false", "a list", "a map"}[k]
}

// node is one value of the file.
type node struct {
	kind               Kind
	text               string // of a scalar; numbers as written
	line, column       int
	keyLine, keyColumn int // of the name in front of it; zero in a list
	path               Path
	names              []string // of a map, in the order of the file; parallel to items
	items              []*node
}

// parse turns the source into nodes. It returns nil when the file cannot be used at all.
func (d *Document) parse(source string) (root *node) {
	tokens := lexer.Tokenize(source)
	if !d.allowed(tokens) {
		return nil
	}
	file, err := parseTokens(tokens)
	var syntax *yaml.SyntaxError
	switch {
	case errors.As(err, &syntax):
		at := syntax.Token.Position
		d.report(&node{line: at.Line, column: at.Column}, "", "", "YAML syntax: %s", syntax.Message)
		return nil
	case err != nil:
		d.report(&node{line: 1, column: 1}, "", "", "YAML syntax: %v", err)
		return nil
	}
	if len(file.Docs) > 1 {
		if body := file.Docs[1].Body; body != nil {
			at := body.GetToken().Position
			d.report(&node{line: at.Line, column: 1}, "", "", "a second document begins here; one file holds one")
			return nil
		}
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		root = &node{line: 1, column: 1}
		d.nodes[""] = root
		return root
	}
	return d.build(file.Docs[0].Body, "", 0)
}

// parseTokens turns a panic of the parser on odd input into an error.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file cannot be read: %v", r)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// allowed refuses what this dialect leaves out, and nesting that would exhaust the parser.
func (d *Document) allowed(tokens token.Tokens) bool {
	depth, run, runLine := 0, 0, 0
	for _, tk := range tokens {
		at := &node{line: tk.Position.Line, column: tk.Position.Column}
		refuse := ""
		switch tk.Type {
		case token.AnchorType, token.AliasType:
			refuse = "anchors and aliases are not supported; write the value out, or put a text that begins with & or * in quotes"
		case token.MergeKeyType:
			refuse = "merge keys are not supported; write the fields out"
		case token.TagType:
			refuse = "tags are not supported; put a text that begins with ! in quotes"
		case token.DirectiveType:
			refuse = "directives are not supported"
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			if tk.Position.Line != runLine {
				run, runLine = 0, tk.Position.Line
			}
			run++
		case token.InvalidType:
			refuse = "YAML syntax: " + tk.Error
		}
		if depth > maxNesting || run > maxNesting || tk.Position.IndentLevel > maxNesting {
			refuse = fmt.Sprintf("nested deeper than %d levels", maxNesting)
		}
		if refuse != "" {
			d.report(at, "", "", "%s", refuse)
			return false
		}
	}
	return true
}

// build turns a syntax node into a node and reports repeated fields.
func (d *Document) build(n ast.Node, path Path, depth int) *node {
	tk := n.GetToken()
	out := &node{line: tk.Position.Line, column: tk.Position.Column, path: path}
	d.nodes[path] = out
	if depth > maxNesting {
		d.report(out, path, "", "nested deeper than %d levels", maxNesting)
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		d.buildMap(out, n.Values, depth)
		if n.IsFlowStyle {
			out.line, out.column = n.Start.Position.Line, n.Start.Position.Column
		}
	case *ast.MappingValueNode:
		d.buildMap(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.kind = List
		for i, item := range n.Values {
			out.items = append(out.items, d.build(item, path.Index(i), depth+1))
		}
	case *ast.StringNode:
		out.kind, out.text = Text, n.Value
	case *ast.LiteralNode:
		out.kind, out.text = Text, n.Value.Value
	case *ast.IntegerNode:
		out.kind, out.text = Integer, tk.Value
	case *ast.FloatNode:
		out.kind, out.text = Decimal, tk.Value
	case *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = Decimal, tk.Value
	case *ast.BoolNode:
		out.kind, out.text = Boolean, strings.ToLower(tk.Value)
	case *ast.NullNode:
	default:
		d.report(out, path, "", "this YAML construct is not supported")
	}
	return out
}

func (d *Document) buildMap(out *node, values []*ast.MappingValueNode, depth int) {
	out.kind = Map
	first := map[string]int{}
	for i, v := range values {
		at := v.Key.GetToken().Position
		if i == 0 {
			out.line, out.column = at.Line, at.Column
		}
		name, ok := d.name(v.Key)
		path := out.path.Key(name)
		if !ok {
			d.report(&node{line: at.Line, column: at.Column}, path, "", "a field name must be a plain text")
			continue
		}
		if line, ok := first[name]; ok {
			d.report(&node{line: at.Line, column: at.Column}, path, "", "the field is there twice, first in line %d", line)
			continue
		}
		first[name] = at.Line
		item := d.build(v.Value, path, depth+1)
		item.keyLine, item.keyColumn = at.Line, at.Column
		if item.kind == Null { // nothing stands there, so point to the name
			item.line, item.column = at.Line, at.Column
		}
		out.names = append(out.names, name)
		out.items = append(out.items, item)
	}
}

func (d *Document) name(key ast.MapKeyNode) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.MappingKeyNode:
		return "", false
	case ast.ScalarNode:
		return k.GetToken().Value, true
	}
	return "", false
}

// within finds the place in the file of a place in a text.
func (d *Document) within(n *node, line, column int) (int, int) {
	if n.line < 1 || n.line > len(d.lines) {
		return n.line, n.column
	}
	source := []rune(d.lines[n.line-1])
	at := n.column - 1
	if at < 0 || at >= len(source) {
		return n.line, n.column
	}
	switch quote := source[at]; quote {
	case '|', '>':
		if quote == '>' || n.line+line > len(d.lines) {
			return n.line, n.column
		}
		indent := 0
		for _, l := range d.lines[n.line:] {
			if trimmed := strings.TrimLeft(l, " "); trimmed != "" {
				indent = len(l) - len(trimmed)
				break
			}
		}
		return n.line + line, indent + column
	case '\'', '"':
		for at++; column > 1 && at < len(source); column-- {
			switch {
			case quote == '\'' && source[at] == '\'' && at+1 < len(source) && source[at+1] == '\'':
				at += 2
			case source[at] == quote:
				column = 1 // the text ends in another line
			case quote == '"' && source[at] == '\\' && at+1 < len(source):
				at += 2 + map[rune]int{'x': 2, 'u': 4, 'U': 8}[source[at+1]]
			default:
				at++
			}
		}
		return n.line, at + 1
	}
	if line > 1 {
		return n.line, n.column
	}
	return n.line, n.column + column - 1
}
