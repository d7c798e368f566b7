package filter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/braidhq/braid/transforms/strict"
)

// Expression is a compiled expression over named values of any type. It is safe for concurrent use.
type Expression struct {
	program
	kind   *cel.Type
	names  []string
	fields map[string][]string // selected of a name
}

// Vocabulary is what expressions may name. It is safe for concurrent use.
type Vocabulary struct {
	names []string
	env   *cel.Env
}

// NewVocabulary returns a vocabulary in which each of names stands for a value. Functions of texts (split, replace, lowerAscii...), of numbers
// (math.greatest, math.round...) and of lists (sort, distinct, slice...) are there, too. Making one takes most of a millisecond.
func NewVocabulary(names []string) (*Vocabulary, error) {
	options := append(slices.Clone(common), ext.Strings(), ext.Math(), ext.Lists())
	for _, name := range names {
		options = append(options, cel.Variable(name, cel.DynType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("names of expressions: %w", err)
	}
	return &Vocabulary{names, env}, nil
}

// Compile compiles an expression. The error is of type Errors.
func (v *Vocabulary) Compile(expr string) (*Expression, error) {
	ast, errs := compile(v.env, expr, func(name string) string { return unknownValue(name, v.names) })
	if errs != nil {
		return nil, errs
	}
	p, errs := newProgram(v.env, ast, expr)
	if errs != nil {
		return nil, errs
	}
	e := &Expression{program: p, kind: ast.OutputType(), fields: map[string][]string{}}
	root := celast.NavigateAST(ast.NativeRep())
	for _, id := range celast.MatchDescendants(root, celast.KindMatcher(celast.IdentKind)) {
		if name := id.AsIdent(); slices.Contains(v.names, name) && !slices.Contains(e.names, name) {
			e.names = append(e.names, name)
		}
	}
	slices.Sort(e.names)
	for _, node := range celast.MatchDescendants(root, celast.KindMatcher(celast.SelectKind)) {
		of := node.AsSelect().Operand()
		if of.Kind() != celast.IdentKind {
			continue
		}
		if field := node.AsSelect().FieldName(); !slices.Contains(e.fields[of.AsIdent()], field) {
			e.fields[of.AsIdent()] = append(e.fields[of.AsIdent()], field)
		}
	}
	return e, nil
}

func unknownValue(name string, names []string) string {
	if hint := strict.Suggest(name, names); hint != "" {
		return hint
	}
	if len(names) == 0 {
		return "there is nothing else to name"
	}
	return "known are: " + strings.Join(names, ", ")
}

// CanBeBool reports whether the expression may give true or false, as far as that is known before it is evaluated.
func (e *Expression) CanBeBool() bool {
	return e.kind.IsExactType(cel.BoolType) || e.kind.IsExactType(cel.DynType)
}

// String returns the expression.
func (e *Expression) String() string { return e.expr }

// Names returns the names that the expression uses, ascending.
func (e *Expression) Names() []string { return e.names }

// Fields returns the fields that the expression selects of a name: of "a.b + a.c" and a they are b and c.
func (e *Expression) Fields(name string) []string { return e.fields[name] }

// values resolves names by a function.
type values func(name string) any

// ResolveName implements cel's Activation.
func (v values) ResolveName(name string) (any, bool) { return v(name), true }

// Parent implements cel's Activation.
func (v values) Parent() cel.Activation { return nil }

// Eval evaluates the expression. The value of each name it uses comes from value: nil, bool, int64, float64, string, time.Time, []any or
// map[string]any; the result is one of these. The error says why there is none, such as a null where a number is needed.
func (e *Expression) Eval(value func(name string) any) (any, error) {
	out, err := e.eval(values(func(name string) any {
		if v := value(name); v != nil {
			return v
		}
		return types.NullValue
	}))
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", e.expr, err)
	}
	return native(out, 0)
}

// native turns what CEL gives into plain values.
func native(v ref.Val, depth int) (any, error) {
	if depth > MaxNesting {
		return nil, fmt.Errorf("lists and maps are nested more than %d deep", MaxNesting)
	}
	switch v := v.(type) {
	case types.Bool, types.Int, types.Double, types.String:
		return v.Value(), nil
	case types.Uint:
		return int64(min(uint64(v), 1<<63-1)), nil
	case types.Null:
		return nil, nil
	case types.Timestamp:
		return v.Time, nil
	case types.Duration:
		return int64(v.Duration / time.Second), nil
	case traits.Mapper:
		out := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			name, ok := key.(types.String)
			if !ok {
				return nil, fmt.Errorf("the key of a map is %s, not a text", key.Type().TypeName())
			}
			item, err := native(v.Get(key), depth+1)
			if err != nil {
				return nil, err
			}
			out[string(name)] = item
		}
		return out, nil
	case traits.Lister:
		out := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			item, err := native(it.Next(), depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, item)
		}
		return out, nil
	}
	return nil, fmt.Errorf("it gives %s, which is no value of an attribute", v.Type().TypeName())
}

// Order returns names so that each stands behind those that it uses, as far as they are among them, and the circles in which names use each
// other, each from a name back to it.
func Order(names []string, uses func(name string) []string) (sorted []string, circles [][]string) {
	const underWay, done = 1, 2
	state := map[string]int{}
	var chain []string
	var visit func(name string)
	visit = func(name string) {
		switch {
		case state[name] == done || !slices.Contains(names, name):
			return
		case state[name] == underWay:
			circles = append(circles, append(slices.Clone(chain[slices.Index(chain, name):]), name))
			return
		}
		state[name] = underWay
		chain = append(chain, name)
		for _, used := range uses(name) {
			visit(used)
		}
		chain = chain[:len(chain)-1]
		state[name] = done
		sorted = append(sorted, name)
	}
	for _, name := range names {
		visit(name)
	}
	return sorted, circles
}
