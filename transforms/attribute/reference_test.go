package attribute_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	gocmp "github.com/google/go-cmp/cmp"
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
	matched := []int{0, 1}
	if h.bought {
		matched[1] = 2
	}
	if h.clears() {
		matched = append(matched, 3)
	}
	return matched
}

func (h happening) clears() bool { return h.total == "7" && !h.bought }

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
	{Name: "views_in_an_hour", Kind: "counter", Event: "viewed", Window: minutes(60), Pane: minutes(15)},
	{Name: "revenue_in_an_hour", Kind: "sum", Event: "bought", Value: "properties.nested.total", Window: minutes(60), Pane: minutes(15)},
	{Name: "labels_in_an_hour", Kind: "distinct", Event: "any", Value: "properties.label", Window: minutes(60)},
	{Name: "label_in_an_hour", Kind: "last", Event: "any", Value: "properties.label", Window: minutes(60)},
	{Name: "views_today", Kind: "counter", Event: "viewed", Window: minutes(24 * 60), Zone: "Asia/Kathmandu"},
	{Name: "average_total", Kind: "average", Event: "bought", Value: "properties.nested.total"},
	{Name: "labels_most", Kind: "top", Event: "any", Value: "properties.label", MaxItems: 2},
	{Name: "label_most", Kind: "most_frequent", Event: "any", Value: "properties.label"},
	{Name: "minutes_since_purchase", Kind: "since_last", Event: "bought", Unit: "minute"},
	{Name: "session_start", Kind: "session_start", Event: "any", Session: minutes(30)},
	{Name: "session_seconds", Kind: "session_duration", Event: "any", Session: minutes(30)},
	{Name: "sessions_in_an_hour", Kind: "sessions", Event: "any", Session: minutes(30), Window: minutes(60)},
	{Name: "cart", Kind: "list", Event: "viewed", ID: "properties.label", DeleteItem: "bought", Clear: "cleared",
		Fields: attribute.Fields{{Name: "total", Aggregate: "sum", Value: "properties.nested.total"}}},
	{Name: "seen", Kind: "list", Event: "any", ID: "properties.label", MaxItems: 2, Window: minutes(90)},
}

var referenceEvents = map[string]attribute.EventRef{
	"any": {Index: 0, Meaning: "all"}, "viewed": {Index: 1, Meaning: "not bought"}, "bought": {Index: 2, Meaning: "bought"}, "cleared": {Index: 3, Meaning: "cleared"},
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
	windows(out, all, now)
	lists(out, all, now)
	out["revenue"], out["labels"], out["sessions"] = exact(revenue), fmt.Sprint(len(labels)), fmt.Sprint(sessions)
	return out
}

// windows computes what has a window or is about sessions, from sorted events.
func windows(out map[string]string, all []happening, now int64) {
	const minute = 60_000
	floor := func(t, unit int64) int64 { return t / unit } // all times are positive
	within := func(t, pane, panes int64) bool { return floor(t, pane*minute) > floor(now, pane*minute)-panes }
	views, today, hourSessions, lastEvent := 0, 0, 0, int64(-1<<60)
	revenue, total, totals := new(big.Rat), new(big.Rat), int64(0)
	labels, counts := map[string]bool{}, map[string]int{}
	out["label_in_an_hour"], out["label_most"], out["minutes_since_purchase"], out["average_total"] = "null", "null", "null", "null"
	zone, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		panic(err)
	}
	day := func(t int64) string { return time.UnixMilli(t).In(zone).Format(time.DateOnly) }
	first := int64(-1 << 60) // of the session under way
	counted := false         // whether that counts within the hour
	for _, h := range all {
		t := h.order.Time
		if t-lastEvent > 30*minute {
			first, counted = t, false
		}
		if lastEvent = t; t > now-60*minute && !counted {
			hourSessions, counted = hourSessions+1, true
		}
		if h.label != "" && h.label != "null" {
			counts[h.label]++
			if out["label_in_an_hour"] = "null"; now-t < 60*minute {
				out["label_in_an_hour"] = h.label
			}
			if within(t, 1, 60) {
				labels[h.label] = true
			}
		}
		if !h.bought {
			if within(t, 15, 4) {
				views++
			}
			if day(t) >= day(now) {
				today++
			}
			continue
		}
		out["minutes_since_purchase"] = fmt.Sprint(max(0, now-t) / minute)
		if h.total == "" {
			continue
		}
		r, _ := new(big.Rat).SetString(h.total)
		if total.Add(total, r); within(t, 15, 4) {
			revenue.Add(revenue, r)
		}
		totals++
	}
	if totals > 0 {
		text := total.Quo(total, big.NewRat(totals, 1)).FloatString(9)
		out["average_total"] = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
		if out["average_total"] == "-0" {
			out["average_total"] = "0"
		}
	}
	out["views_in_an_hour"], out["views_today"], out["revenue_in_an_hour"] = fmt.Sprint(views), fmt.Sprint(today), exact(revenue)
	out["labels_in_an_hour"], out["sessions_in_an_hour"] = fmt.Sprint(len(labels)), fmt.Sprint(hourSessions)
	out["session_start"], out["session_seconds"] = "null", "0"
	if len(all) > 0 && now-lastEvent <= 30*minute {
		out["session_start"], out["session_seconds"] = accumulator.TimeValue(first).String(), fmt.Sprint((lastEvent-first)/1000)
	}
	// true before numbers before texts, as values are ordered
	ranked := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		order := []string{"true", "1", "2.5", `"1"`, `"a"`, `"b"`}
		return cmp.Or(counts[b]-counts[a], slices.Index(order, a)-slices.Index(order, b))
	})
	var tops []string
	for i, label := range ranked {
		if i == 0 {
			out["label_most"] = label
		}
		if i < 2 {
			tops = append(tops, fmt.Sprintf(`{"value":%s,"count":%d}`, label, counts[label]))
		}
	}
	out["labels_most"] = "[" + strings.Join(tops, ",") + "]"
}

