package shop_test

import (
	"fmt"
	"log"

	"github.com/braidhq/braid/testing/shop"
)

func ExampleNewMonth() {
	m, err := shop.NewMonth(shop.Options{Clean: true})
	if err != nil {
		log.Fatal(err)
	}
	truth := shop.NewTruth()
	for e := range m.Events() {
		truth.Add(&e)
		if e.Table == shop.Orders && e.Amount > 100_00 {
			fmt.Println("the first big order:", e.ID, e.Key, e.Amount)
			break
		}
	}
	fmt.Println("so far:", truth.Tables[shop.Orders], "order")

	best := m.Truth().Totals()["customer_id:1"]
	fmt.Println("user 1 in the month:", best.Orders, "orders,", best.Revenue, "revenue,", best.Refunds, "refunds")
	// Output:
	// the first big order: invoice-536365 customer_id:2 139.12
	// so far: 1 order
	// user 1 in the month: 35 orders, 4228.13 revenue, 2 refunds
}

func ExampleNewPeople() {
	p := shop.NewPeople(shop.PeopleOptions{People: 1000})
	for e := range p.Events(10_000) {
		_ = e.Record() // send it
	}
	for total := range p.Totals() {
		fmt.Printf("%s %s: %d views, %d orders, revenue %s\n", total.Key, total.Value, total.Views, total.Orders, total.Revenue)
		break
	}
	// Output:
	// customer_id 1: 247 views, 17 orders, revenue 1550.51
}
