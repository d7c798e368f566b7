package exact_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/exact"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// One event too few or too many is found, and so is a profile that nobody should have.
func TestCheck(t *testing.T) {
	s, err := segment.Parse("segment.yaml", shop.Segment)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		left  int                   // events that are not applied
		extra func(shop.Event) bool // the first event of others for which it holds is applied as well
		want  string
	}{
		{"exact", 0, nil, ""},
		{"one is missing", 1, nil, "sent were"},
		{"one too many", 0, func(e shop.Event) bool { return e.Identifiers[shop.Customer] != "" }, "sent were"},
		{"somebody too many", 0, func(e shop.Event) bool { return e.Identifiers[shop.Customer] == "" }, "are stored, there must be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := memory.New()
			worker := update.NewWorker(s.Config(), store)
			people, others := shop.NewPeople(shop.PeopleOptions{People: 20}), shop.NewPeople(shop.PeopleOptions{People: 20, Seed: 9})
			var inputs []*update.Input
			add := func(e shop.Event) {
				r := e.Record()
				r.Position, r.TopicID = event.Position{Topic: "events", Offset: int64(len(inputs))}, [16]byte{1}
				inputs = append(inputs, s.Config().Prepare(r))
			}
			for e := range people.Events(500) {
				add(e)
			}
			inputs = inputs[:len(inputs)-c.left]
			for c.extra != nil {
				if e := others.Next(); c.extra(e) {
					add(e)
					break
				}
			}
			if _, err := worker.Apply(t.Context(), inputs); err != nil {
				t.Fatal(err)
			}
			events, err := exact.Check(t.Context(), people, update.NewReader(s.Config(), store), inputs[0].Received)
			if c.want != "" {
				if !errors.Is(err, exact.ErrWrong) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want one with %q", err, c.want)
				}
				return
			}
			total := 0
			for _, n := range events {
				total += n
			}
			if err != nil || total != 500 || len(events) != people.Profiles() {
				t.Errorf("%d events in %d profiles, %v", total, len(events), err)
			}
		})
	}
}
