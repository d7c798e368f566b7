package aggregate_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/batch/aggregate"
	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// archived is a record as the archive keeps it.
type archived struct {
	aggregate.Row
	epoch uint64
}

// archive is what the archive job keeps of a schedule.
func archive(config *update.Config, s arrivals.Schedule) []archived {
	var rows []archived
	for _, records := range s.Partitions {
		var epoch uint64
		for _, r := range records {
			in := config.Prepare(r)
			switch {
			case in.Marker != nil:
				if !in.Marker.Tick {
					epoch = max(epoch, in.Marker.Epoch)
				}
			case in.Rejected != nil || in.Ruling != nil:
			default:
				rows = append(rows, archived{aggregate.Row{
					Cell: profile.NewCell(config.Namespace, in.Identifiers).ID.String(), TopicID: uuid.UUID(r.TopicID),
					Partition: uint32(r.Partition), Offset: uint64(r.Offset), Appended: time.UnixMilli(r.Timestamp), Received: time.UnixMilli(in.Received),
					Seq: in.Event.Order.Seq, Source: in.Event.Source, Table: in.Event.Table, Raw: string(r.Value),
				}, epoch})
			}
		}
	}
	slices.SortFunc(rows, func(a, b archived) int {
		return cmp.Or(cmp.Compare(a.Cell, b.Cell), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return rows
}

// batch folds the rows of some epochs.
func batch(t *rapid.T, config *update.Config, rows []archived, from, to uint64, base map[identity.ID]snapshot.Cell) map[identity.ID]snapshot.Cell {
	f := aggregate.NewFolder(config, func(id identity.ID) profile.Seen { return slices.Clone(base[id].Seen) })
	all := map[identity.ID]snapshot.Cell{}
	keep := func(c *snapshot.Cell) {
		if c == nil {
			return
		}
		if _, twice := all[c.ID]; twice {
			t.Fatalf("cell %s comes twice", c.ID)
		}
		all[c.ID] = *c
	}
	for _, r := range rows {
		if r.epoch < from || r.epoch >= to {
			continue
		}
		done, err := f.Add(&r.Row)
		if err != nil {
			t.Fatal(err)
		}
		keep(done)
	}
	keep(f.Done())
	return all
}

// However the stream arrived, with retries, replays and epochs cut anywhere, the batch path counts the same events in each cell and
// epoch, all at once or epoch by epoch.
func TestBatchEqualsStream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		config, err := history.Config(rapid.SampledFrom([]identity.Policy{identity.KeepFirst, identity.MoveToLatest}).Draw(rt, "policy"))
		if err != nil {
			rt.Fatal(err)
		}
		records := slices.Concat(history.Draw(rt), history.DrawLinks(rt), history.DrawRulings(rt))
		schedule := arrivals.Draw(func(most int, what string) int { return rapid.IntRange(0, most-1).Draw(rt, what) }, records, arrivals.Options{})
		store := memory.New()
		var own []int
		for p := range schedule.Partitions {
			own = append(own, p)
		}
		consumer := arrivals.Consumer{Config: config, Store: store, Random: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)), Effects: func([]update.Effect) {}}
		if err := consumer.Consume(t.Context(), schedule, own); err != nil {
			rt.Fatal(err)
		}
		rows := archive(config, schedule)
		var last uint64
		for _, r := range rows {
			last = max(last, r.epoch)
		}
		cells := map[identity.ID]*profile.Cell{}
		for d, err := range update.NewReader(config, store).Documents(t.Context()) {
			if err != nil {
				rt.Fatal(err)
			}
			for _, c := range d.Cells {
				cells[c.ID] = c
				last = max(last, c.Floor)
			}
		}
		step := map[identity.ID]snapshot.Cell{}
		var from uint64
		for k := range last + 2 {
			whole := batch(rt, config, rows, 0, k, nil)
			if rapid.Bool().Draw(rt, "run "+strconv.FormatUint(k, 10)) {
				for id, delta := range batch(rt, config, rows, from, k, step) {
					step[id] = plus(rt, step[id], delta)
				}
				from = k
				same(rt, "delta by delta", step, whole)
			}
			for id, c := range cells {
				if k < c.Floor {
					continue
				}
				var want profile.Bucket
				for _, b := range c.Buckets {
					if b.Epoch < k {
						want = add(rt, want, b.Events, b.States)
					}
				}
				got := whole[id]
				if got.Events != want.Events || got.Events > 0 && string(got.States) != string(want.States.Append(nil)) {
					rt.Fatalf("cell %v before epoch %d: %d events %x, the stream has %d %x", c.Identifiers, k, got.Events, got.States, want.Events, want.States.Append(nil))
				}
			}
		}
	})
}

func add(t *rapid.T, b profile.Bucket, events uint64, states attribute.States) profile.Bucket {
	sum, err := attribute.Merge(b.States, states)
	if err != nil {
		t.Fatal(err)
	}
	return profile.Bucket{Events: b.Events + events, States: sum}
}

func plus(t *rapid.T, c, delta snapshot.Cell) snapshot.Cell {
	if c.States == nil {
		return delta
	}
	a, errA := attribute.DecodeStates(c.States)
	b, errB := attribute.DecodeStates(delta.States)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	sum := add(t, profile.Bucket{Events: c.Events, States: a}, delta.Events, b)
	return snapshot.Cell{ID: c.ID, Events: sum.Events, States: sum.States.Append(nil), Seen: delta.Seen}
}

func same(t *rapid.T, how string, got, want map[identity.ID]snapshot.Cell) {
	if len(got) != len(want) {
		t.Fatalf("%s: %d cells, want %d", how, len(got), len(want))
	}
	for id, w := range want {
		if g := got[id]; g.Events != w.Events || string(g.States) != string(w.States) {
			t.Fatalf("%s, cell %s: %d events %x, want %d %x", how, id, g.Events, g.States, w.Events, w.States)
		}
	}
}

// What the archive holds that no stream would have applied is an error that says where, never left out.
func TestFolderRefuses(t *testing.T) {
	config, err := history.Config(identity.KeepFirst)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]aggregate.Row{
		"no cell":  {Raw: `{"event_id":"e","table":"views","identifiers":{}}`},
		"no event": {Cell: identity.NewID("x", identity.Identifier{}).String(), Raw: `{`},
	} {
		if _, err := aggregate.NewFolder(config, nil).Add(&r); err == nil {
			t.Errorf("%s is folded", name)
		}
	}
}
