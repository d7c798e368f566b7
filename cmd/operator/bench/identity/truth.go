package identity

import (
	"context"
	"slices"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

const bundle = 500

// judge sends a month through the core and compares who belongs together with whose the identifiers are.
func (r *Report) judge(ctx context.Context, s *segment.Segment, o Options) error {
	month, err := shop.NewMonth(shop.Options{Traffic: o.Traffic})
	if err != nil {
		return err
	}
	config, store := s.Config(), memory.New()
	defer store.Close()
	worker := update.NewWorker(config, store)
	truth := newTruth(month.Owners())
	var inputs []*update.Input
	apply := func() error {
		_, err := worker.Apply(ctx, inputs)
		worker.Settle()
		inputs = inputs[:0]
		return err
	}
	for e := range month.Events() {
		record := e.Record()
		record.Position = event.Position{Topic: "bench", Offset: int64(r.Events)}
		r.Events++
		in := config.Prepare(record)
		if inputs = append(inputs, in); len(inputs) == bundle {
			if err := apply(); err != nil {
				return err
			}
		}
		if e.Outcome != shop.Rejected {
			truth.see(in)
		}
	}
	if err := apply(); err != nil {
		return err
	}
	together := map[string]int{}
	for d, err := range update.NewReader(config, store).Documents(ctx) {
		if err != nil {
			return err
		}
		r.Profiles++
		var known []string
		for _, m := range d.Members {
			if name := m.String(); truth.owners[name] != nil {
				known = append(known, name)
				together[name] = r.Profiles
			}
		}
		truth.judgeProfile(known)
	}
	truth.judgePersons(together)
	r.Identifiers = len(together)
	r.WrongPairs, r.MissedPairs = truth.wrong, truth.missed
	r.Precision = part(truth.right, truth.wrong)
	r.Recall = part(truth.found, truth.missed)
	done, err := update.Recheck(ctx, config, store, nil)
	for _, n := range done.Changes {
		r.Corrections += n
	}
	return err
}

func part(good, bad int) float64 {
	if good+bad == 0 {
		return 1
	}
	return float64(good) / float64(good+bad)
}

// truth is whose the identifiers are, and which of them events connect.
type truth struct {
	owners  map[string][]int
	up      map[string]string // towards the one that stands for all that are connected and of one owner
	persons map[int][]string  // seen identifiers that only one person owns

	right, wrong, found, missed int // pairs
}

func newTruth(owners map[string][]int) *truth {
	return &truth{owners: owners, up: map[string]string{}, persons: map[int][]string{}}
}

// see notes what an event connects: identifiers that belong to one and the same person only.
func (t *truth) see(in *update.Input) {
	by := map[int]string{}
	for _, id := range in.Identifiers {
		name := id.String()
		if len(t.owners[name]) != 1 {
			continue
		}
		owner := t.owners[name][0]
		if _, seen := t.up[name]; !seen {
			t.up[name] = name
			t.persons[owner] = append(t.persons[owner], name)
		}
		if other, ok := by[owner]; ok {
			t.up[t.root(name)] = t.root(other)
		}
		by[owner] = name
	}
}

func (t *truth) root(name string) string {
	for t.up[name] != name {
		name = t.up[name]
	}
	return name
}

// judgeProfile counts the pairs within a profile that have an owner in common, and those that have not.
func (t *truth) judgeProfile(names []string) {
	for i, a := range names {
		for _, b := range names[:i] {
			if slices.ContainsFunc(t.owners[a], func(o int) bool { return slices.Contains(t.owners[b], o) }) {
				t.right++
			} else {
				t.wrong++
			}
		}
	}
}

// judgePersons counts the connected pairs of a person that are in one profile, and those that are not.
func (t *truth) judgePersons(profile map[string]int) {
	for _, names := range t.persons {
		for i, a := range names {
			for _, b := range names[:i] {
				switch {
				case t.root(a) != t.root(b):
				case profile[a] == profile[b]:
					t.found++
				default:
					t.missed++
				}
			}
		}
	}
}
