package shop

import (
	"math/rand/v2"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// session performs one visit.
type session struct {
	*rand.Rand
	m       *Month
	v       *visit
	ordinal int
	events  []*Event
	seq     uint64

	ids      Identifiers // of the device, and of the user once known
	junk     [5]string   // sent for an identifier that is missing in ids
	skew     int64       // how far the clock of the device is wrong
	delay    int64       // how long after the end of the visit its events arrive; 0 when they arrive at once
	identify bool        // whether events after the log-in carry the user
	agent    string      // user agent
	seen     *product    // looked at last
}

// perform returns the events of a visit, with what goes wrong.
func (m *Month) perform(ordinal int) []*Event {
	s := &session{Rand: rand.New(rand.NewPCG(m.options.Seed, uint64(ordinal)+2)), m: m, v: &m.visits[ordinal], ordinal: ordinal}
	v := s.v
	s.device()
	s.identify = v.known || s.percent(85)
	if v.known {
		s.ids[Customer] = m.users[v.user].ID
	}
	if !m.options.Clean {
		s.faults()
	}
	s.browse()
	if v.invoice >= 0 {
		s.invoice(&m.invoices[v.invoice])
		if v.channel != backend {
			for i := range int64(s.IntN(3)) { // is it on its way?
				s.page(v.end+20*second+i*s.between(second, minute), "order")
			}
		}
	}
	return s.events
}

// device sets what the device sends with every event.
func (s *session) device() {
	if s.v.owner < 0 {
		if s.v.channel == web {
			s.ids[Cookie] = s.uuid()
			s.agent = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"
		}
		return
	}
	on := &s.m.users[s.v.owner].Platforms
	switch s.v.channel {
	case web:
		s.ids[Cookie], s.agent = on.Web.AnonymousID, on.Web.UserAgent
	case ios:
		s.ids[Device], s.ids[Advertising], s.agent = on.IOS.AnonymousID, on.IOS.AdvertisingID, on.IOS.UserAgent
	case android:
		s.ids[Device], s.ids[Advertising], s.agent = on.Android.AnonymousID, on.Android.AdvertisingID, on.Android.UserAgent
	}
}

// browse performs the visit up to its end.
func (s *session) browse() {
	v := s.v
	if v.channel == backend {
		return
	}
	pages := 1 + min(s.IntN(12), s.IntN(12))
	if v.user < 0 {
		pages = 1 + s.IntN(2)
	}
	buys := v.invoice >= 0
	login := -1 // after this page
	switch {
	case v.login && buys:
		login = pages - 1
	case v.login:
		login = s.IntN(pages)
	}
	pause := (v.end - v.start) / int64(pages+1)
	for i := range pages {
		at := v.start + int64(i)*pause
		if i > 0 && pause > 1 {
			at += s.Int64N(pause / 2)
		}
		s.page(at, s.pageType(i))
		if s.seen != nil && (s.percent(12) || buys && (i == pages-1 || s.percent(25))) {
			s.cart(at + 1 + s.Int64N(pause/8+1))
		}
		if i == login {
			s.login(at + pause/2 + 1 + s.Int64N(pause/4+1))
		}
	}
}

func (s *session) pageType(i int) string {
	switch n := s.IntN(100); {
	case i == 0 && n < 40:
		return "home"
	case n < 15:
		return "category"
	case n < 20:
		return "search"
	}
	return "product"
}

func (s *session) page(at int64, kind string) {
	var p object
	p.open("", '{')
	p.text("type", kind)
	if kind == "product" || kind == "category" {
		var interests []string
		if s.v.user >= 0 {
			interests = s.m.users[s.v.user].interests
		}
		shown := s.m.catalogue.choose(s.Rand, interests)
		if kind == "product" {
			s.seen = shown
			shown.append(&p)
		} else {
			p.text("category", shown.Category)
		}
	}
	p.close('}')
	s.send(PageView, at, s.ids, p.b)
}

func (s *session) cart(at int64) {
	action := "add"
	if s.percent(8) {
		action = "remove"
	}
	var p object
	p.open("", '{')
	p.text("action", action)
	s.seen.append(&p)
	p.integer("quantity", 1+int64(min(s.IntN(6), s.IntN(6))))
	p.close('}')
	s.send(Cart, at, s.ids, p.b)
}

func (p *product) append(o *object) {
	o.text("product_id", p.ID)
	o.text("name", p.Name)
	o.text("category", p.Category)
	o.text("style", p.Style)
	o.money("price", p.price)
}

// login says who the user is; the events after it say so as well, if the site does.
func (s *session) login(at int64) {
	ids := s.ids
	ids[Customer], ids[Email] = s.m.users[s.v.user].ID, s.m.users[s.v.user].Email
	s.send(Login, at, ids, []byte(`{"method":"password"}`))
	if s.identify {
		s.ids[Customer] = ids[Customer]
	}
}

// send sends an event of the device.
func (s *session) send(table string, at int64, ids Identifiers, properties []byte) {
	d := draft{id: s.uuid(), table: table, time: at + s.skew, ids: ids, junk: s.junk, properties: properties}
	var c object
	c.open("", '{')
	c.text("platform", sources[s.v.channel])
	c.text("user_agent", s.agent)
	c.close('}')
	d.context = c.b
	e := d.event()
	e.Received, e.Source = at, sources[s.v.channel]
	if s.delay > 0 { // kept on the device, then sent at once
		e.Received = s.v.end + s.delay + int64(s.seq)
	}
	s.emit(e)
	s.breakOne(d, e)
}

// emit numbers an event and adds it, and sometimes the sender's retry.
func (s *session) emit(e *Event) {
	s.seq++
	e.Seq = s.seq
	s.events = append(s.events, e)
	if !s.m.options.Clean && e.Outcome == Applied && s.IntN(250) == 0 {
		retry := *e
		retry.Outcome = Duplicate
		retry.Received += s.between(second, 2*minute)
		s.events = append(s.events, &retry)
	}
}

func (s *session) percent(n int) bool { return s.IntN(100) < n }

func (s *session) between(from, to int64) int64 { return from + s.Int64N(to-from) }

// uuid returns a random-looking UUID (version 8) that the seed decides.
func (s *session) uuid() string { return uuid(s.Uint64(), s.Uint64()) }

// chance returns a number below n that the seed decides for a device for good.
func (s *session) chance(what string, n uint64) uint64 {
	return xxhash.Sum64String(what+strconv.FormatUint(s.m.options.Seed, 10)+s.ids[Device]+s.ids[Cookie]) % n
}
