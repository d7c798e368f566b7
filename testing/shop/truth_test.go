package shop_test

import (
	"math/rand/v2"
	"testing"

	"github.com/braidhq/braid/testing/shop"
	"github.com/google/go-cmp/cmp"
)

func TestTruthFindsTheOwnerOfGuestOrders(t *testing.T) {
	order := func(amount shop.Pence, ids shop.Identifiers) shop.Event {
		return shop.Event{Table: shop.Orders, Amount: amount, Identifiers: ids}
	}
	login := func(ids shop.Identifiers) shop.Event { return shop.Event{Table: shop.Login, Identifiers: ids} }
	events := []shop.Event{
		order(100, shop.Identifiers{shop.Cookie: "c1"}),
		order(20, shop.Identifiers{shop.Email: "ann@example.com", shop.Cookie: "c1"}),
		login(shop.Identifiers{shop.Customer: "1", shop.Email: "ann@example.com"}),
		{Table: shop.Refunds, Amount: 5, Identifiers: shop.Identifiers{shop.Customer: "1"}},
		order(7, shop.Identifiers{shop.Email: "bob@example.com"}),
		order(9, shop.Identifiers{shop.Customer: "2", shop.Cookie: "c2"}),
		order(3, shop.Identifiers{shop.Customer: "3", shop.Cookie: "c2"}), // c2 is shared: the customers stay two
		order(0, shop.Identifiers{shop.Customer: "3"}),                    // free of charge: no purchase
		{Table: shop.Orders, Amount: 50, Outcome: shop.Rejected, Reason: "no_identifier"},
		{Table: shop.Orders, Amount: 100, Outcome: shop.Duplicate, Identifiers: shop.Identifiers{shop.Cookie: "c1"}},
	}
	want := map[string]shop.Totals{
		"customer_id:1":         {Orders: 2, Revenue: 120, Refunds: 1, Refunded: 5},
		"email:bob@example.com": {Orders: 1, Revenue: 7},
		"customer_id:2":         {Orders: 1, Revenue: 9},
		"customer_id:3":         {Orders: 1, Revenue: 3},
	}
	for round := range 20 {
		truth := shop.NewTruth()
		for _, i := range rand.New(rand.NewPCG(uint64(round), 0)).Perm(len(events)) {
			truth.Add(&events[i])
		}
		if diff := cmp.Diff(want, truth.Totals()); diff != "" {
			t.Fatalf("order of arrival %d: totals (-want +got):\n%s", round, diff)
		}
		if truth.Events != 10 || truth.Applied != 8 || truth.Duplicates != 1 || truth.RejectedTotal() != 1 {
			t.Errorf("counts: %+v", truth)
		}
	}
}

func TestPence(t *testing.T) {
	for p, want := range map[shop.Pence]string{0: "0.00", 5: "0.05", 120: "1.20", -1205: "-12.05", 1354133: "13541.33", -7: "-0.07"} {
		if got := p.String(); got != want {
			t.Errorf("Pence(%d) is %s, want %s", int64(p), got, want)
		}
	}
}
