package demo

import (
	"context"
	"encoding/json"
	"time"

	"github.com/braidhq/braid/testing/shop"
)

// merge is one person's moment: profiles before the event that brought them together, and the one after it.
type merge struct {
	event   shop.Event
	browser view // anonymous
	known   view // the customer
	after   view
}

// What a visit must have had so that it is worth showing.
const (
	mergeEvents = 4    // events of the anonymous profile, and of the known one
	mergeFrom   = 2000 // events of the month after which one looks, so that there is a past
)

// watchMerge looks out for a log-in on a browser that looked around before, by a customer who is known already. The stream waits a
// moment before that event and after it, so that the profiles can be seen as they were.
func (s *show) watchMerge(ctx context.Context, e shop.Event) {
	if s.merge != nil {
		if m := s.merge; m.after.raw == nil && s.caughtUp(ctx) {
			m.after = s.view(ctx, "customer_id", m.event.Identifiers[shop.Customer])
		}
		return
	}
	if e.Table != shop.Login || e.Outcome != shop.Applied || s.source.Sent() < mergeFrom {
		return
	}
	customer, cookie := e.Identifiers[shop.Customer], e.Identifiers[shop.Cookie]
	if customer == "" || cookie == "" || !s.caughtUp(ctx) {
		return
	}
	browser, known := s.view(ctx, "cookie", cookie), s.view(ctx, "customer_id", customer)
	if browser.ID == known.ID || browser.Events < mergeEvents || known.Events < mergeEvents || browser.has("customer_id") {
		return
	}
	s.merge = &merge{event: e, browser: browser, known: known}
}

// caughtUp waits until all that was sent is applied; it gives up after a second.
func (s *show) caughtUp(ctx context.Context) bool {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if s.source.inFlight() {
			continue
		}
		if pending, err := s.pending(ctx); err == nil && pending == 0 {
			return true
		}
	}
	return false
}

// view is a profile with the fields that the demo looks at.
type view struct {
	ID          string `json:"profile_id"`
	Events      int    `json:"events"`
	Identifiers []struct{ Key, Value string }
	Attributes  map[string]json.RawMessage
	raw         json.RawMessage
}

// shown is an attribute as people read it.
func (v view) shown(attribute string) string {
	raw := v.Attributes[attribute]
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return text
	}
	return string(raw)
}

func (v view) has(key string) bool {
	for _, i := range v.Identifiers {
		if i.Key == key {
			return true
		}
	}
	return false
}

// view returns the profile of an identifier, an empty one when nobody has it.
func (s *show) view(ctx context.Context, key, value string) view {
	var v view
	doc, err := s.node.Reader().Find(ctx, key, value)
	if err != nil || doc == nil {
		return v
	}
	folded, err := s.node.Reader().Folder().Fold(doc, s.clock.Now().UnixMilli())
	if err != nil {
		return v
	}
	if v.raw, err = json.Marshal(folded); err != nil {
		return v
	}
	if err := json.Unmarshal(v.raw, &v); err != nil {
		return view{}
	}
	return v
}
