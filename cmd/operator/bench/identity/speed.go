package identity

import (
	"fmt"
	"time"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// stage is the core with documents in memory, and no store.
type stage struct {
	config *update.Config
	docs   *update.Documents
	offset int64
}

func newStage(s *segment.Segment) *stage {
	return &stage{config: s.Config(), docs: update.NewDocuments()}
}

func (s *stage) prepare(e *shop.Event) *update.Input {
	record := e.Record()
	record.Position = event.Position{Topic: "bench", Offset: s.offset}
	s.offset++
	return s.config.Prepare(record)
}

// step folds an input in.
func (s *stage) step(in *update.Input) error {
	for {
		out, err := s.config.Step(s.docs, in, update.Epoch{})
		if err != nil || out.Need.Empty() {
			return err
		}
		for _, id := range out.Need.Identifiers {
			s.docs.Locate(id, profile.Key{})
		}
	}
}

// core measures the month.
func (r *Report) core(s *segment.Segment, o Options) error {
	month, err := shop.NewMonth(shop.Options{Traffic: o.Traffic})
	if err != nil {
		return err
	}
	at := newStage(s)
	var inputs []*update.Input
	for e := range month.Events() {
		if in := at.prepare(&e); in.Rejected == nil {
			inputs = append(inputs, in)
		}
	}
	began := time.Now()
	for _, in := range inputs {
		if err := at.step(in); err != nil {
			return err
		}
	}
	r.CoreEventsPerSecond = float64(len(inputs)) / time.Since(began).Seconds()
	return nil
}

// pageView returns an event of a customer, if it has one, and a browser.
func pageView(n, customer, browser int) *shop.Event {
	const start = 1_291_161_600_000
	e := &shop.Event{Received: start + int64(n)*1000, Table: shop.PageView, Source: "web", Seq: uint64(n)}
	who := ""
	if customer >= 0 {
		who = fmt.Sprintf(`"user_id":"%d",`, customer+1) // 0 is known junk
	}
	e.Value = fmt.Appendf(nil, `{"event_id":"v%d","table":"page_view","time":%d,"identifiers":{%s"anonymous_id":"%s"},"properties":{"type":"product","category":"books"}}`,
		n, e.Received, who, browserID(browser))
	return e
}

func browserID(n int) string { return fmt.Sprintf("c0ffee00-0000-4000-8000-%012d", n) }

const (
	treeSize = 200
	rounds   = 20_000
)

// trees measures events of people with many identifiers.
func (r *Report) trees(s *segment.Segment) error {
	at := newStage(s)
	n := 0
	view := func(customer, browser int) error {
		in := at.prepare(pageView(n, customer, browser))
		n++
		if in.Rejected != nil {
			return fmt.Errorf("bench identity: %s", in.Rejected.Detail)
		}
		return at.step(in)
	}
	for customer := range 2 {
		for b := range treeSize - 1 {
			if err := view(customer, customer*treeSize+b); err != nil {
				return err
			}
		}
	}
	micros := func(each func(i int) error) (float64, error) {
		began := time.Now()
		for i := range rounds {
			if err := each(i); err != nil {
				return 0, err
			}
		}
		return float64(time.Since(began).Microseconds()) / rounds, nil
	}
	var err error
	if r.TreeMicros, err = micros(func(i int) error { return view(0, i%(treeSize-1)) }); err != nil {
		return err
	}
	r.ContestMicros, err = micros(func(i int) error { return view(i%2, 7) })
	return err
}

// flood measures what an identifier costs that is seen with very many others, one event each. An event that carries only the
// identifier finds its profile in the end.
func flood(s *segment.Segment, others int, each func(i int) *shop.Event, last *shop.Event) (Flood, error) {
	f := Flood{Others: others}
	at := newStage(s)
	tenth := max(others/10, 1)
	began := time.Now()
	for i := range others {
		switch i {
		case tenth:
			f.FirstMicros = float64(time.Since(began).Microseconds()) / float64(tenth)
		case others - tenth:
			began = time.Now()
		}
		in := at.prepare(each(i))
		if in.Rejected != nil {
			return f, fmt.Errorf("bench identity: %s", in.Rejected.Detail)
		}
		if err := at.step(in); err != nil {
			return f, err
		}
	}
	f.LastMicros = float64(time.Since(began).Microseconds()) / float64(tenth)
	d := at.docs.Of(at.prepare(last).IDs[0])
	if d == nil {
		return f, fmt.Errorf("bench identity: nobody has the identifier that all others were seen with")
	}
	header, err := d.MarshalHeader()
	if err != nil {
		return f, err
	}
	f.DocumentBytes, f.Cells = len(header), len(d.Cells)
	for _, c := range d.Cells {
		row, err := c.Marshal()
		if err != nil {
			return f, err
		}
		f.DocumentBytes += len(row)
	}
	return f, nil
}
