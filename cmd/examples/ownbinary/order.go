package main

import (
	"encoding/json"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/braidhq/braid/transforms/event"
)

func init() {
	register.Function2x0(explode)
	register.Emitter1[event.Draft]()
}

// orderLines is a transform of the prepare job: it takes a PCollection<event.Draft> with one draft for each record of the raw topics, and
// returns a PCollection<event.Draft> with one for each line of an order.
func orderLines(s beam.Scope, drafts beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("ownbinary.orderLines"), explode, drafts)
}

// order is what the shop's own system writes to raw.orders: JSON that knows nothing of events.
type order struct {
	Order    string            `json:"order"`
	Customer string            `json:"customer"`
	Lines    []json.RawMessage `json:"lines"` // {"sku": "85123A", "quantity": 6, "amount": 15.30}
}

// explode makes one event of each line. Of all of them the order's number is the ID, to which the prepare job adds that of the line:
// an order that the shop sends twice counts once. What is no order goes on as it is, and is rejected with its reason further on;
// an error would have the record tried again for ever.
func explode(d event.Draft, emit func(event.Draft)) {
	var o order
	if err := json.Unmarshal(d.Properties, &o); err != nil || o.Order == "" || o.Customer == "" {
		emit(d)
		return
	}
	d.Table, d.ID = "order_line", "order-"+o.Order
	d.Identifiers = event.Texts(map[string]string{"customer": o.Customer})
	for _, line := range o.Lines {
		d.Properties = line
		emit(d)
	}
}
