package update_test

import (
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// shopStream makes the inputs of the shop's people, in one partition.
type shopStream struct {
	people *shop.People
	config *update.Config
	offset int64
}

func newShopStream(b *testing.B) *shopStream {
	b.Helper()
	s, err := segment.Parse("segment.yaml", shop.Segment)
	if err != nil {
		b.Fatal(err)
	}
	return &shopStream{people: shop.NewPeople(shop.PeopleOptions{People: 20_000}), config: s.Config()}
}

func (s *shopStream) record() event.Record {
	e := s.people.Next()
	r := e.Record()
	r.Position = event.Position{Topic: "braid.retail.events", Offset: s.offset}
	s.offset++
	return r
}

func (s *shopStream) inputs(b *testing.B, n int) []*update.Input {
	b.Helper()
	inputs := make([]*update.Input, n)
	for i := range inputs {
		if inputs[i] = s.config.Prepare(s.record()); inputs[i].Rejected != nil {
			b.Fatal(inputs[i].Rejected.Detail)
		}
	}
	return inputs
}

// inChunks runs apply over b.N events; they are made off the clock.
func (s *shopStream) inChunks(b *testing.B, apply func([]*update.Input)) {
	b.ReportAllocs()
	const chunk = 10_000
	for left := b.N; left > 0; left -= chunk {
		b.StopTimer()
		inputs := s.inputs(b, min(chunk, left))
		b.StartTimer()
		apply(inputs)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// One record read, identified and matched.
func BenchmarkPrepare(b *testing.B) {
	s := newShopStream(b)
	records := make([]event.Record, 10_000)
	for i := range records {
		records[i] = s.record()
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if in := s.config.Prepare(records[n%len(records)]); in.Rejected != nil {
			b.Fatal(in.Rejected.Detail)
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// One event folded into documents that are in memory already.
func BenchmarkStep(b *testing.B) {
	s := newShopStream(b)
	docs := update.NewDocuments()
	s.inChunks(b, func(inputs []*update.Input) {
		for _, in := range inputs {
			out, err := s.config.Step(docs, in, update.Epoch{})
			if err != nil {
				b.Fatal(err)
			}
			if out.Need.Empty() {
				continue
			}
			for _, id := range out.Need.Identifiers {
				docs.Locate(id, [16]byte{})
			}
			if _, err = s.config.Step(docs, in, update.Epoch{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One event of a bundle, with its share of the transaction.
func BenchmarkApply(b *testing.B) {
	stores := map[string]func(*testing.B) update.Store{
		"memory": func(*testing.B) update.Store { return memory.New() },
		"pebble": func(b *testing.B) update.Store {
			store, err := pebble.Open(b.TempDir(), pebble.Options{})
			if err != nil {
				b.Fatal(err)
			}
			return store
		},
	}
	for _, name := range []string{"memory", "pebble"} {
		for _, bundle := range []int{20, 500} {
			b.Run(name+"/bundle="+map[int]string{20: "20", 500: "500"}[bundle], func(b *testing.B) {
				s := newShopStream(b)
				store := stores[name](b)
				b.Cleanup(func() {
					if err := store.Close(); err != nil {
						b.Error(err)
					}
				})
				worker := update.NewWorker(s.config, store)
				s.inChunks(b, func(inputs []*update.Input) {
					for len(inputs) > 0 {
						n := min(bundle, len(inputs))
						if _, err := worker.Apply(b.Context(), inputs[:n]); err != nil {
							b.Fatal(err)
						}
						worker.Settle()
						inputs = inputs[n:]
					}
				})
			})
		}
	}
}
