package filter

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/tidwall/gjson"

	"github.com/braidhq/braid/transforms/event"
)

var (
	errNumber = errors.New("a number is out of the range of a double")
	errBudget = fmt.Errorf("it would read more than %d bytes", MaxRead)
)

// value gives CEL a JSON value without decoding what is inside.
func value(v gjson.Result, b *budget) ref.Val {
	switch v.Type {
	case gjson.String:
		return types.String(v.Str)
	case gjson.Number:
		if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil {
			return types.Int(n)
		}
		if math.IsInf(v.Num, 0) || math.IsNaN(v.Num) {
			return types.WrapErr(errNumber)
		}
		return types.Double(v.Num)
	case gjson.True:
		return types.True
	case gjson.False:
		return types.False
	case gjson.JSON:
		if v.IsArray() {
			return &list{json: v, budget: b}
		}
		return &object{json: v, budget: b}
	}
	return types.NullValue
}

// object is a JSON object as a map of CEL.
type object struct {
	json   gjson.Result
	budget *budget
}

var _ traits.Mapper = (*object)(nil)

// Find returns the value of a name.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false // a JSON object has no such key
	}
	if !o.budget.spend(len(o.json.Raw)) {
		return types.WrapErr(errBudget), false
	}
	v := event.Member(o.json, string(name))
	if !v.Exists() {
		return nil, false
	}
	return value(v, o.budget), true
}

// Get returns the value of a name or an error.
func (o *object) Get(key ref.Val) ref.Val {
	v, ok := o.Find(key)
	if ok || types.IsError(v) {
		return v
	}
	return types.WrapErr(ErrMissing)
}

// Contains reports whether there is a value of that name.
func (o *object) Contains(key ref.Val) ref.Val {
	v, ok := o.Find(key)
	if types.IsError(v) {
		return v
	}
	return types.Bool(ok)
}

// names returns the names without repetition, or an error when there is no budget left.
func (o *object) names() (names []ref.Val, err ref.Val) {
	if !o.budget.spend(len(o.json.Raw)) {
		return nil, types.WrapErr(errBudget)
	}
	seen := map[string]bool{}
	for c := event.NewCursor(o.json); ; {
		name, _, ok := c.Next()
		if !ok {
			return names, nil
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, types.String(name))
		}
	}
}

// Size returns the number of names.
func (o *object) Size() ref.Val {
	names, err := o.names()
	if err != nil {
		return err
	}
	return types.Int(len(names))
}

// Iterator walks over the names.
func (o *object) Iterator() traits.Iterator {
	names, err := o.names()
	if err != nil {
		names = []ref.Val{err} // an iterator cannot fail, its item can
	}
	return types.NewRefValList(types.DefaultTypeAdapter, names).Iterator()
}

// Equal compares with another map.
func (o *object) Equal(other ref.Val) ref.Val {
	m, ok := other.(traits.Mapper)
	if !ok {
		return types.False
	}
	names, err := o.names()
	if err != nil {
		return err
	}
	if m.Size() != types.Int(len(names)) {
		return types.False
	}
	for _, name := range names {
		theirs, ok := m.Find(name)
		if types.IsError(theirs) {
			return theirs
		}
		if !ok {
			return types.False
		}
		if same := types.Equal(o.Get(name), theirs); same != types.True {
			return same
		}
	}
	return types.True
}

// ConvertToNative is not needed by any function that the expressions have.
func (o *object) ConvertToNative(to reflect.Type) (any, error) { return notNative("map", to) }

// ConvertToType converts to the type itself only.
func (o *object) ConvertToType(to ref.Type) ref.Val { return convert(o, types.MapType, to) }

// Type returns CEL's map.
func (o *object) Type() ref.Type { return types.MapType }

// Value returns the raw JSON.
func (o *object) Value() any { return o.json.Raw }

// list is a JSON array as a list of CEL.
type list struct {
	json   gjson.Result
	budget *budget
	size   int // counted when first needed, plus one
}

var _ traits.Lister = (*list)(nil)

