package attribute

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/attribute/decimal"
	"github.com/braidhq/braid/transforms/catalogue"
	"github.com/braidhq/braid/transforms/filter"
)

// MaxExpression is how many bytes the expression of a derived attribute may have.
const MaxExpression = 1000

// DefinitionError tells which definition is wrong.
type DefinitionError struct {
	Name string // of the attribute
	Err  *FieldError
	// Line and Column, from 1, are the place within the text of the field; 0 when it is about all of it.
	Line, Column int
}

// Error names the attribute.
func (e *DefinitionError) Error() string { return fmt.Sprintf("attribute %q: %v", e.Name, e.Err) }

// Unwrap returns what is wrong.
func (e *DefinitionError) Unwrap() error { return e.Err }

// derivation is a derived attribute, compiled.
type derivation struct {
	place int // in the set
	*filter.Expression
	uses map[string]int // places by name
	// Of a lookup: what is looked up, and where.
	lookup            bool
	catalogue, column string
}

// CheckDerived returns what is wrong with the expressions of derived attributes, given all definitions.
func CheckDerived(definitions []Definition) []*DefinitionError {
	_, errs := derive(definitions)
	return errs
}

func (d Definition) derived() bool {
	k, ok := accumulator.Find(d.Kind)
	return ok && k.Derived
}

// accumulates reports whether events are summarized; an unknown kind is taken to do so.
func (d Definition) accumulates() bool {
	k, ok := accumulator.Find(d.Kind)
	return !ok || k.Accumulates()
}

// derive compiles the derived attributes, each behind those that it uses.
func derive(definitions []Definition) (sorted []derivation, errs []*DefinitionError) {
	var names, derived []string
	places := map[string]int{}
	for i, d := range definitions {
		names, places[d.Name] = append(names, d.Name), i
	}
	slices.Sort(names)
	wrong := func(d Definition, message, hint string, line, column int) {
		errs = append(errs, &DefinitionError{d.Name, &FieldError{Field: "value", Message: message, Hint: hint}, line, column})
	}
	var vocabulary *filter.Vocabulary
	compiled := map[string]derivation{}
	for i, d := range definitions {
		if !d.derived() || d.Value == "" || len(d.Value) > MaxExpression {
			continue
		}
		var err error
		if vocabulary == nil {
			if vocabulary, err = filter.NewVocabulary(names); err != nil {
				wrong(d, err.Error(), "", 0, 0)
				return nil, errs
			}
		}
		expression, err := vocabulary.Compile(string(d.Value))
		var mistakes filter.Errors
		if errors.As(err, &mistakes) {
			for _, m := range mistakes {
				wrong(d, m.Message, m.Hint, m.Line, m.Column)
			}
			continue
		}
		if slices.Contains(expression.Names(), d.Name) {
			wrong(d, "an attribute cannot be derived from itself", "", 0, 0)
			continue
		}
		c := derivation{place: i, Expression: expression, uses: map[string]int{}, lookup: d.Catalogue != "", catalogue: d.Catalogue, column: d.Column}
		for _, name := range expression.Names() {
			c.uses[name] = places[name]
		}
		compiled[d.Name], derived = c, append(derived, d.Name)
	}
	order, circles := filter.Order(derived, func(name string) []string { return compiled[name].Names() })
	for _, circle := range circles {
		wrong(definitions[places[circle[0]]], "attributes are derived from each other in a circle: "+strings.Join(circle, " from "), "", 0, 0)
	}
	for _, name := range order {
		sorted = append(sorted, compiled[name])
	}
	return sorted, errs
}

// answer evaluates the expression over the answers so far. It is null when there is no value: where a null is used as a number, say.
func (c derivation) answer(out []accumulator.Result, catalogues catalogue.Set) accumulator.Result {
	var r accumulator.Result
	got, err := c.Eval(func(name string) any {
		used := out[c.uses[name]]
		r.Overflow, r.Approximate = r.Overflow || used.Overflow, r.Approximate || used.Approximate
		return Plain(used.Value)
	})
	if err == nil {
		r.Value, err = fromPlain(got)
	}
	if err != nil {
		return accumulator.Result{}
	}
	if c.lookup {
		key, isText := r.Value.Text()
		if !isText && !r.Value.IsNull() {
			key = string(r.Value.AppendJSON(nil))
		}
		r.Value = catalogues.Value(c.catalogue, key, c.column)
	}
	return r
}

// Plain returns a value as expressions know it: a whole number of a kind that counts is one, any other number is not.
func Plain(v accumulator.Value) any {
	switch v.Type() {
	case accumulator.Bool:
		b, _ := v.Bool()
		return b
	case accumulator.Integer:
		n, _ := v.Int64()
		return n
	case accumulator.Decimal:
		d, _ := v.Decimal()
		return d.Float64()
	case accumulator.Time:
		ms, _ := v.Time()
		return time.UnixMilli(ms).UTC()
	case accumulator.Text:
		s, _ := v.Text()
		return s
	case accumulator.List:
		text, _ := v.JSON()
		var list []any
		if json.Unmarshal([]byte(text), &list) == nil {
			return list
		}
	}
	return nil
}

var errNoValue = errors.New("no value of an attribute")

// fromPlain is the other way round.
func fromPlain(v any) (accumulator.Value, error) {
	switch v := v.(type) {
	case nil:
		return accumulator.Value{}, nil
	case bool:
		return accumulator.BoolValue(v), nil
	case int64:
		return accumulator.IntegerValue(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return accumulator.Value{}, errNoValue
		}
		d, err := decimal.Parse(strconv.FormatFloat(v, 'f', decimal.Digits, 64))
		return accumulator.DecimalValue(d), err
	case string:
		return accumulator.TextValue(v), nil
	case time.Time:
		return accumulator.TimeValue(v.UnixMilli()), nil
	}
	text, err := json.Marshal(v) // the keys of maps are sorted
	return accumulator.ListValue(text), err
}
