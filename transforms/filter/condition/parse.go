package condition

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"

	"github.com/braidhq/braid/transforms/strict"
)

// plain parses without macros, so that exists and has are calls like any other.
var plain = sync.OnceValues(func() (*cel.Env, error) { return cel.NewCustomEnv(cel.ClearMacros()) })

// Parse returns the structure of a CEL expression. What no operator says stands in leaves as CEL. The error says that it is none.
func Parse(expression string) (Condition, error) {
	env, err := plain()
	if err != nil {
		return Condition{}, err
	}
	parsed, issues := env.Parse(expression)
	if issues != nil && issues.Err() != nil {
		return Condition{}, issues.Err()
	}
	r := reader{info: parsed.NativeRep().SourceInfo()}
	c := r.node(parsed.NativeRep().Expr(), "")
	return c, r.err
}

type reader struct {
	info *ast.SourceInfo
	err  error
}

// text writes an expression in the one form that the parser's unparser has.
func (r *reader) text(e ast.Expr) string {
	s, err := parser.Unparse(e, r.info)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("condition: %w", err)
	}
	return s
}

// node reads one node; item is the name of the item under way.
func (r *reader) node(e ast.Expr, item string) Condition {
	if c, ok := r.known(e, item); ok {
		return c
	}
	return Condition{CEL: r.text(e)}
}

// call returns the function and arguments of a call, the target first.
func call(e ast.Expr) (function string, args []ast.Expr) {
	if e.Kind() != ast.CallKind {
		return "", nil
	}
	c := e.AsCall()
	if c.IsMemberFunction() {
		return c.FunctionName(), append([]ast.Expr{c.Target()}, c.Args()...)
	}
	return c.FunctionName(), c.Args()
}

func (r *reader) known(e ast.Expr, item string) (Condition, bool) {
	function, args := call(e)
	switch function {
	case operators.LogicalAnd, operators.LogicalOr:
		return r.junction(e, function, item)
	case operators.LogicalNot:
		inner := r.node(args[0], item)
		if inner.IsNull != nil && *inner.IsNull {
			no := false
			inner.IsNull = &no
			return inner, true
		}
		return Condition{Not: &inner}, true
	case "exists", "all":
		if len(args) == 3 && e.AsCall().IsMemberFunction() {
			return r.items(function, args, item)
		}
	case operators.GreaterEquals:
		if c, ok := r.counted(args, item); ok {
			return c, true
		}
	}
	if len(args) != 2 {
		return Condition{}, false
	}
	if c, ok := r.moment(function, args[0], args[1], item); ok {
		return c, true
	}
	return r.comparison(function, args[0], args[1], item)
}

// flatten returns the operands of nested calls of one operator.
func flatten(e ast.Expr, operator string) []ast.Expr {
	function, args := call(e)
	if function != operator {
		return []ast.Expr{e}
	}
	return append(flatten(args[0], operator), flatten(args[1], operator)...)
}

func (r *reader) junction(e ast.Expr, operator, item string) (Condition, bool) {
	parts := flatten(e, operator)
	var all []Condition
	for i := 0; i < len(parts); i++ {
		if operator == operators.LogicalOr {
			if path, n := r.missing(parts[i:], item); n > 0 {
				yes := true
				all = append(all, Condition{Field: path, IsNull: &yes})
				i += n - 1
				continue
			}
		}
		c := r.node(parts[i], item)
		if operator == operators.LogicalAnd && i+1 < len(parts) && c.GreaterEqual != nil {
			if next := r.node(parts[i+1], item); next.LessEqual != nil && next.Field == c.Field {
				c = Condition{Field: c.Field, Between: []Literal{*c.GreaterEqual, *next.LessEqual}}
				i++
			}
		}
		all = append(all, c)
	}
	switch {
	case len(all) == 1:
		return all[0], true
	case operator == operators.LogicalAnd:
		return Condition{All: all}, true
	}
	return Condition{Any: all}, true
}

// missing reads the operands that say together that a field is missing or null, and returns how many they are.
func (r *reader) missing(parts []ast.Expr, item string) (path string, n int) {
	for i, part := range parts {
		function, args := call(part)
		if function != operators.Equals || !isNull(args[1]) {
			continue
		}
		path, ok := r.path(args[0], item)
		if !ok {
			return "", 0
		}
		env, err := plain()
		if err != nil {
			return "", 0
		}
		parsed, issues := env.Parse((&writer{}).missing(path, item))
		if issues != nil && issues.Err() != nil {
			return "", 0
		}
		said := reader{info: parsed.NativeRep().SourceInfo()}
		want := flatten(parsed.NativeRep().Expr(), operators.LogicalOr)
		if len(want) != i+1 || !slices.EqualFunc(want, parts[:i+1], func(a, b ast.Expr) bool { return said.text(a) == r.text(b) }) {
			return "", 0
		}
		return path, i + 1
	}
	return "", 0
}

func isNull(e ast.Expr) bool { return e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue }

func (r *reader) items(function string, args []ast.Expr, item string) (Condition, bool) {
	list, ok := r.path(args[0], item)
	name := "item"
	if item != "" {
		name = item + "_"
	}
	if !ok || args[1].Kind() != ast.IdentKind || args[1].AsIdent() != name {
		return Condition{}, false
	}
	where := r.node(args[2], name)
	if function == "exists" {
		return Condition{AnyOf: list, Where: &where}, true
	}
	return Condition{AllOf: list, Where: &where}, true
}

