// Package filter decides which events count: in go CEL expressions over the fields of an event, compiled once, and an event; out
// comes whether it matches.
//
// The variables are properties, context and identifiers (maps over the raw JSON, read lazily), time and received (timestamps),
// table and event_id (texts). A JSON number that is an integer of 64 bits is an int, any other one a double; both compare with each
// other, while arithmetic on them needs double(x). A field that is missing makes no match, as CEL has it: "a || b" still matches when
// one side does. The pattern of matches must be a literal.
package filter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/braidhq/braid/transforms/event"
)

// Bounds on an expression.
const (
	MaxSteps   = 100_000  // rounds of exists, all, map and filter in one evaluation, all together
	MaxRead    = 16 << 20 // bytes of JSON that one evaluation may read; what is looked up again is read again
	MaxNesting = 100      // depth of an expression
	MaxLoops   = 3        // depth of exists, all, map and filter within each other
)

// common is what all expressions have in common.
var common = []cel.EnvOption{
	cel.CrossTypeNumericComparisons(true),
	cel.DefaultUTCTimeZone(true),
	cel.ParserRecursionLimit(MaxNesting),
	cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
		cel.ValidateComprehensionNestingLimit(MaxLoops)),
}

// environment is built at the first use: it takes milliseconds, and not every program needs it.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(append(slices.Clone(common),
		cel.Variable("properties", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("context", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("identifiers", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("time", cel.TimestampType),
		cel.Variable("received", cel.TimestampType),
		cel.Variable("table", cel.StringType),
		cel.Variable("event_id", cel.StringType),
	)...)
})

// Error is one mistake in an expression.
type Error struct {
	Line, Column int // place in the expression, both from 1; the column in characters
	Message      string
	Hint         string // how to fix it; may be empty
}

// Error returns the place, the message and the hint.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Errors are the mistakes in an expression; never empty.
type Errors []*Error

// Error returns one line per mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Program is a compiled filter, safe for concurrent use.
type Program struct{ program }

// program is a compiled expression.
type program struct {
	expr    string
	program cel.Program
	loops   bool
}

// eval evaluates, in bounds.
func (p *program) eval(vars any) (ref.Val, error) {
	if p.loops {
		out, _, err := p.program.ContextEval(expired, vars)
		return out, err
	}
	out, _, err := p.program.Eval(vars)
	return out, err
}

// expired makes CEL stop a loop the first time it looks, which is after MaxSteps rounds. Its own counting of cost takes time that
// grows with the square of the rounds.
var expired = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("more than %d rounds", MaxSteps))
	return ctx
}()

// Compile compiles a boolean expression over an event. The error is of type Errors.
func Compile(expr string) (*Program, error) {
	env, err := environment()
	if err != nil {
		return nil, Errors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	ast, errs := compile(env, expr, func(string) string {
		return "fields of an event are properties.x, context.x and identifiers.x; texts need quotes"
	})
	if errs != nil {
		return nil, errs
	}
	if kind := ast.OutputType(); !kind.IsExactType(cel.BoolType) {
		err := &Error{Line: 1, Column: 1, Message: "the expression gives " + kind.String() + ", not true or false"}
		if kind.IsExactType(cel.DynType) {
			err.Message, err.Hint = "the expression gives a value of any type, not true or false", `compare it, for example: `+expr+` == true`
		}
		return nil, Errors{err}
	}
	p, errs := newProgram(env, ast, expr)
	if errs != nil {
		return nil, errs
	}
	return &Program{p}, nil
}

// compile checks an expression; unknown gives the hint for a name that is not declared.
func compile(env *cel.Env, expr string, unknown func(name string) string) (*cel.Ast, Errors) {
	ast, issues := env.Compile(expr)
	if issues == nil || issues.Err() == nil {
		return ast, nil
	}
	var errs Errors
	for _, e := range issues.Errors() {
		message, hint := explain(e.Message, unknown)
		errs = append(errs, &Error{Line: max(e.Location.Line(), 1), Column: max(e.Location.Column(), 0) + 1, Message: message, Hint: hint})
	}
	return nil, errs
}

func newProgram(env *cel.Env, ast *cel.Ast, expr string) (program, Errors) {
	if errs := openPatterns(ast); errs != nil {
		return program{}, errs
	}
	p, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(MaxSteps))
	if err != nil {
		return program{}, Errors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return program{expr: expr, program: p, loops: loops(ast)}, nil
}

// explain words CEL's commonest messages for people who do not know CEL.
func explain(message string, unknown func(name string) string) (text, hint string) {
	if name, ok := strings.CutPrefix(message, "undeclared reference to '"); ok {
		if name, _, ok = strings.Cut(name, "'"); ok {
			return fmt.Sprintf("unknown name %q", name), unknown(name)
		}
	}
	if problem, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		problem, _, _ = strings.Cut(problem, " expecting ") // what follows is a list of everything that the grammar knows
		if strings.Contains(problem, "'<EOF>'") {
			problem = "the expression ends too early"
		}
		return "syntax: " + strings.ReplaceAll(problem, "\n", " "), ""
	}
	return strings.ReplaceAll(message, "\n", " "), ""
}

