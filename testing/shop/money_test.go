package shop_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/data"
	"github.com/braidhq/braid/testing/shop"
	"github.com/google/go-cmp/cmp"
)

// rows reads the invoices without the help of the package under test.
func rows(t testing.TB) [][]string {
	t.Helper()
	f, err := data.Open(data.Invoices)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

func amount(t testing.TB, quantity, price string) *big.Rat {
	t.Helper()
	q, okQ := new(big.Rat).SetString(quantity)
	p, okP := new(big.Rat).SetString(price)
	if !okQ || !okP {
		t.Fatalf("not a quantity and a price: %s, %s", quantity, price)
	}
	return q.Mul(q, p)
}

// sent is what the tests read back of an order or a refund.
type sent struct {
	Time        int64
	Identifiers map[string]string
	Properties  struct {
		Order    string `json:"order_id"`
		Refund   string `json:"refund_id"`
		Total    json.Number
		Quantity int
		Country  string
		Lines    []struct {
			SKU         string
			Description string
			Quantity    json.Number
			Price       json.Number
		}
	}
}

func TestEveryInvoiceLineIsReplayedToThePenny(t *testing.T) {
	want := map[string][]string{} // invoice -> lines
	totals := map[string]*big.Rat{}
	for _, r := range rows(t) {
		line := fmt.Sprint(r[1], "|", strings.TrimSpace(r[2]), "|", r[3], "|", amount(t, "1", r[5]).FloatString(2), "|", r[7])
		want[r[0]] = append(want[r[0]], line)
		if totals[r[0]] == nil {
			totals[r[0]] = new(big.Rat)
		}
		totals[r[0]].Add(totals[r[0]], amount(t, r[3], r[5]))
	}
	got := map[string][]string{}
	for _, e := range month(t) {
		if e.Table != shop.Orders && e.Table != shop.Refunds || e.Outcome == shop.Duplicate {
			continue
		}
		var s sent
		if err := json.Unmarshal(e.Value, &s); err != nil {
			t.Fatalf("%v: %s", err, e.Value)
		}
		number, sign := s.Properties.Order, ""
		if e.Table == shop.Refunds {
			number, sign = s.Properties.Refund, "-"
		}
		if _, again := got[number]; again {
			t.Errorf("invoice %s is replayed twice", number)
		}
		sum := new(big.Rat)
		for _, l := range s.Properties.Lines {
			quantity := strings.TrimPrefix(sign+l.Quantity.String(), "--")
			sum.Add(sum, amount(t, quantity, l.Price.String()))
			got[number] = append(got[number], fmt.Sprint(l.SKU, "|", l.Description, "|", quantity, "|", l.Price, "|", s.Properties.Country))
		}
		total := totals[number]
		if total == nil || sum.Cmp(total) != 0 {
			t.Errorf("invoice %s: its lines add up to %s", number, sum.FloatString(2))
			continue
		}
		if sign != "" {
			total = new(big.Rat).Neg(total)
		}
		if text := total.FloatString(2); s.Properties.Total.String() != text || e.Amount.String() != text {
			t.Errorf("invoice %s: total %s, amount %s, want %s", number, s.Properties.Total, e.Amount, text)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-invoices +events):\n%.2000s", diff)
	}
}

func TestRevenueOfCustomersEqualsTheInvoices(t *testing.T) {
	type sums struct{ revenue, refunded *big.Rat }
	invoices := map[string]map[string]bool{}
	money := map[string]*sums{}
	all := sums{new(big.Rat), new(big.Rat)} // of everybody who is a customer or a guest
	for _, r := range rows(t) {
		value := amount(t, r[3], r[5])
		refund := strings.HasPrefix(r[0], "C")
		if r[6] != "" || r[1] != "AMAZONFEE" && r[1] != "BANK CHARGES" {
			if refund {
				all.refunded.Sub(all.refunded, value)
			} else {
				all.revenue.Add(all.revenue, value)
			}
		}
		if r[6] == "" {
			continue
		}
		if money[r[6]] == nil {
			money[r[6]], invoices[r[6]] = &sums{new(big.Rat), new(big.Rat)}, map[string]bool{}
		}
		invoices[r[6]][r[0]] = true
		if refund {
			money[r[6]].refunded.Sub(money[r[6]].refunded, value)
		} else {
			money[r[6]].revenue.Add(money[r[6]].revenue, value)
		}
	}
	customers := slices.Sorted(maps.Keys(money))
	sort.SliceStable(customers, func(i, j int) bool { return len(invoices[customers[i]]) > len(invoices[customers[j]]) })

	truth := shop.NewTruth()
	for _, e := range month(t) {
		truth.Add(&e)
	}
	totals := truth.Totals()
	for rank, c := range customers {
		got := totals["customer_id:"+strconv.Itoa(rank+1)]
		if got.Revenue.String() != money[c].revenue.FloatString(2) || got.Refunded.String() != money[c].refunded.FloatString(2) {
			t.Errorf("user %d (customer %s): revenue %s, refunded %s, want %s, %s", rank+1, c, got.Revenue, got.Refunded,
				money[c].revenue.FloatString(2), money[c].refunded.FloatString(2))
		}
		if n := got.Orders + got.Refunds; n != len(invoices[c]) {
			t.Errorf("user %d (customer %s): %d invoices, want %d", rank+1, c, n, len(invoices[c]))
		}
	}
	var sum shop.Totals
	guests := map[string]int{} // profiles that are no customers of the invoices, by their key
	for who, total := range totals {
		sum.Revenue += total.Revenue
		sum.Refunded += total.Refunded
		key, value, _ := strings.Cut(who, ":")
		if n, err := strconv.Atoi(value); err != nil || n > len(customers) {
			guests[key]++
		}
	}
	if sum.Revenue.String() != all.revenue.FloatString(2) || sum.Refunded.String() != all.refunded.FloatString(2) {
		t.Errorf("all revenue %s, refunded %s, want %s, %s", sum.Revenue, sum.Refunded, all.revenue.FloatString(2), all.refunded.FloatString(2))
	}
	for _, key := range []string{"customer_id", "email", "cookie"} {
		if guests[key] < 10 {
			t.Errorf("%d guests are found by %s, want more", guests[key], key)
		}
	}
}
