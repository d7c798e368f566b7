package shop

import (
	"iter"
	"math/rand/v2"
	"strconv"
	"time"
)

// PeopleOptions say how many people do something, and how often.
type PeopleOptions struct {
	// People is how many there are; default 100,000.
	People int
	// Seed decides all that happens; default 0.
	Seed uint64
	// Start is the receive time of the first event in epoch milliseconds; default 2026-01-01T00:00:00Z.
	Start int64
	// PerSecond is how many events share a second of receive time; default 5,000.
	PerSecond int
}

// People is an endless stream of valid events of about 300 bytes. Each person has a browser and a phone, which nobody shares, and
// logs in on them sooner or later; some people do much more than others. It keeps account of what it made: see Totals. It is not
// safe for concurrent use.
type People struct {
	options PeopleOptions
	random  *rand.PCG
	persons []person
	sent    int
	pages   [][]byte // properties of page views
	carts   [][]byte // properties of cart events
}

// person is the account of one person; an index of 2 below is for the events led by the customer.
type person struct {
	views           [3]uint32 // by what led the event: browser, phone, customer
	events          [3]uint32
	orders, refunds uint32
	linked          [2]bool // whether the browser and the phone have been seen together with the customer
	revenue         Pence
	refunded        Pence
}

const leadCustomer = 2

// NewPeople returns the stream at its beginning.
func NewPeople(options PeopleOptions) *People {
	if options.People <= 0 {
		options.People = 100_000
	}
	if options.Start == 0 {
		options.Start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	}
	if options.PerSecond <= 0 {
		options.PerSecond = 5_000
	}
	p := &People{options: options, random: rand.NewPCG(options.Seed, 7), persons: make([]person, options.People)}
	categories := [...]string{"books", "apparel", "furniture", "beauty", "electronics", "outdoors", "groceries", "jewelry"}
	for i := range 1000 {
		var o object
		o.text("product_id", strconv.Itoa(100_000+i))
		o.text("category", categories[i*7%len(categories)])
		o.money("price", Pence(199+i*37%9_000))
		p.pages = append(p.pages, []byte(`{"type":"product",`+string(o.b)+`}`))
		p.carts = append(p.carts, []byte(`{"action":"add",`+string(o.b)+`,"quantity":1}`))
	}
	return p
}

// Next returns the next event.
func (p *People) Next() Event {
	r := p.random.Uint64()
	u := float64(r>>11) / (1 << 53)
	who := int(u * u * float64(len(p.persons))) // the n-th of them is as busy as one over the root of n
	is := &p.persons[who]
	r = p.random.Uint64()
	on, r := 0, r>>4
	if r%10 >= 7 {
		on = 1
	}
	r /= 10
	kind, r := int(r%1000), r/1000
	product := int(r % uint64(len(p.pages)))
	r /= uint64(len(p.pages))

	e := Event{Source: "web"}
	if on == 1 {
		e.Source = "android"
	}
	var properties []byte
	known, device, email := false, true, false
	switch {
	case kind < 820 || kind >= 995 && is.refunds >= is.orders:
		e.Table, properties = PageView, p.pages[product]
		known = is.linked[on] && r%10 < 4
	case kind < 910:
		e.Table, properties = Cart, p.carts[product]
		known = is.linked[on] && r%10 < 4
	case kind < 950:
		e.Table, properties = Login, []byte(`{"method":"password"}`)
		known, email = true, true
	default:
		e.Table, e.Amount = Orders, 100+Pence(r%20_000)
		known, email, device = true, true, on == 0
		if kind >= 995 {
			e.Table, device = Refunds, false
		}
		e.Source = "backend"
	}
	p.write(&e, who, on, known, device, email, properties)
	is.count(&e, on, known, device)
	p.sent++
	return e
}

// write gives the event its identifiers, key and value.
func (p *People) write(e *Event, who, on int, known, device, email bool, properties []byte) {
	e.Received = p.options.Start + int64(p.sent)*1000/int64(p.options.PerSecond)
	e.Time = e.Received
	e.Seq = uint64(p.sent) + 1
	e.ID = uuid(mix(p.options.Seed+e.Seq*0x9e3779b97f4a7c15), mix(e.Seq))
	key := Cookie - 2*on // Cookie or Device
	o := object{b: make([]byte, 0, 384)}
	o.b = append(o.b, `{"event_id":"`...)
	o.b = append(o.b, e.ID...)
	o.b = append(o.b, `","table":"`...)
	o.b = append(o.b, e.Table...)
	o.b = append(o.b, `","time":`...)
	o.b = strconv.AppendInt(o.b, e.Time, 10)
	o.b = append(o.b, `,"identifiers":{`...)
	if known {
		e.Key = Keys[Customer].Key + ":" + p.Identifier(who, Customer)
		e.Identifiers[Customer] = e.Key[len(Keys[Customer].Key)+1:]
		o.plain("user_id", e.Identifiers[Customer])
	}
	if email {
		e.Identifiers[Email] = p.Identifier(who, Email)
		o.plain("email", e.Identifiers[Email])
	}
	if device {
		e.Identifiers[key] = p.Identifier(who, key)
		o.plain(Keys[key].Field, e.Identifiers[key])
	}
	if !known {
		e.Key = Keys[key].Key + ":" + e.Identifiers[key]
	}
	o.b = append(o.b, `},"properties":`...)
	if properties != nil {
		o.b = append(o.b, properties...)
	} else {
		o.b = append(o.b, `{"total":`...)
		o.b = e.Amount.append(o.b)
		o.b = append(o.b, `,"currency":"GBP","country":"United Kingdom"}`...)
	}
	o.b = append(o.b, `,"context":{"platform":"`...)
	o.b = append(o.b, e.Source...)
	e.Value = append(o.b, `","user_agent":"Mozilla/5.0"}}`...)
}

// plain appends a member whose value needs no escapes.
func (o *object) plain(name, value string) {
	o.name(name)
	o.b = append(o.b, '"')
	o.b = append(o.b, value...)
	o.b = append(o.b, '"')
}

// Identifier returns an identifier of the person with the given number, from 0: its Customer, Email, Device or Cookie.
func (p *People) Identifier(who, key int) string {
	switch n := uint64(who) + 1; key {
	case Customer:
		return strconv.FormatUint(n, 10)
	case Email:
		return "p" + strconv.FormatUint(n, 10) + "@example.com"
	case Device, Cookie:
		a := mix(p.options.Seed ^ n<<3 ^ uint64(key))
		return uuid(a, mix(a+n))
	}
	return ""
}

// Sent returns how many events there have been.
func (p *People) Sent() int { return p.sent }

// Events returns the next n events; it stops early without losing one.
func (p *People) Events(n int) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for range n {
			if !yield(p.Next()) {
				return
			}
		}
	}
}

// mix is a bijection that scatters its values (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
