package simulation_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/cmd/steward/simulation"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
)

func parse(t *testing.T, keys string) *segment.Segment {
	t.Helper()
	s, err := segment.Parse("segment.yaml", []byte("segment: shop\nprofile_key: customer\nkeys: ["+keys+"]\ntables: {visits: }\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// simulate applies events, given by their identifiers, under two lists of keys.
func simulate(t *testing.T, now, then string, events ...map[string]string) *simulation.Difference {
	t.Helper()
	s := simulation.New(parse(t, now), parse(t, then))
	for i, identifiers := range events {
		r, err := event.New(event.Draft{ID: fmt.Sprint("e", i), Table: "visits", Time: int64(1_291_161_600_000 + i), Received: int64(1_291_161_600_000 + i), Identifiers: event.Texts(identifiers)})
		if err != nil {
			t.Fatal(err)
		}
		r.Position = event.Position{Topic: "events", Offset: int64(i)}
		if err := s.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	d, err := s.Difference(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

type ids = map[string]string

const plain = "{name: customer}, {name: email}, {name: cookie}"

func TestSameRulesChangeNothing(t *testing.T) {
	d := simulate(t, plain, plain, ids{"cookie": "a"}, ids{"customer": "1", "cookie": "a"}, ids{"customer": "2", "cookie": "a"}, ids{"cookie": "null"})
	if d.Merges+d.Splits+d.Lost+d.Gained != 0 || d.Now.Profiles != 2 || d.Now.Links != 1 || d.Now.Refused["known_junk"] != 0 || d.Now.Rejected["no_identifier"] != 1 {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff(d.Now, d.Then); diff != "" {
		t.Errorf("(-now +then):\n%s", diff)
	}
}

// An address that is blocked holds nobody together any more; one that is let in does.
func TestWhatSplitsAndMerges(t *testing.T) {
	blocked := "{name: customer}, {name: email, invalid_texts: [all@x.example]}, {name: cookie}"
	events := []ids{{"email": "all@x.example", "cookie": "a"}, {"email": "all@x.example", "cookie": "b"}, {"cookie": "b"}}
	d := simulate(t, plain, blocked, events...)
	split := simulation.Change{Name: "email:all@x.example", Identifiers: 2, Events: 3, Others: []string{"cookie:b", "cookie:a"}, Parts: 2}
	if len(d.Parting) == 1 {
		split.Profile = d.Parting[0].Profile
	}
	if diff := cmp.Diff([]simulation.Change{split}, d.Parting); diff != "" || d.Splits != 1 || d.Merges != 0 || d.Lost != 1 {
		t.Errorf("%+v (-want +got):\n%s", d, diff)
	}
	d = simulate(t, blocked, plain, events...)
	if d.Merges != 1 || d.Splits != 0 || d.Gained != 1 || d.Merging[0].Parts != 2 || d.Now.Refused["invalid_text"] != 2 {
		t.Errorf("%+v", d)
	}
}

// Very many changes are counted, and the largest listed.
func TestTheLargestAreListed(t *testing.T) {
	lower := "{name: customer, normalize: lower}, {name: cookie}"
	var events []ids
	for i := range 25 {
		events = append(events, ids{"customer": fmt.Sprintf("A%d", i)}, ids{"customer": fmt.Sprintf("a%d", i), "cookie": fmt.Sprint("c", i)})
		for range i {
			events = append(events, ids{"cookie": fmt.Sprint("c", i)})
		}
	}
	d := simulate(t, "{name: customer}, {name: cookie}", "{name: customer, normalize: lower}, {name: cookie}", events...)
	if d.Lost != 25 || d.Then.Profiles != 25 || d.Now.Profiles != 50 {
		t.Errorf("%+v", d)
	}
	other := "{name: cookie}, {name: customer, normalize: lower, invalid_regexp: 'a.*'}"
	d = simulate(t, lower, other, events...)
	if d.Splits != 0 || d.Lost != 25 {
		t.Errorf("%+v", d)
	}
	d = simulate(t, "{name: customer}, {name: email}", "{name: customer}, {name: email, invalid_texts: [x]}", append(events, many()...)...)
	if d.Splits != 0 {
		t.Errorf("%+v", d)
	}
	d = simulate(t, "{name: customer}, {name: email}, {name: cookie}", "{name: customer}, {name: email, invalid_regexp: '.*'}, {name: cookie}", many()...)
	if d.Splits != 15 || len(d.Parting) != simulation.Listed || d.Parting[0].Events < d.Parting[9].Events {
		t.Errorf("%+v", d)
	}
}

// many are 15 addresses with two browsers each, one busier than the next.
func many() (events []ids) {
	for i := range 15 {
		for range i + 1 {
			events = append(events, ids{"email": fmt.Sprint("m", i), "cookie": fmt.Sprint("x", i)}, ids{"email": fmt.Sprint("m", i), "cookie": fmt.Sprint("y", i)})
		}
	}
	return events
}