// lists plays the events of lists in order.
func lists(out map[string]string, all []happening, now int64) {
	type item struct {
		label string
		total *big.Rat
	}
	var cart []item
	type touch struct {
		label       string
		first, last event.Order
	}
	var seen []touch // least recently touched first
	for _, h := range all {
		if h.clears() { // of one order with what the event puts: it goes, too
			cart = nil
			if h.label == "" || h.label == "null" {
				continue
			}
		}
		if h.label == "" || h.label == "null" {
			continue
		}
		if i := slices.IndexFunc(seen, func(t touch) bool { return t.label == h.label }); i >= 0 {
			seen = slices.Delete(seen, i, i+1)
		}
		seen = append(seen, touch{h.label, event.Order{}, h.order})
		i := slices.IndexFunc(cart, func(i item) bool { return i.label == h.label })
		if h.bought {
			if i >= 0 {
				cart = slices.Delete(cart, i, i+1)
			}
			continue
		}
		if h.clears() {
			continue
		}
		if i < 0 {
			i, cart = len(cart), append(cart, item{h.label, new(big.Rat)})
		}
		if h.total != "" {
			r, _ := new(big.Rat).SetString(h.total)
			cart[i].total.Add(cart[i].total, r)
		}
	}
	var items []string
	for _, i := range cart {
		items = append(items, fmt.Sprintf(`{"id":%s,"total":%s}`, i.label, exact(i.total)))
	}
	out["cart"] = "[" + strings.Join(items, ",") + "]"

	overflow := ""
	kept := seen[max(0, len(seen)-2):]
	if len(seen) > 2 {
		overflow = " overflow=true approximate=false"
	}
	var alive []touch
	for _, k := range kept {
		for _, h := range all { // what is older than the last touch of three items is forgotten, what is older than the window does not count
			forgotten := len(seen) > 2 && h.order.Compare(seen[len(seen)-3].last) < 0
			if h.label == k.label && h.order.Time > now-90*60_000 && !forgotten {
				k.first = h.order
				alive = append(alive, k)
				break
			}
		}
	}
	slices.SortStableFunc(alive, func(a, b touch) int { return a.first.Compare(b.first) })
	items = nil
	for _, a := range alive {
		items = append(items, fmt.Sprintf(`{"id":%s}`, a.label))
	}
	out["seen"] = "[" + strings.Join(items, ",") + "]" + overflow
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
	results, err := set.Results(now, states, nil)
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
		for _, h := range all { // order times are bounded
			now = max(now, h.order.Time-accumulator.Ahead.Milliseconds())
		}
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
		if diff := gocmp.Diff(whole, merged); diff != "" {
			t.Fatalf("merged states differ from those of one cell:\n%s", diff)
		}
		if err := merged.Check(); err != nil {
			t.Fatal(err)
		}
		decoded, err := attribute.DecodeStates(merged.Append(nil))
		if err != nil || !gocmp.Equal(decoded, merged) {
			t.Fatalf("DecodeStates: %v %v", decoded, err)
		}
		if diff := gocmp.Diff(reference(all, now), answers(t, set, now, merged)); diff != "" {
			t.Fatalf("results (-reference +got):\n%s", diff)
		}
	})
}