// openPatterns reports calls of matches whose pattern comes out of the event: it would be compiled for each one.
func openPatterns(ast *cel.Ast) Errors {
	var errs Errors
	for _, call := range celast.MatchDescendants(celast.NavigateAST(ast.NativeRep()), celast.FunctionMatcher("matches")) {
		args := call.AsCall().Args()
		if len(args) == 0 || args[len(args)-1].Kind() == celast.LiteralKind {
			continue
		}
		at := ast.NativeRep().SourceInfo().GetStartLocation(call.ID())
		errs = append(errs, &Error{Line: max(at.Line(), 1), Column: max(at.Column(), 0) + 1, Message: "the pattern of matches must be a literal text"})
	}
	return errs
}

// loops reports whether the expression goes through lists or maps.
func loops(ast *cel.Ast) bool {
	return len(celast.MatchDescendants(celast.NavigateAST(ast.NativeRep()), celast.KindMatcher(celast.ComprehensionKind))) > 0
}

// String returns the expression.
func (p *Program) String() string { return p.expr }

// ErrMissing is returned by Match when the expression needs a field that the event does not have.
var ErrMissing = errors.New("the event lacks a field of the expression")

// Match reports whether the event matches. An error means that it does not: it is ErrMissing when a field is missing, which is no
// mistake, or says what could not be evaluated.
func (p *Program) Match(e *event.Event) (bool, error) {
	a := activations.Get().(*activation)
	a.reset(e)
	out, err := p.eval(a)
	a.reset(nil)
	activations.Put(a)
	if err != nil {
		if isMissing(err) {
			return false, ErrMissing
		}
		return false, fmt.Errorf("filter %q: %w", p.expr, err)
	}
	matched, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("filter %q: gave %v, not true or false", p.expr, out.Type())
	}
	return bool(matched), nil
}

// isMissing recognizes CEL's error for a missing field by its type: comparing messages would cost more than the evaluation.
func isMissing(err error) bool {
	var e *types.Err
	if !errors.As(err, &e) {
		return false
	}
	inner := e.Unwrap()
	return inner == ErrMissing || inner != nil && reflect.TypeOf(inner) == missingType()
}

var missingType = sync.OnceValue(func() reflect.Type {
	p, err := Compile("properties.x == 1")
	if err != nil {
		return nil
	}
	a := &activation{}
	a.reset(&event.Event{Raw: []byte(`{"properties":{}}`)})
	_, err = p.eval(a)
	var e *types.Err
	if !errors.As(err, &e) {
		return nil
	}
	return reflect.TypeOf(e.Unwrap())
})
