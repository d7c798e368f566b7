// Package history draws histories of events for tests: in goes a source of choices, out come the records of one history, with senders'
// retries in it or with clocks that are off, and the segment that they belong to.
package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"pgregory.net/rapid"
)

// Start is the receive time of the earliest event, epoch milliseconds.
const Start int64 = 1_700_000_000_000

// Config returns the segment of the histories: three keys, the cookie under the given policy, and an attribute of every kind.
func Config(cookie identity.Policy) (*update.Config, error) {
	return Guarded(identity.KeyRule{Name: "email"}, identity.KeyRule{Name: "cookie", Policy: cookie})
}

// Guarded is Config with rules of one's own for addresses and cookies, and in another order if need be.
func Guarded(keys ...identity.KeyRule) (*update.Config, error) {
	keys = slices.Clone(keys)
	for i := range keys {
		if keys[i].Name == "email" {
			keys[i].Normalize = identity.Normalization{Form: identity.Email}
		}
	}
	if !slices.ContainsFunc(keys, func(k identity.KeyRule) bool { return k.Name == "user_id" }) {
		keys = append([]identity.KeyRule{{Name: "user_id"}}, keys...)
	}
	rules, err := identity.NewRules(keys, "user_id")
	if err != nil {
		return nil, err
	}
	definitions := []filter.Definition{
		{Name: "viewed", Table: "views"},
		{Name: "ordered", Table: "orders", Where: "double(properties.total) > 5.0"},
	}
	events, err := filter.NewSet(definitions)
	if err != nil {
		return nil, err
	}
	refs := map[string]attribute.EventRef{}
	for i, d := range definitions {
		refs[d.Name] = attribute.EventRef{Index: i, Meaning: d.Table + " " + string(d.Where)}
	}
	session := attribute.Duration(30 * 60 * 1e9)
	attributes, err := attribute.NewSet([]attribute.Definition{
		{Name: "views", Kind: "counter", Event: "viewed"},
		{Name: "views_this_session", Kind: "counter", Event: "viewed", Session: session},
		{Name: "sessions", Kind: "sessions", Event: "viewed", Session: session},
		{Name: "first_category", Kind: "first", Event: "viewed", Value: "properties.category"},
		{Name: "last_category", Kind: "last", Event: "viewed", Value: "properties.category"},
		{Name: "categories", Kind: "distinct", Event: "viewed", Value: "properties.category"},
		{Name: "revenue", Kind: "sum", Event: "ordered", Value: "properties.total"},
		{Name: "smallest", Kind: "min", Event: "ordered", Value: "properties.total"},
		{Name: "largest", Kind: "max", Event: "ordered", Value: "properties.total"},
		{Name: "last_order", Kind: "last_time", Event: "ordered"},
	}, refs, attribute.Limits{})
	if err != nil {
		return nil, err
	}
	sources := []identity.Source{{Key: "user_id", Field: "user_id"}, {Key: "email", Field: "email"}, {Key: "cookie", Field: "cookie"}}
	return &update.Config{
		Namespace: "arrivals", Rules: rules, Events: events, Attributes: attributes,
		Tables: map[string][]identity.Source{"views": sources, "orders": sources},
	}, nil
}

// Draw draws the records of events, without positions. They cover either an hour with senders' retries in it, or a month with
// clocks that are off by months: a retry is known by its event ID for an hour of receive time only.
func Draw(t *rapid.T) []event.Record {
	retries := rapid.Bool().Draw(t, "retries")
	n := rapid.IntRange(1, 30).Draw(t, "events")
	var records []event.Record
	for i := range n {
		d := drawDraft(t, i)
		if retries {
			d.Received = Start + rapid.Int64Range(0, 20*60_000).Draw(t, "received")
			d.Time = Start - rapid.Int64Range(0, 60*60_000).Draw(t, "time")
		} else {
			d.Received = Start + rapid.Int64Range(0, 30*24*60*60_000).Draw(t, "received")
			d.Time = d.Received + rapid.SampledFrom([]int64{0, -500, -90_000, -3 * 3600_000, -8 * 24 * 3600_000, -300 * 24 * 3600_000, 600_000, 300 * 24 * 3600_000}).Draw(t, "skew")
		}
		records = append(records, mustRecord(d))
		if retries && rapid.IntRange(0, 4).Draw(t, "retry") == 0 {
			d.Received += rapid.Int64Range(0, 30*60_000).Draw(t, "again")
			records = append(records, mustRecord(d))
		}
	}
	return records
}

