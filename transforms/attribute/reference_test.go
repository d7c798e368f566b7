package attribute_test

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// happening is one event of a random history, in the plain form that the reference works on.
type happening struct {
	order  event.Order
	total  string // JSON number or empty
	label  string // JSON scalar or empty
	bought bool   // matches event definition bought, else viewed; both match "any"
}

func (h happening) event() *event.Event {
	raw := `{"event_id":` + strconv.Quote(h.order.ID) + `,"properties":{"nested":{`
	if h.total != "" {
		raw += `"total":` + h.total
	}
	raw += `}`
	if h.label != "" {
		raw += `,"label":` + h.label
	}
	return &event.Event{ID: h.order.ID, Order: h.order, Raw: []byte(raw + `}}`)}
}

func (h happening) matched() []int {
	if h.bought {
		return []int{0, 2}
	}
	return []int{0, 1}
}

var referenceDefinitions = []attribute.Definition{
	{Name: "events", Kind: "counter", Event: "any"},
	{Name: "views", Kind: "counter", Event: "viewed", Value: "3"},
	{Name: "points", Kind: "counter", Event: "bought", Value: "properties.nested.total"},
	{Name: "views_this_session", Kind: "counter", Event: "viewed", Session: minutes(30)},
	{Name: "revenue", Kind: "sum", Event: "bought", Value: "properties.nested.total"},
	{Name: "cheapest", Kind: "min", Event: "bought", Value: "properties.nested.total"},
	{Name: "dearest", Kind: "max", Event: "bought", Value: "properties.nested.total"},
	{Name: "first_label", Kind: "first", Event: "any", Value: "properties.label"},
	{Name: "last_label", Kind: "single", Event: "any", Value: "properties.label"},
	{Name: "labels", Kind: "distinct", Event: "any", Value: "properties.label"},
	{Name: "sessions", Kind: "sessions", Event: "any", Session: minutes(30)},
	{Name: "first_purchase", Kind: "first_time", Event: "bought"},
	{Name: "last_purchase", Kind: "last_time", Event: "bought"},
}

var referenceEvents = map[string]attribute.EventRef{
	"any": {Index: 0, Meaning: "all"}, "viewed": {Index: 1, Meaning: "not bought"}, "bought": {Index: 2, Meaning: "bought"},
}

func minutes(n int64) attribute.Duration { return attribute.Duration(n * 60_000_000_000) }

// reference computes every answer in the plain way: sort all events, then look at the whole list.
func reference(all []happening, now int64) map[string]string {
	all = slices.SortedFunc(slices.Values(all), func(a, b happening) int { return a.order.Compare(b.order) })
	const gap = 30 * 60 * 1000
	out := map[string]string{"cheapest": "null", "dearest": "null", "first_label": "null", "last_label": "null", "first_purchase": "null", "last_purchase": "null"}
	views, points, sessions, sessionViews := 0, 0, 0, 0
	lastView, lastEvent := int64(-1<<60), int64(-1<<60)
	revenue := new(big.Rat)
	var totals []*big.Rat
	labels := map[string]bool{}
	for _, h := range all {
		if h.order.Time-lastEvent > gap {
			sessions++
		}
		lastEvent = h.order.Time
		if h.label != "" && h.label != "null" {
			labels[h.label] = true
			if out["first_label"] == "null" {
				out["first_label"] = h.label
			}
			out["last_label"] = h.label
		}
		if !h.bought {
			if h.order.Time-lastView > gap {
				sessionViews = 0
			}
			views, sessionViews, lastView = views+1, sessionViews+1, h.order.Time
			continue
		}
		at := accumulator.TimeValue(h.order.Time).String()
		if out["first_purchase"] == "null" {
			out["first_purchase"] = at
		}
		out["last_purchase"] = at
		if h.total != "" {
			r, _ := new(big.Rat).SetString(h.total)
			totals = append(totals, r)
			revenue.Add(revenue, r)
			if r.IsInt() && r.Sign() >= 0 {
				points += int(r.Num().Int64())
			}
		}
	}
	if now-lastView > gap {
		sessionViews = 0
	}
	if len(totals) > 0 {
		slices.SortFunc(totals, (*big.Rat).Cmp)
		out["cheapest"], out["dearest"] = exact(totals[0]), exact(totals[len(totals)-1])
	}
	out["events"], out["views"], out["points"], out["views_this_session"] = fmt.Sprint(len(all)), fmt.Sprint(3*views), fmt.Sprint(points), fmt.Sprint(sessionViews)
	out["revenue"], out["labels"], out["sessions"] = exact(revenue), fmt.Sprint(len(labels)), fmt.Sprint(sessions)
	return out
}

func exact(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	s := r.FloatString(2)
	if s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	return s
}

func answers(t interface{ Fatal(...any) }, set *attribute.Set, now int64, states attribute.States) map[string]string {
	results, err := set.Results(now, states)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range results {
		out[r.Name] = r.Value.String()
		if r.Overflow || r.Approximate {
			out[r.Name] += fmt.Sprintf(" overflow=%v approximate=%v", r.Overflow, r.Approximate)
		}
	}
	return out
}

func add(t interface{ Fatal(...any) }, set *attribute.Set, states attribute.States, h happening) attribute.States {
	states, _, err := set.Add(states, h.event(), h.matched())
	if err != nil {
		t.Fatal(err)
	}
	return states
}

// TestReference draws a history, tells it in another order to several cells, merges them in some order, and compares with the
// plain computation over the sorted list. The bytes must be those of one cell that saw all.
func TestReference(t *testing.T) {
	set, err := attribute.NewSet(referenceDefinitions, referenceEvents, attribute.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	const start = 1291161600000
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "n")
		all := make([]happening, n)
		for i := range all {
			all[i] = happening{
				order: event.Order{
					Time: start + rapid.Int64Range(0, 8).Draw(t, "quarters")*15*60*1000 + rapid.Int64Range(-2, 2).Draw(t, "ms"),
					Seq:  rapid.Uint64Range(0, 1).Draw(t, "seq"),
					ID:   "event-" + strconv.Itoa(i),
				},
				total:  rapid.SampledFrom([]string{"", "0", "12", "12.5", "-3.25", "0.01", "7"}).Draw(t, "total"),
				label:  rapid.SampledFrom([]string{"", "null", `"a"`, `"b"`, "true", "1", `"1"`, "2.5"}).Draw(t, "label"),
				bought: rapid.Bool().Draw(t, "bought"),
			}
		}
		now := start + rapid.Int64Range(0, 16).Draw(t, "now")*15*60*1000
		cells := make([]attribute.States, 3)
		var whole attribute.States
		for _, h := range rapid.Permutation(all).Draw(t, "arrival") {
			i := rapid.IntRange(0, 2).Draw(t, "cell")
			cells[i] = add(t, set, cells[i], h)
			whole = add(t, set, whole, h)
		}
		merged := attribute.States(nil)
		for _, c := range rapid.Permutation(cells).Draw(t, "merging") {
			if merged, err = attribute.Merge(merged, c); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(whole, merged); diff != "" {
			t.Fatalf("merged states differ from those of one cell:\n%s", diff)
		}
		if err := merged.Check(); err != nil {
			t.Fatal(err)
		}
		decoded, err := attribute.DecodeStates(merged.Append(nil))
		if err != nil || !cmp.Equal(decoded, merged) {
			t.Fatalf("DecodeStates: %v %v", decoded, err)
		}
		if diff := cmp.Diff(reference(all, now), answers(t, set, now, merged)); diff != "" {
			t.Fatalf("results (-reference +got):\n%s", diff)
		}
	})
}
