package filter

import (
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/tidwall/gjson"

	"github.com/braidhq/braid/transforms/event"
)

// activation gives CEL the variables of one event. It is reused, so that an evaluation allocates as little as possible.
type activation struct {
	event                            *event.Event
	budget                           budget
	properties, context, identifiers object
}

var activations = sync.Pool{New: func() any { return new(activation) }}

func (a *activation) reset(e *event.Event) {
	a.event = e
	a.budget = MaxRead
	a.properties, a.context, a.identifiers = object{}, object{}, object{}
}

// ResolveName returns the value of a variable.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "properties":
		return a.object(&a.properties, name), true
	case "context":
		return a.object(&a.context, name), true
	case "identifiers":
		return a.object(&a.identifiers, name), true
	case "time":
		return types.Timestamp{Time: time.UnixMilli(a.event.Time).UTC()}, true
	case "received":
		return types.Timestamp{Time: time.UnixMilli(a.event.Received).UTC()}, true
	case "table":
		return types.String(a.event.Table), true
	case "event_id":
		return types.String(a.event.ID), true
	}
	return nil, false
}

// object returns a top-level object of the event; one that is absent is empty.
func (a *activation) object(o *object, name string) *object {
	if o.json.Raw == "" {
		o.budget = &a.budget
		if o.json = a.event.Field(name); !o.json.IsObject() {
			o.json = gjson.Result{Type: gjson.JSON, Raw: "{}"}
		}
	}
	return o
}

// Parent returns nil: there is no outer scope.
func (a *activation) Parent() cel.Activation { return nil }

// budget is how many bytes of JSON an evaluation may still read. Looking a field up in a loop reads its object again each time, so
// without a bound a large event could take minutes.
type budget int

// spend reports whether n bytes may be read.
func (b *budget) spend(n int) bool {
	*b -= budget(n)
	return *b >= 0
}
