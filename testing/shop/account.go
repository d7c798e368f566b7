package shop

import "iter"

// ProfileTotals are what one profile of People must say once all events so far are applied.
type ProfileTotals struct {
	Key, Value string // an identifier that finds the profile: the customer's once known, else that of a browser or phone
	Events     int    // all events
	Views      int    // product pages
	Totals
}

// count books an event.
func (is *person) count(e *Event, on int, known, device bool) {
	lead := on
	if known {
		lead = leadCustomer
		is.linked[on] = is.linked[on] || device
	}
	is.events[lead]++
	switch e.Table {
	case PageView:
		is.views[lead]++
	case Orders:
		is.orders++
		is.revenue += e.Amount
	case Refunds:
		is.refunds++
		is.refunded += e.Amount
	}
}

// Totals returns what each profile must say after the events so far, person by person. A browser or phone on which its person has
// not logged in yet is a profile of its own.
func (p *People) Totals() iter.Seq[ProfileTotals] {
	return func(yield func(ProfileTotals) bool) {
		for who := range p.persons {
			is := &p.persons[who]
			customer := ProfileTotals{
				Key: Keys[Customer].Key, Value: p.Identifier(who, Customer),
				Events: int(is.events[leadCustomer]), Views: int(is.views[leadCustomer]),
				Totals: Totals{Orders: int(is.orders), Revenue: is.revenue, Refunds: int(is.refunds), Refunded: is.refunded},
			}
			for on, key := range [...]int{Cookie, Device} {
				switch {
				case is.linked[on]:
					customer.Events += int(is.events[on])
					customer.Views += int(is.views[on])
				case is.events[on] > 0:
					alone := ProfileTotals{
						Key: Keys[key].Key, Value: p.Identifier(who, key),
						Events: int(is.events[on]), Views: int(is.views[on]),
					}
					if !yield(alone) {
						return
					}
				}
			}
			if is.events[leadCustomer] > 0 && !yield(customer) {
				return
			}
		}
	}
}

// Profiles returns how many profiles there must be after the events so far.
func (p *People) Profiles() int {
	n := 0
	for range p.Totals() {
		n++
	}
	return n
}
