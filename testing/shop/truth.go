package shop

import "github.com/braidhq/braid/transforms/event"

// Totals are what the orders and refunds of one profile must add up to.
type Totals struct {
	Orders   int   // orders of more than zero
	Revenue  Pence // their sum
	Refunds  int
	Refunded Pence // sum of the refunds, above zero
}

// Truth is what must have become of the events added to it, in whatever order they arrive.
type Truth struct {
	Events     int                  // all of them
	Applied    int                  // those that count
	Duplicates int                  // retries, which change nothing
	Rejected   map[event.Reason]int // those that must be rejected
	Tables     map[string]int       // applied ones by table

	sums  map[node]Totals // by leading identifier
	joins map[node]node   // an identifier and another one it belongs to
}

// node is one identifier: the place of its key in Keys, and its value.
type node struct {
	key   int
	value string
}

// NewTruth returns the truth about no events.
func NewTruth() *Truth {
	return &Truth{Rejected: map[event.Reason]int{}, Tables: map[string]int{}, sums: map[node]Totals{}, joins: map[node]node{}}
}

// Add counts one event of a Month.
func (t *Truth) Add(e *Event) {
	t.Events++
	switch e.Outcome {
	case Duplicate:
		t.Duplicates++
		return
	case Rejected:
		t.Rejected[e.Reason]++
		return
	}
	t.Applied++
	t.Tables[e.Table]++
	var leading node
	for i, value := range e.Identifiers {
		switch n := (node{i, value}); {
		case value == "":
		case leading.value == "":
			leading = n
		default:
			t.join(leading, n)
		}
	}
	if e.Table == Orders || e.Table == Refunds {
		sum := t.sums[leading]
		sum.add(e)
		t.sums[leading] = sum
	}
}

func (s *Totals) add(e *Event) {
	switch {
	case e.Table == Refunds:
		s.Refunds++
		s.Refunded += e.Amount
	case e.Amount > 0:
		s.Orders++
		s.Revenue += e.Amount
	}
}

// RejectedTotal is how many events must be rejected.
func (t *Truth) RejectedTotal() int { return t.Events - t.Applied - t.Duplicates }

// Totals returns the totals of every profile with an order or a refund, by an identifier that finds it ("customer_id:7",
// "email:ann@example.com"): the customer's where there is one. What a guest bought belongs to the customer that logged in with the
// guest's e-mail or browser, be it later.
func (t *Truth) Totals() map[string]Totals {
	all := make(map[string]Totals, len(t.sums))
	for n, sum := range t.sums {
		root := t.root(n)
		key := Keys[root.key].Key + ":" + root.value
		total := all[key]
		total.Orders += sum.Orders
		total.Revenue += sum.Revenue
		total.Refunds += sum.Refunds
		total.Refunded += sum.Refunded
		all[key] = total
	}
	return all
}

// root returns the most identifying one of all identifiers that belong together with n.
func (t *Truth) root(n node) node {
	for {
		up, ok := t.joins[n]
		if !ok {
			return n
		}
		if upper, ok := t.joins[up]; ok {
			t.joins[n] = upper
		}
		n = up
	}
}

// join makes two identifiers belong together unless that would join two customers. Which of two customers a shared thing belongs to
// is for the identity rules to say; nothing that Totals counts hangs on it.
func (t *Truth) join(a, b node) {
	a, b = t.root(a), t.root(b)
	switch {
	case a == b || a.key == Customer && b.key == Customer:
	case b.key < a.key || b.key == a.key && b.value < a.value:
		t.joins[a] = b
	default:
		t.joins[b] = a
	}
}