// Size returns the number of items.
func (l *list) Size() ref.Val {
	if l.size == 0 {
		for c := event.NewCursor(l.json); ; {
			l.size++
			if _, _, ok := c.Next(); !ok {
				break
			}
		}
	}
	return types.Int(l.size - 1)
}

// Get returns the item at an index.
func (l *list) Get(index ref.Val) ref.Val {
	i, err := types.IndexOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	if !l.budget.spend(len(l.json.Raw)) {
		return types.WrapErr(errBudget)
	}
	for c := event.NewCursor(l.json); i >= 0; i-- {
		_, v, ok := c.Next()
		if !ok {
			break
		}
		if i == 0 {
			return value(v, l.budget)
		}
	}
	return types.WrapErr(ErrMissing)
}

// Contains reports whether an item equals the value.
func (l *list) Contains(item ref.Val) ref.Val {
	if !l.budget.spend(len(l.json.Raw)) {
		return types.WrapErr(errBudget)
	}
	for c := event.NewCursor(l.json); ; {
		_, v, ok := c.Next()
		if !ok {
			return types.False
		}
		if types.Equal(value(v, l.budget), item) == types.True {
			return types.True
		}
	}
}

// Add joins two lists.
func (l *list) Add(other ref.Val) ref.Val {
	if _, ok := other.(traits.Lister); !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	var items []ref.Val
	for _, part := range []ref.Val{l, other} {
		for it := part.(traits.Lister).Iterator(); it.HasNext() == types.True; {
			items = append(items, it.Next())
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, items)
}

// Equal compares with another list.
func (l *list) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok || o.Size() != l.Size() {
		return types.False
	}
	theirs := o.Iterator()
	for it := l.Iterator(); it.HasNext() == types.True; {
		item := theirs.Next()
		if types.IsError(item) {
			return item
		}
		if same := types.Equal(it.Next(), item); same != types.True {
			return same
		}
	}
	return types.True
}

// Iterator walks over the items.
func (l *list) Iterator() traits.Iterator {
	it := &iterator{cursor: event.NewCursor(l.json), budget: l.budget}
	_, it.next, it.more = it.cursor.Next()
	return it
}

// ConvertToNative is not needed by any function that the expressions have.
func (l *list) ConvertToNative(to reflect.Type) (any, error) { return notNative("list", to) }

// ConvertToType converts to the type itself only.
func (l *list) ConvertToType(to ref.Type) ref.Val { return convert(l, types.ListType, to) }

// Type returns CEL's list.
func (l *list) Type() ref.Type { return types.ListType }

// Value returns the raw JSON.
func (l *list) Value() any { return l.json.Raw }

// iterator walks over the items of a list.
type iterator struct {
	cursor event.Cursor
	budget *budget
	next   gjson.Result
	more   bool
}

// HasNext reports whether Next has an item.
func (it *iterator) HasNext() ref.Val { return types.Bool(it.more) }

// Next returns the next item.
func (it *iterator) Next() ref.Val {
	if !it.more {
		return types.WrapErr(ErrMissing)
	}
	if !it.budget.spend(len(it.next.Raw)) {
		it.more = false
		return types.WrapErr(errBudget)
	}
	v := value(it.next, it.budget)
	_, it.next, it.more = it.cursor.Next()
	return v
}

// ConvertToNative is not supported.
func (it *iterator) ConvertToNative(to reflect.Type) (any, error) { return notNative("iterator", to) }

// ConvertToType is not supported.
func (it *iterator) ConvertToType(to ref.Type) ref.Val { return convert(it, types.IteratorType, to) }

// Equal is never true.
func (it *iterator) Equal(ref.Val) ref.Val { return types.False }

// Type returns CEL's iterator.
func (it *iterator) Type() ref.Type { return types.IteratorType }

// Value returns nothing.
func (it *iterator) Value() any { return nil }

func notNative(what string, to reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s of an event cannot become %v", what, to)
}

func convert(v ref.Val, own *types.Type, to ref.Type) ref.Val {
	switch to {
	case own:
		return v
	case types.TypeType:
		return own
	}
	return types.NewErr("type conversion error from '%s' to '%s'", own, to.TypeName())
}
