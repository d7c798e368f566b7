package arrivals_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
	gocmp "github.com/google/go-cmp/cmp"
)

const monthAttributes = `attributes:
  orders:         {kind: counter, event: purchased}
  revenue:        {kind: sum, event: purchased, value: properties.total}
  refunded:       {kind: sum, event: refunded, value: properties.total}
  returned:       {kind: sum, event: refunded, value: properties.quantity}
  average_order:  {kind: average, event: purchased, value: properties.total}
  products_seen:  {kind: distinct, event: viewed, value: properties.product_id}
  last_purchase:  {kind: last_time, event: purchased}
  top_category:   {kind: most_frequent, event: viewed, value: properties.category}
  revenue_7d:     {kind: sum, event: purchased, value: properties.total, window: 7d, pane: 1h}
  cart:           {kind: list, event: added, id: properties.product_id, fields: {quantity: sum}, delete_item: removed, clear: purchased}
`

// bought is an event of the month in the plainest reading.
type bought struct {
	order  event.Order
	Table  string
	Values struct {
		Type, Action, Category string
		Product                string `json:"product_id"`
		Total, Quantity        json.Number
	} `json:"properties"`
}

// Over a month of real invoices, with returns, negative quantities, late and repeated events, in a random order, every profile's attributes
// are those of its events computed one by one, to the penny.
func TestMonthOfAttributes(t *testing.T) {
	head, _, ok := bytes.Cut(shop.Segment, []byte("attributes:\n"))
	if !ok {
		t.Fatal("the shop has no attributes")
	}
	s, err := segment.Parse("segment.yaml", append(head, monthAttributes...))
	if err != nil {
		t.Fatal(err)
	}
	month, err := shop.NewMonth(shop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config()
	var inputs []*update.Input
	var now int64
	for e := range month.Events() {
		r := e.Record()
		r.Position = event.Position{Topic: "month", Offset: int64(len(inputs))}
		if in := config.Prepare(r); in.Rejected == nil {
			inputs = append(inputs, in)
			now = max(now, in.Event.Order.Time)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	// Receive times stay in order, for retries are known for an hour only: the order is random within the hour.
	for i := 0; i < len(inputs); i += 500 {
		part := inputs[i:min(i+500, len(inputs))]
		random.Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
	}
	docs := update.NewDocuments()
	counted := make([]bool, len(inputs))
	for i, in := range inputs {
		for {
			out, err := config.Step(docs, in, update.Epoch{})
			if err != nil {
				t.Fatal(err)
			}
			if out.Need.Empty() {
				counted[i] = !out.Duplicate
				break
			}
			for _, id := range out.Need.Identifiers {
				docs.Locate(id, profile.Key{})
			}
		}
	}
	events := map[*profile.Document][]bought{}
	for i, in := range inputs {
		if !counted[i] {
			continue
		}
		b := bought{order: in.Event.Order}
		if err := json.Unmarshal(in.Event.Raw, &b); err != nil {
			t.Fatal(err)
		}
		d := docs.Of(identity.NewID(config.Namespace, in.Identifiers[0]))
		events[d] = append(events[d], b)
	}
	folder := profile.Folder{Namespace: config.Namespace, Rules: config.Rules, Attributes: config.Attributes}
	customers, items := 0, 0
	for d, all := range events {
		view, err := folder.Fold(d, now)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, a := range view.Attributes {
			got[a.Name] = a.Value.String()
		}
		want := plainAttributes(all, now)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("profile of %v (-plain +stream):\n%s", d.Members, diff)
		}
		if want["orders"] != "0" {
			customers++
		}
		items += strings.Count(want["cart"], "id")
	}
	t.Logf("%d profiles, %d of them bought, %d items in carts", len(events), customers, items)
	if customers < 1000 || items < 1000 {
		t.Errorf("%d profiles bought, %d items are in carts", customers, items)
	}
}

func plainAttributes(all []bought, now int64) map[string]string {
	slices.SortFunc(all, func(a, b bought) int { return a.order.Compare(b.order) })
	revenue, week, refunded, returned := new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat)
	number := func(n json.Number) *big.Rat {
		r, ok := new(big.Rat).SetString(n.String())
		if !ok {
			panic(n)
		}
		return r
	}
	out := map[string]string{"average_order": "null", "last_purchase": "null", "top_category": "null"}
	orders := int64(0)
	products, categories := map[string]bool{}, map[string]int{}
	type item struct {
		id       string
		quantity *big.Rat
	}
	var cart []item
	for _, e := range all {
		switch v := e.Values; {
		case e.Table == shop.Orders && number(v.Total).Sign() > 0:
			orders++
			revenue.Add(revenue, number(v.Total))
			if hour := int64(3600_000); e.order.Time/hour > now/hour-7*24 {
				week.Add(week, number(v.Total))
			}
			out["last_purchase"] = accumulator.TimeValue(e.order.Time).String()
			cart = nil
		case e.Table == shop.Refunds:
			refunded.Add(refunded, number(v.Total))
			returned.Add(returned, number(v.Quantity))
		case e.Table == shop.PageView && v.Type == "product":
			products[v.Product] = true
			categories[v.Category]++
		case e.Table == shop.Cart:
			i := slices.IndexFunc(cart, func(i item) bool { return i.id == v.Product })
			switch {
			case v.Action == "remove" && i >= 0:
				cart = slices.Delete(cart, i, i+1)
			case v.Action == "add" && i >= 0:
				cart[i].quantity.Add(cart[i].quantity, number(v.Quantity))
			case v.Action == "add":
				cart = append(cart, item{v.Product, number(v.Quantity)})
			}
		}
	}
	if orders > 0 {
		out["average_order"] = shortest(new(big.Rat).Quo(revenue, big.NewRat(orders, 1)))
	}
	if len(categories) > 0 {
		top := slices.MinFunc(slices.Collect(maps.Keys(categories)), func(a, b string) int {
			return cmp.Or(categories[b]-categories[a], strings.Compare(a, b))
		})
		out["top_category"] = fmt.Sprintf("%q", top)
	}
	var items []string
	for _, i := range cart {
		items = append(items, fmt.Sprintf(`{"id":%q,"quantity":%s}`, i.id, shortest(i.quantity)))
	}
	out["cart"] = "[" + strings.Join(items, ",") + "]"
	out["orders"], out["products_seen"] = fmt.Sprint(orders), fmt.Sprint(len(products))
	out["revenue"], out["revenue_7d"], out["refunded"], out["returned"] = shortest(revenue), shortest(week), shortest(refunded), shortest(returned)
	return out
}

// shortest writes a number with at most nine digits after the point.
func shortest(r *big.Rat) string {
	text := strings.TrimSuffix(strings.TrimRight(r.FloatString(9), "0"), ".")
	if text == "-0" {
		return "0"
	}
	return text
}
