package batch_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// What a batch run costs the real-time path: an event of somebody whose history is in a snapshot, with its share of the transaction.
func BenchmarkUnify(b *testing.B) {
	s, err := segment.Parse("segment.yaml", shop.Segment)
	if err != nil {
		b.Fatal(err)
	}
	for _, unified := range []bool{false, true} {
		b.Run(map[bool]string{false: "stream alone", true: "over a snapshot"}[unified], func(b *testing.B) {
			store, err := pebble.Open(filepath.Join(b.TempDir(), "store"), pebble.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			config := s.Config()
			people := shop.NewPeople(shop.PeopleOptions{People: 5_000})
			offset := int64(0)
			next := func(n int) (records []event.Record) {
				for e := range people.Events(n) {
					r := e.Record()
					r.Position = event.Position{Topic: "events", Offset: offset}
					offset++
					records = append(records, r)
				}
				return records
			}
			apply := func(config *update.Config, worker *update.Worker, records []event.Record) {
				for bundle := range slices.Chunk(records, 200) {
					inputs := make([]*update.Input, len(bundle))
					for i, r := range bundle {
						inputs[i] = config.Prepare(r)
					}
					if _, err := worker.Apply(b.Context(), inputs); err != nil {
						b.Fatal(err)
					}
					worker.Settle()
				}
			}
			apply(config, update.NewWorker(config, store), next(30_000))
			headers, value := event.Marker{Epoch: 1, Oldest: 1, Received: shop.PeopleOptions{}.Start}.Record()
			marker := event.Record{Position: event.Position{Topic: "events", Offset: offset}, Headers: headers, Value: value}
			offset++
			apply(config, update.NewWorker(config, store), []event.Record{marker})
			if unified {
				d, err := snapshot.Open(filepath.Join(b.TempDir(), "snapshots"))
				if err != nil {
					b.Fatal(err)
				}
				archive(b, d, config, store)
				config = config.WithHistories(d)
			}
			worker := update.NewWorker(config, store)
			b.ReportAllocs()
			for n := b.N; n > 0; {
				b.StopTimer()
				records := next(min(n, 20_000))
				b.StartTimer()
				apply(config, worker, records)
				n -= len(records)
			}
		})
	}
}

// archive publishes a snapshot of all that the store has.
func archive(b *testing.B, d *snapshot.Directory, config *update.Config, store update.Store) {
	b.Helper()
	var cells []snapshot.Cell
	for doc, err := range update.NewReader(config, store).Documents(context.Background()) {
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range doc.Cells {
			var states attribute.States
			for _, bucket := range c.Buckets {
				if states, err = attribute.Merge(states, bucket.States); err != nil {
					b.Fatal(err)
				}
			}
			cells = append(cells, snapshot.Cell{ID: c.ID, Events: c.Events(), States: states.Append(nil), Seen: c.Seen})
		}
	}
	slices.SortFunc(cells, func(a, b snapshot.Cell) int { return slices.Compare(a.ID[:], b.ID[:]) })
	draft, err := d.Next("retail", 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	err = draft.Whole(func(yield func(snapshot.Cell, error) bool) {
		for _, c := range cells {
			if !yield(c, nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := draft.Publish(time.Now()); err != nil {
		b.Fatal(err)
	}
}
