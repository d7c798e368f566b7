package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/testing/shop"
	"github.com/twmb/franz-go/pkg/kgo"
)

// source sends the month. What it has sent is noted beside the data, so that the next run on the same directory goes on there.
type source struct {
	clock    *clock
	speed    float64 // seconds of the shop per second
	rate     float64 // events per second; 0: by speed
	note     string  // file
	next     func() (shop.Event, bool)
	upcoming *shop.Event

	mu     sync.Mutex
	truth  *shop.Truth // about all that was sent, in earlier runs too
	before int         // events that earlier runs sent
	queued int         // given to the producer in this run
	sent   int         // acknowledged in this run
	acked  map[int]bool
	prefix int // events from the first, of the month, that are all acknowledged
	failed error
}

type note struct {
	Sent int `json:"sent"` // events of the month that the broker has, from the first without a gap
}

func newSource(month *shop.Month, clock *clock, file string, o Options) (*source, error) {
	s := &source{clock: clock, speed: o.Speed, rate: o.Rate, note: file, truth: shop.NewTruth(), acked: map[int]bool{}}
	if s.speed <= 0 {
		s.speed = 60_000
	}
	var n note
	raw, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("what the demo sent before: %w", err)
	default:
		if err := json.Unmarshal(raw, &n); err != nil {
			return nil, fmt.Errorf("what the demo sent before, %s: %w", file, err)
		}
	}
	for _, e := range shop.Fixture(fixtureTime) {
		s.truth.Add(&e)
	}
	s.next, _ = iter.Pull(month.Events())
	for range n.Sent {
		e, ok := s.next()
		if !ok {
			break
		}
		s.truth.Add(&e)
		s.clock.set(e.Received)
	}
	s.before, s.prefix = n.Sent, n.Sent
	s.peek()
	if s.upcoming != nil {
		s.clock.set(s.upcoming.Received)
	}
	return s, nil
}

// fixtureTime is 45 days before the month's last events arrive.
var fixtureTime = time.Date(2010, time.November, 11, 0, 0, 0, 0, time.UTC).UnixMilli()

func (s *source) peek() {
	s.upcoming = nil
	if e, ok := s.next(); ok {
		s.upcoming = &e
	}
}

// run sends events until the month or the context ends, each when it is due, and returns when all are acknowledged. Before an event
// is sent it is shown to look.
func (s *source) run(ctx context.Context, n *node.Node, look func(context.Context, shop.Event)) error {
	options, err := n.Kafka().Options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(options, kgo.DefaultProduceTopic(n.Events()), kgo.ProducerLinger(2*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("producer: %w", err)
	}
	defer client.Close()
	if s.before == 0 {
		for _, e := range shop.Fixture(fixtureTime) {
			s.produce(ctx, client, e, func(err error) { s.fixtureSent(err) })
		}
	}
	pace := newPace(s.rate, s.speed)
	saved := time.Now()
	for number := s.before; s.upcoming != nil; number++ {
		e := *s.upcoming
		if !pace.wait(ctx, e.Received) {
			break
		}
		look(ctx, e)
		s.clock.set(e.Received)
		s.mu.Lock()
		s.truth.Add(&e)
		s.queued++
		s.mu.Unlock()
		s.produce(ctx, client, e, func(err error) { s.acknowledge(number, err) })
		s.peek()
		if time.Since(saved) > time.Second {
			if err := s.save(); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
	if err := client.Flush(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return s.save()
}

func (s *source) produce(ctx context.Context, client *kgo.Client, e shop.Event, done func(error)) {
	record := &kgo.Record{Key: []byte(e.Key), Value: e.Value}
	for _, h := range e.Headers() {
		record.Headers = append(record.Headers, kgo.RecordHeader(h))
	}
	client.Produce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) { done(err) })
}

// fixtureSent notes the acknowledgement of an event of the fixture.
func (s *source) fixtureSent(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = errors.Join(s.failed, err)
		return
	}
	s.queued, s.sent = s.queued+1, s.sent+1
}

func (s *source) acknowledge(number int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = errors.Join(s.failed, err)
		return
	}
	s.sent++
	s.acked[number] = true
	for s.acked[s.prefix] {
		delete(s.acked, s.prefix)
		s.prefix++
	}
}

// save notes how far the month was sent.
func (s *source) save() error {
	s.mu.Lock()
	n, failed := note{Sent: s.prefix}, s.failed
	s.mu.Unlock()
	if failed != nil {
		return fmt.Errorf("sending: %w", failed)
	}
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.note+".new", raw, 0o600); err != nil {
		return fmt.Errorf("noting what was sent: %w", err)
	}
	return os.Rename(s.note+".new", s.note)
}

// inFlight reports whether an event waits for its acknowledgement.
func (s *source) inFlight() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queued > s.sent
}

// Sent returns the events acknowledged in this run.
func (s *source) Sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// pace tells when an event is due: by its time, or so many a second.
type pace struct {
	rate, speed float64
	began       time.Time
	first       int64 // receive time of the first event
	events      int
}

func newPace(rate, speed float64) *pace { return &pace{rate: rate, speed: speed} }

// wait returns when the event is due, false when the context ended before.
func (p *pace) wait(ctx context.Context, received int64) bool {
	if p.events == 0 {
		p.began, p.first = time.Now(), received
	}
	due := time.Duration(float64(received-p.first) / p.speed * float64(time.Millisecond))
	if p.rate > 0 {
		due = time.Duration(float64(p.events) / p.rate * float64(time.Second))
	}
	p.events++
	ahead := due - time.Since(p.began)
	if ahead <= 500*time.Microsecond {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(ahead):
		return true
	}
}