// counted reads LIST.filter(item, WHERE).size() >= N.
func (r *reader) counted(args []ast.Expr, item string) (Condition, bool) {
	function, size := call(args[0])
	least, ok := integer(args[1])
	if function != "size" || len(size) != 1 || !ok || least < 1 || least > 1<<31 {
		return Condition{}, false
	}
	function, filter := call(size[0])
	if function != "filter" || len(filter) != 3 {
		return Condition{}, false
	}
	c, ok := r.items("exists", filter, item)
	if !ok {
		return Condition{}, false
	}
	return Condition{AtLeast: int(least), Of: c.AnyOf, Where: c.Where}, true
}

func integer(e ast.Expr) (int64, bool) {
	if e.Kind() != ast.LiteralKind {
		return 0, false
	}
	n, ok := e.AsLiteral().(types.Int)
	return int64(n), ok
}

// literal reads a text, a number or a bool.
func literal(e ast.Expr) (*Literal, bool) {
	if e.Kind() != ast.LiteralKind {
		return nil, false
	}
	var l Literal
	switch v := e.AsLiteral().(type) {
	case types.String:
		l = Text(string(v))
	case types.Int:
		l = Integer(int64(v))
	case types.Double:
		l = Double(float64(v))
	case types.Bool:
		l = Bool(bool(v))
	default:
		return nil, false
	}
	return &l, true
}

func text(e ast.Expr) (*string, bool) {
	if e.Kind() != ast.LiteralKind {
		return nil, false
	}
	s, ok := e.AsLiteral().(types.String)
	plain := string(s)
	return &plain, ok
}

// path reads a field.
func (r *reader) path(e ast.Expr, item string) (string, bool) {
	var names []string
	for {
		switch e.Kind() {
		case ast.IdentKind:
			root := e.AsIdent()
			if item != "" && root == item {
				root = "item"
			} else if item != "" && root == "item" {
				return "", false // of a list around this one
			}
			names = append([]string{root}, names...)
			for i, n := range names {
				names[i] = strings.ReplaceAll(strings.ReplaceAll(n, `\`, `\\`), ".", `\.`)
			}
			path := strings.Join(names, ".")
			w := writer{}
			return path, w.path(path, "", item) != "" && w.err == nil
		case ast.SelectKind:
			names = append([]string{e.AsSelect().FieldName()}, names...)
			e = e.AsSelect().Operand()
		default:
			function, args := call(e)
			if function != operators.Index {
				return "", false
			}
			name, ok := text(args[1])
			if !ok || *name == "" {
				return "", false
			}
			names = append([]string{*name}, names...)
			e = args[0]
		}
	}
}

func (r *reader) comparison(function string, left, right ast.Expr, item string) (Condition, bool) {
	path, ok := r.path(left, item)
	if !ok {
		return Condition{}, false
	}
	c := Condition{Field: path}
	switch function {
	case operators.Equals:
		c.Equal, ok = literal(right)
	case operators.NotEquals:
		if c.Equal, ok = literal(right); ok {
			return Condition{Not: &c}, true
		}
	case operators.Greater:
		c.Greater, ok = literal(right)
	case operators.GreaterEquals:
		c.GreaterEqual, ok = literal(right)
	case operators.Less:
		c.Less, ok = literal(right)
	case operators.LessEquals:
		c.LessEqual, ok = literal(right)
	case operators.In:
		if right.Kind() != ast.ListKind || right.AsList().Size() == 0 {
			return Condition{}, false
		}
		for _, e := range right.AsList().Elements() {
			l, scalar := literal(e)
			if !scalar {
				return Condition{}, false
			}
			c.In = append(c.In, *l)
		}
	case "contains":
		c.Contains, ok = text(right)
	case "startsWith":
		c.StartsWith, ok = text(right)
	case "endsWith":
		c.EndsWith, ok = text(right)
	case "matches":
		c.Regexp, ok = text(right)
	default:
		return Condition{}, false
	}
	return c, ok
}

// moment reads FIELD < timestamp("...") and time - FIELD > duration("...").
func (r *reader) moment(function string, left, right ast.Expr, item string) (Condition, bool) {
	if inner, args := call(right); inner == "timestamp" && len(args) == 1 {
		at, ok := text(args[0])
		field, known := r.momentField(left, item)
		if !ok || !known {
			return Condition{}, false
		}
		if _, err := time.Parse(time.RFC3339, *at); err != nil {
			return Condition{}, false
		}
		switch function {
		case operators.Less:
			return Condition{Field: field, Before: *at}, true
		case operators.Greater:
			return Condition{Field: field, After: *at}, true
		}
		return Condition{}, false
	}
	inner, args := call(right)
	minus, ages := call(left)
	if inner != "duration" || len(args) != 1 || minus != operators.Subtract || ages[0].Kind() != ast.IdentKind || ages[0].AsIdent() != "time" {
		return Condition{}, false
	}
	span, ok := text(args[0])
	field, known := r.momentField(ages[1], item)
	if !ok || !known {
		return Condition{}, false
	}
	d, err := time.ParseDuration(*span)
	if err != nil || d <= 0 || d%time.Millisecond != 0 {
		return Condition{}, false
	}
	switch function {
	case operators.Greater:
		return Condition{Field: field, OlderThan: strict.Duration(d)}, true
	case operators.Less:
		return Condition{Field: field, NewerThan: strict.Duration(d)}, true
	}
	return Condition{}, false
}

func (r *reader) momentField(e ast.Expr, item string) (string, bool) {
	if e.Kind() == ast.IdentKind && (e.AsIdent() == "time" || e.AsIdent() == "received") {
		return e.AsIdent(), true
	}
	function, args := call(e)
	if function != "timestamp" || len(args) != 1 {
		return "", false
	}
	return r.path(args[0], item)
}
