package shop

import (
	"cmp"
	"container/heap"
	"iter"
	"math/rand/v2"
	"slices"
)

// Options of a Month. The zero value is the usual month.
type Options struct {
	// Seed decides everything that is not in the data; default 0.
	Seed uint64
	// Traffic multiplies the visits that lead to no invoice; default 1, which gives about 150,000 events in all.
	Traffic float64
	// Clean leaves out what goes wrong: retries, late events, wrong clocks, junk identifiers and broken events. The entries of the
	// shop's own books, which have no customer and must be rejected, stay.
	Clean bool
}

// Month is the event stream of one real month. It may be read several times, also concurrently.
type Month struct {
	options   Options
	invoices  []invoice
	users     []user
	catalogue *catalogue
	customers int     // so many users, from the first, are customers of the invoices
	sharing   []bool  // by half the rank: whether these two users share a browser
	visits    []visit // by start
}

// NewMonth reads the data and plans the visits.
func NewMonth(options Options) (*Month, error) {
	if options.Traffic <= 0 {
		options.Traffic = 1
	}
	m := &Month{options: options}
	var err error
	if m.invoices, err = readInvoices(); err != nil {
		return nil, err
	}
	if m.users, err = readUsers(); err != nil {
		return nil, err
	}
	if m.catalogue, err = readCatalogue(); err != nil {
		return nil, err
	}
	m.customers = len(rankCustomers(m.invoices))
	r := rand.New(rand.NewPCG(options.Seed, 1))
	m.sharing = make([]bool, len(m.users)/2)
	for i := range m.sharing {
		m.sharing[i] = r.IntN(20) == 0
	}
	m.visits = m.plan()
	slices.SortStableFunc(m.visits, func(a, b visit) int { return cmp.Compare(a.start, b.start) })
	return m, nil
}

// shares reports whether the user shares a browser with the neighbour in rank.
func (m *Month) shares(u int32) bool {
	i := int(u) / 2
	return i < len(m.sharing) && m.sharing[i]
}

// Events returns the events of the month, by receive time. The receive time of an event is its event time (a source with
// clock: source) unless it came late or the sender's clock is wrong.
func (m *Month) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		var open queue // events of the visits that have begun
		next := 0
		for next < len(m.visits) || len(open) > 0 {
			for next < len(m.visits) && (len(open) == 0 || m.visits[next].start <= open[0].Received) {
				for i, e := range m.perform(next) {
					heap.Push(&open, queued{Event: e, place: place{next, i}})
				}
				next++
			}
			if !yield(*heap.Pop(&open).(queued).Event) {
				return
			}
		}
	}
}

// Truth adds up the whole month.
func (m *Month) Truth() *Truth {
	t := NewTruth()
	for e := range m.Events() {
		t.Add(&e)
	}
	return t
}

// queue is a heap of events by receive time; events of the same millisecond leave it in the order in which they were made.
type queue []queued

type queued struct {
	*Event
	place
}

// place is where an event was made: in which visit and as which of its events.
type place struct{ visit, event int }

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].Received, q[j].Received), cmp.Compare(q[i].visit, q[j].visit), cmp.Compare(q[i].event, q[j].event)) < 0
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(queued)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = queued{}
	*q = (*q)[:last]
	return e
}
