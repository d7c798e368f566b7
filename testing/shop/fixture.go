package shop

import "strconv"

// The fixture is a made-up person, and others like her, among the real invoices: whoever shows how history and the moment meet needs one
// of whom both are known. Her number is far beyond those of the real customers, and so is the product that the others bought and she
// did not.
const (
	FixtureCustomer = "9000000001"
	FixtureEmail    = "yoga.fixture@example.com"
	FixtureCookie   = "f1c70e00-0000-4000-8000-000000000001"
	FixtureOffer    = "Premium Yoga Mat"
)

// Fixture returns the events of the fixture, all at a moment (epoch milliseconds) that lies before the month: she logged in on her browser
// and bought a block and a strap for a good deal of money; five others bought these, and the mat.
func Fixture(at int64) []Event {
	var all []Event
	buyers := [][]string{{"Yoga Block", "Yoga Strap"}}
	for range 5 {
		buyers = append(buyers, []string{"Yoga Block", "Yoga Strap", FixtureOffer})
	}
	for i, items := range buyers {
		ids := Identifiers{Customer: strconv.Itoa(9_000_000_001 + i)}
		if i == 0 {
			ids[Email], ids[Cookie] = FixtureEmail, FixtureCookie
			all = append(all, fixture("fixture-login", Login, at, ids, []byte(`{"method":"password"}`), 0))
			ids[Email] = ""
		}
		total := Pence(520_000)
		var p object
		p.open("", '{')
		p.text("order_id", "fixture-"+strconv.Itoa(i))
		p.money("total", total)
		p.text("currency", "GBP")
		p.open("lines", '[')
		for _, item := range items {
			p.open("", '{')
			p.text("sku", item)
			p.text("description", item)
			p.integer("quantity", 1)
			p.close('}')
		}
		p.close(']')
		p.close('}')
		all = append(all, fixture("fixture-order-"+strconv.Itoa(i), Orders, at, ids, p.b, total))
	}
	return all
}

func fixture(id, table string, at int64, ids Identifiers, properties []byte, amount Pence) Event {
	e := draft{id: id, table: table, time: at, ids: ids, properties: properties}.event()
	e.Received, e.Source, e.Seq, e.Amount = at, sources[backend], 1, amount
	return *e
}
