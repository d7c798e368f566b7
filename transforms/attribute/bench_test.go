package attribute_test

import (
	"fmt"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/tidwall/gjson"
)

// BenchmarkKinds measures each kind after 100 events of 20 sessions: folding one more in through a Set of only this definition,
// merging two such states, reading the answer; bytes is the size of the state.
func BenchmarkKinds(b *testing.B) {
	for _, d := range referenceDefinitions {
		d.Event = "any"
		set := newSet(b, d)
		history := func(from int) (states attribute.States) {
			for i := from; i < 200; i += 2 {
				states = add(b, set, states, benchmarkEvent(i))
			}
			return states
		}
		even, odd := history(0), history(1)
		if len(even) == 0 {
			b.Fatal("nothing folded")
		}
		more, matched := benchmarkEvent(201).decoded(b), []int{0}
		b.Run(d.Name+"_"+d.Kind+"/add", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := set.Add(even, more, matched); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(even[0].Data)), "bytes")
		})
		b.Run(d.Name+"_"+d.Kind+"/merge", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := attribute.Merge(even, odd); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(d.Name+"_"+d.Kind+"/result", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.Results(more.Order.Time, even, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkEvent(i int) happening {
	return happening{
		order:  event.Order{Time: 1291161600000 + int64(i)*40_000 + int64(i/10)*5_000_000, ID: fmt.Sprintf("018f2b7a-41b5-7c3e-9d10-%012x", i)},
		total:  fmt.Sprint(i % 50),
		label:  fmt.Sprintf(`"category-%d"`, i%30),
		bought: i%4 == 0,
	}
}

// decoded is the event as the pipeline has it, with its parts indexed.
func (h happening) decoded(b *testing.B) *event.Event {
	r, err := event.New(event.Draft{
		ID: h.order.ID, Table: "t", Time: h.order.Time, Received: h.order.Time,
		Identifiers: event.Texts(map[string]string{"user_id": "7", "anonymous_id": "018f2b7a"}),
		Properties:  []byte(gjson.GetBytes(h.event().Raw, "properties").Raw),
	})
	if err != nil {
		b.Fatal(err)
	}
	e, err := event.Decode(r, event.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	return &e
}

// BenchmarkSet folds events into all definitions at once and reads them all.
func BenchmarkSet(b *testing.B) {
	set := newSet(b, referenceDefinitions...)
	var states attribute.States
	for i := range 200 {
		states = add(b, set, states, benchmarkEvent(i))
	}
	size := len(states.Append(nil))
	for name, matched := range map[string][]int{"no match": nil, "view": {0, 1}, "purchase": {0, 2}} {
		b.Run(name, func(b *testing.B) {
			e := benchmarkEvent(201).decoded(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := set.Add(states, e, matched); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
	b.Run("results", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := set.Results(1291161600000, states, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
