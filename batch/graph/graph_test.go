package graph_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/braidhq/braid/batch/graph"
	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// summarize is what the archive's query makes of a schedule.
func summarize(config *update.Config, s arrivals.Schedule) (cells []graph.Cell, rulings []identity.Ruling) {
	places := map[identity.ID]int{}
	for _, records := range s.Partitions {
		for _, r := range records {
			in := config.Prepare(r)
			switch {
			case in.Marker != nil || in.Rejected != nil:
				continue
			case in.Ruling != nil:
				rulings = append(rulings, *in.Ruling)
				continue
			}
			c := profile.NewCell(config.Namespace, in.Identifiers)
			i, known := places[c.ID]
			if !known {
				i = len(cells)
				places[c.ID], cells = i, append(cells, graph.Cell{ID: c.ID, Identifiers: c.Identifiers, First: in.Event.Order, Last: in.Event.Order})
			}
			cells[i].First = slices.MinFunc([]event.Order{cells[i].First, in.Event.Order}, event.Order.Compare)
			cells[i].Last = slices.MaxFunc([]event.Order{cells[i].Last, in.Event.Order}, event.Order.Compare)
			cells[i].Events++
		}
	}
	return cells, rulings
}

// All of history settled at once gives the profiles that the stream has, each with its ID, its members and its events, whatever was ruled
// and imported.
func TestGraphEqualsStream(t *testing.T) {
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
		var want, got []string
		reader := update.NewReader(config, store)
		for d, err := range reader.Documents(t.Context()) {
			if err != nil {
				rt.Fatal(err)
			}
			if len(d.Cells) == 0 && reader.Folder().ID(d) == (identity.ID{}) {
				continue
			}
			cells := []string{}
			for _, c := range d.Cells {
				cells = append(cells, c.ID.String())
			}
			want = append(want, fmt.Sprint(reader.Folder().ID(d), d.Members, cells))
		}
		cells, rulings := summarize(config, schedule)
		groups := graph.Build(config, cells, rulings)
		for _, group := range groups {
			var members []identity.Identifier
			person := ""
			for _, m := range group.Members {
				if members = append(members, m.Identifier); m.Key == "user_id" {
					person = m.Value
				}
			}
			ids := []string{}
			for _, id := range group.Cells {
				ids = append(ids, id.String())
			}
			if person != group.Person {
				rt.Fatalf("person %q, want %q", group.Person, person)
			}
			got = append(got, fmt.Sprint(group.ID, members, ids))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("all of history gives\n%v\nthe stream\n%v", got, want)
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	config, err := history.Config(identity.MoveToLatest)
	if err != nil {
		b.Fatal(err)
	}
	const people, per = 100_000, 10 // ten browsers each: a million links
	var cells []graph.Cell
	for p := range people {
		for c := range per {
			set := []identity.Identifier{{Key: "cookie", Value: fmt.Sprint("c", p, "-", c)}, {Key: "user_id", Value: fmt.Sprint("u", p)}}
			n := profile.NewCell("arrivals", set)
			at := event.Order{Time: int64(p*per + c), ID: fmt.Sprint("e", p, c)}
			cells = append(cells, graph.Cell{ID: n.ID, Identifiers: n.Identifiers, First: at, Last: at, Events: 1})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if sum, err := graph.Each(config, cells, nil, func(graph.Group) error { return nil }); err != nil || sum.Groups != people {
			b.Fatal(sum, err)
		}
	}
	b.ReportMetric(float64(len(cells))*float64(b.N)/b.Elapsed().Seconds(), "links/s")
}