// DrawRulings draws the records of rulings about the identifiers of such a history.
func DrawRulings(t *rapid.T) []event.Record {
	var records []event.Record
	draw := func(label string) string {
		key := rapid.SampledFrom([]string{"user_id", "email", "cookie", "cookie"}).Draw(t, label+" key")
		return key + ":" + keyValue(key, rapid.IntRange(0, 3).Draw(t, label))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "rulings") {
		a, b := draw("a"), draw("b")
		if a == b {
			continue
		}
		kind := rapid.SampledFrom([]identity.RulingKind{identity.Unlink, identity.Forbid, identity.Unlink, identity.Forbid, identity.Allow}).Draw(t, "ruling")
		received := Start + rapid.Int64Range(-60*60_000, 30*60_000).Draw(t, "ruled")
		records = append(records, Ruling("r"+strconv.Itoa(i), received, kind, a, b))
	}
	return records
}

// DrawLinks draws the records of links that were found elsewhere, between identifiers of such a history.
func DrawLinks(t *rapid.T) []event.Record {
	var records []event.Record
	for i := range rapid.IntRange(1, 5).Draw(t, "links") {
		var ids []string
		for _, key := range []string{"user_id", "email", "cookie", "cookie"} {
			if v := rapid.IntRange(-2, 3).Draw(t, "linked "+key); v >= 0 {
				ids = append(ids, key+":"+keyValue(key, v))
			}
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) < 2 {
			continue
		}
		properties, err := json.Marshal(update.LinkProperties{Identifiers: ids, Origin: "test"})
		if err != nil {
			panic(err)
		}
		at := Start + rapid.Int64Range(-40*24*60*60_000, 30*60_000).Draw(t, "found")
		records = append(records, mustRecord(event.Draft{ID: "l" + strconv.Itoa(i), Table: update.TableLinks, Time: at, Received: at, Key: ids[0], Properties: properties}))
	}
	return records
}

// Ruling returns the record of a ruling about two identifiers, given as "key:value".
func Ruling(id string, received int64, kind identity.RulingKind, a, b string) event.Record {
	properties, err := json.Marshal(update.RulingProperties{Ruling: kind, A: a, B: b})
	if err != nil {
		panic(err)
	}
	return mustRecord(event.Draft{ID: id, Table: update.TableRulings, Time: received, Received: received, Key: a, Properties: properties})
}

// Link returns the record of an event that matters to no attribute and carries some identifiers.
func Link(id string, received int64, identifiers map[string]string) event.Record {
	return mustRecord(event.Draft{
		ID: id, Table: "orders", Time: received, Received: received, Identifiers: event.Texts(identifiers), Properties: json.RawMessage(`{"total":0}`),
	})
}

func drawDraft(t *rapid.T, i int) event.Draft {
	ids := map[string]string{}
	for _, key := range []string{"user_id", "email", "cookie"} { // in this order, so that a failure can be drawn again
		if v := rapid.IntRange(-1, map[string]int{"user_id": 2, "email": 2, "cookie": 3}[key]).Draw(t, key); v >= 0 {
			ids[key] = keyValue(key, v)
		}
	}
	if len(ids) == 0 {
		ids["cookie"] = keyValue("cookie", 0)
	}
	d := event.Draft{
		ID: "e" + strconv.Itoa(i), Table: "views", Identifiers: event.Texts(ids), Seq: rapid.Uint64Range(0, 2).Draw(t, "seq"),
		Properties: json.RawMessage(fmt.Sprintf(`{"category":"c%d"}`, rapid.IntRange(0, 3).Draw(t, "category"))),
	}
	for _, key := range []string{"user_id", "email", "cookie"} {
		if v, ok := ids[key]; ok {
			d.Key = key + ":" + v
			break
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "order") == 0 {
		d.Table = "orders"
		d.Properties = json.RawMessage(fmt.Sprintf(`{"total":%d.%02d}`, rapid.IntRange(-20, 50).Draw(t, "total"), rapid.IntRange(0, 99).Draw(t, "cents")))
	}
	return d
}

func keyValue(key string, v int) string {
	if key == "email" {
		return fmt.Sprintf("%c@example.com", 'a'+v)
	}
	return fmt.Sprintf("%s%d", key[:1], v)
}

func mustRecord(d event.Draft) event.Record {
	r, err := event.New(d)
	if err != nil {
		panic(err) // a fault of the generator
	}
	return r
}
