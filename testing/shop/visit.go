package shop

import (
	"math/rand/v2"
	"time"
)

// What the visits are planned between.
var (
	monthBegins = time.Date(2010, time.December, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	monthDays   = 23
)

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// channel is where a visit takes place.
type channel uint8

const (
	backend channel = iota // no visit at all: only the invoice
	web
	ios
	android
)

var sources = [...]string{backend: "backend", web: "web", ios: "ios", android: "android"}

// visit is one session as planned: its events are made when the stream gets there.
type visit struct {
	start, end int64   // epoch milliseconds; an invoice falls on the end
	user       int32   // rank of who it is, or -1 for a stranger with a browser nobody knows
	owner      int32   // rank of the user whose device it is
	invoice    int32   // index of the invoice it leads to, or -1
	channel    channel // where
	known      bool    // logged in from the beginning
	login      bool    // logs in on the way
	email      bool    // a guest's invoice carries an e-mail address
	cookie     bool    // a guest's invoice carries the browser's cookie
}

// busy is how visits spread over the hours of a day.
var busy = [24]int{1, 1, 0, 0, 0, 1, 2, 4, 6, 8, 9, 10, 11, 10, 9, 9, 8, 8, 9, 11, 12, 10, 6, 3}

// planner plans the visits of the month.
type planner struct {
	*rand.Rand
	m      *Month
	visits []visit
}

// plan returns the visits of the month, in no order.
func (m *Month) plan() []visit {
	p := &planner{Rand: rand.New(rand.NewPCG(m.options.Seed, 0)), m: m}
	p.invoices()
	p.users()
	for range p.times(20_000) {
		start := p.moment()
		p.add(visit{start: start, end: start + p.between(5*second, 3*minute), user: -1, owner: -1, invoice: -1, channel: web})
	}
	return p.visits
}

// invoices surrounds each invoice with visits of its customer.
func (p *planner) invoices() {
	guests := p.guests()
	rank := rankCustomers(p.m.invoices)
	var withEmail []int32 // guests that may cancel
	for i := range p.m.invoices {
		inv := &p.m.invoices[i]
		v := visit{start: inv.time, end: inv.time, invoice: int32(i), user: -1, owner: -1}
		switch {
		case inv.bookkeeping():
		case inv.customer != "":
			v.user = int32(rank[inv.customer])
			v.owner = v.user
		case inv.refund():
			v.user, v.email = withEmail[p.IntN(len(withEmail))], true
			v.owner = v.user
		default:
			v.user, guests = guests[0], guests[1:]
			v.owner = v.user
			kind := p.IntN(10)
			v.email, v.cookie = kind < 7, kind >= 4
			if v.email {
				withEmail = append(withEmail, v.user)
			}
		}
		if v.user >= 0 && !inv.refund() {
			p.around(&v, inv.customer != "")
		}
		p.add(v)
	}
}

// around makes v the visit that ends in the invoice and adds visits before and after it.
func (p *planner) around(v *visit, customer bool) {
	v.start = v.end - p.between(2*minute, 40*minute)
	v.channel = web
	if customer {
		v.channel = p.channel()
		v.known = p.percent(30)
		v.login = !v.known
		if v.channel == web && p.m.shares(v.user) && p.percent(30) {
			v.owner ^= 1
		}
	}
	for range p.IntN(4) {
		p.browse(v.user, v.start-p.between(2*hour, 5*day), false, customer && p.percent(15))
	}
	switch {
	case customer && p.percent(30): // a second device, and who it is comes to light
		p.browse(v.user, v.end+p.between(hour, 3*day), true, false)
	case !customer && p.percent(40): // the guest opens an account: the order becomes theirs
		p.browse(v.user, v.end+p.between(10*minute, 3*day), true, false)
		p.visits[len(p.visits)-1].channel = web
	}
}

// users lets every user browse; most do so a few times, some often, and many never say who they are.
func (p *planner) users() {
	for u := range int32(len(p.m.users)) {
		customer := int(u) < p.m.customers
		account := customer || p.m.shares(u) || p.percent(35)
		often := 1 + int(1.2/(p.Float64()+0.08))
		for range p.times(often) {
			p.browse(u, p.moment(), account && p.percent(25), account && p.percent(20))
			v := &p.visits[len(p.visits)-1]
			if v.channel == web && p.m.shares(u) && p.percent(40) {
				v.owner ^= 1 // on the computer of the other one
			}
		}
	}
}

// browse adds a visit that leads to no invoice.
func (p *planner) browse(u int32, start int64, login, known bool) {
	start = max(start, monthBegins+p.between(0, 8*hour))
	p.add(visit{
		start: start, end: start + p.between(20*second, 25*minute), user: u, owner: u, invoice: -1,
		channel: p.channel(), login: login, known: known && !login,
	})
}

func (p *planner) add(v visit) { p.visits = append(p.visits, v) }

func (p *planner) percent(n int) bool { return p.IntN(100) < n }

func (p *planner) between(from, to int64) int64 { return from + p.Int64N(to-from) }

// times scales a number of visits by the traffic asked for.
func (p *planner) times(n int) int {
	scaled := float64(n) * p.m.options.Traffic
	whole := int(scaled)
	if p.Float64() < scaled-float64(whole) {
		whole++
	}
	return whole
}

func (p *planner) channel() channel {
	switch n := p.IntN(100); {
	case n < 64:
		return web
	case n < 83:
		return ios
	default:
		return android
	}
}

// moment returns a time of the month at which somebody is likely to visit.
func (p *planner) moment() int64 {
	at := monthBegins + int64(p.IntN(monthDays))*day
	n := p.IntN(148)
	for h, weight := range busy {
		if n -= weight; n < 0 {
			return at + int64(h)*hour + p.Int64N(hour)
		}
	}
	return at + p.Int64N(day)
}

// guests returns users that are no customers in random order. Their identifiers are theirs alone, so that it is beyond doubt to
// whom a guest's order belongs once the guest has logged in.
func (p *planner) guests() []int32 {
	var all []int32
	for u := p.m.customers; u < len(p.m.users); u++ {
		if !p.m.users[u].sharesEmail && !p.m.shares(int32(u)) {
			all = append(all, int32(u))
		}
	}
	p.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}
