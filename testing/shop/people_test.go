package shop_test

import (
	"encoding/json"
	"testing"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/google/go-cmp/cmp"
)

func TestPeopleIsDecidedByTheSeed(t *testing.T) {
	digestOf := func(seed uint64) string {
		return digest(shop.NewPeople(shop.PeopleOptions{People: 100, Seed: seed}).Events(2000))
	}
	if first, again := digestOf(3), digestOf(3); first != again {
		t.Error("the same seed gave different events")
	}
	if digestOf(3) == digestOf(4) {
		t.Error("another seed gave the same events")
	}
}

func TestPeopleTotalsEqualAPlainRecount(t *testing.T) {
	type profile struct {
		ids           map[string]bool
		events, views int
		totals        shop.Totals
	}
	const people, events = 300, 6_000
	p := shop.NewPeople(shop.PeopleOptions{People: people})
	byID := map[string]*profile{}
	ids := map[string]bool{}
	last := int64(0)
	for e := range p.Events(events) {
		decoded, err := event.Decode(e.Record(), event.Limits{})
		if err != nil {
			t.Fatalf("%v: %s", err, e.Value)
		}
		if decoded.Received < last || ids[decoded.ID] || decoded.ID != e.ID || decoded.Table != e.Table {
			t.Fatalf("bad order, ID or table: %s", e.Value)
		}
		last, ids[decoded.ID] = decoded.Received, true
		merged := &profile{ids: map[string]bool{}}
		leading := ""
		for i, k := range shop.Keys {
			value := decoded.KeyField(k.Field).String()
			if value != e.Identifiers[i] {
				t.Fatalf("%s is %q, want %q", k.Field, value, e.Identifiers[i])
			}
			if value == "" {
				continue
			}
			id := k.Key + ":" + value
			if leading == "" {
				leading = id
			}
			old := byID[id]
			if old == nil {
				old = &profile{ids: map[string]bool{id: true}}
			}
			if old == merged {
				continue
			}
			merged.events += old.events
			merged.views += old.views
			merged.totals.Orders += old.totals.Orders
			merged.totals.Refunds += old.totals.Refunds
			merged.totals.Revenue += old.totals.Revenue
			merged.totals.Refunded += old.totals.Refunded
			for id := range old.ids {
				merged.ids[id] = true
				byID[id] = merged
			}
		}
		if leading != e.Key {
			t.Fatalf("record key is %q, want %q", e.Key, leading)
		}
		merged.events++
		var s sent
		if err := json.Unmarshal(e.Value, &s); err != nil {
			t.Fatal(err)
		}
		switch e.Table {
		case shop.PageView:
			merged.views++
		case shop.Orders:
			merged.totals.Orders++
			merged.totals.Revenue += e.Amount
		case shop.Refunds:
			merged.totals.Refunds++
			merged.totals.Refunded += e.Amount
		}
		if text := s.Properties.Total.String(); (e.Table == shop.Orders || e.Table == shop.Refunds) && text != e.Amount.String() {
			t.Fatalf("total is %s, want %s", text, e.Amount)
		}
	}
	distinct := map[*profile]bool{}
	for _, of := range byID {
		distinct[of] = true
	}
	sum := 0
	for total := range p.Totals() {
		of := byID[total.Key+":"+total.Value]
		if of == nil {
			t.Fatalf("no events for %s %s", total.Key, total.Value)
		}
		want := shop.ProfileTotals{Key: total.Key, Value: total.Value, Events: of.events, Views: of.views, Totals: of.totals}
		if diff := cmp.Diff(want, total); diff != "" {
			t.Errorf("totals (-recount +got):\n%s", diff)
		}
		sum += total.Events
	}
	if sum != events || p.Sent() != events {
		t.Errorf("totals cover %d events, Sent says %d, want %d", sum, p.Sent(), events)
	}
	if p.Profiles() != len(distinct) || len(distinct) < people {
		t.Errorf("%d profiles, want %d", p.Profiles(), len(distinct))
	}
}

func TestMixOfPeople(t *testing.T) {
	const events = 100_000
	p := shop.NewPeople(shop.PeopleOptions{People: 1000})
	tables := map[string]int{}
	bytes, anonymous, busiest := 0, 0, 0
	for e := range p.Events(events) {
		tables[e.Table]++
		bytes += len(e.Value)
		if e.Identifiers[shop.Customer] == "" {
			anonymous++
		}
	}
	for total := range p.Totals() {
		busiest = max(busiest, total.Events)
	}
	for _, c := range []struct {
		what             string
		got, least, most int
	}{
		{"bytes of an event", bytes / events, 270, 330},
		{"page views", tables[shop.PageView], events * 80 / 100, events * 84 / 100},
		{"cart events", tables[shop.Cart], events * 8 / 100, events * 10 / 100},
		{"log-ins", tables[shop.Login], events * 3 / 100, events * 5 / 100},
		{"orders", tables[shop.Orders], events * 4 / 100, events * 5 / 100},
		{"refunds", tables[shop.Refunds], events * 3 / 1000, events * 7 / 1000},
		{"anonymous", anonymous, events * 45 / 100, events * 70 / 100},
		{"events of the busiest", busiest, 10 * events / 1000, 50 * events / 1000},
	} {
		if c.got < c.least || c.got > c.most {
			t.Errorf("%s: %d, want %d to %d", c.what, c.got, c.least, c.most)
		}
	}
}

func BenchmarkPeople(b *testing.B) {
	p := shop.NewPeople(shop.PeopleOptions{})
	bytes := 0
	b.ReportAllocs()
	for b.Loop() {
		e := p.Next()
		bytes += len(e.Value)
	}
	b.ReportMetric(float64(p.Sent())/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(bytes)/float64(p.Sent()), "bytes/event")
}
