package transforms_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/event"
)

func visit(offset, after int64, card string) event.Record {
	return record(offset, after, fmt.Sprintf(`{"event_id":"e%d","table":"visits","identifiers":{"card":%q}}`, offset, card))
}

// A profile that changes often is published once a second of the stream's clock, which ticks move when no event does.
func TestAdvancePublishesWhenTheClockOfTheStreamSaysSo(t *testing.T) {
	const store = "memory:advance"
	apply(t, store, visit(0, 0, "7"))
	held := published(apply(t, store, visit(1, 400, "7"), visit(2, 700, "7")))
	if diff := cmp.Diff([]string{`braid.library.events/0/1 {"books":0,"visits":1}`}, held); diff != "" { // the first one, once more
		t.Error(diff)
	}
	b := newBasket(t)
	live := func() (drain func()) {
		return background(t, func(s beam.Scope) {
			beam.ParDo0(s, &collectFn{Basket: t.Name()}, transforms.Advance(s, library, store, libraryEvents))
		})
	}
	drain := live()
	defer drain()
	for _, r := range []event.Record{tick(3, 999), tick(4, 1000)} {
		run(t, func(s beam.Scope) {
			transforms.Update(s, library, store, transforms.Decode(s, library, beam.Create(s, r)))
		})
	}
	b.wait(t)
	drain()
	effects := b.take()
	got := published(effects)
	if len(got) != 1 || len(effects) != 1 || !strings.HasPrefix(got[0], "due/") || !strings.HasSuffix(got[0], `/0 {"books":0,"visits":3}`) {
		t.Fatalf("%q of %d effects", got, len(effects))
	}

	// Nobody said that it was sent: the next life begins with it, under the same ID.
	drain = live()
	defer drain()
	b.wait(t)
	drain()
	if diff := cmp.Diff(effects, b.take()); diff != "" {
		t.Error(diff)
	}
}
