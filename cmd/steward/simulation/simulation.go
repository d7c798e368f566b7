// Package simulation says what other rules would make of the events that were recorded: in go two segments and the topic of events, out
// come the profiles that would merge and split. All profiles are held in memory, twice.
package simulation

import (
	"cmp"
	"context"
	"slices"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// Outcome is what one set of rules makes of the events.
type Outcome struct {
	Events      int                      `json:"events"` // that count
	Profiles    int                      `json:"profiles"`
	Identifiers int                      `json:"identifiers"` // of all profiles
	Links       int                      `json:"refused_links"`
	Refused     map[identity.Refusal]int `json:"refused_identifiers"`
	Rejected    map[event.Reason]int     `json:"rejected_events"`
}

// Change is a profile that would fall apart, or one that several would become.
type Change struct {
	Profile     string   `json:"profile_id"`
	Name        string   `json:"name"`        // its most identifying identifier
	Identifiers int      `json:"identifiers"` // that take part
	Events      uint64   `json:"events"`
	Others      []string `json:"others"` // the profiles it would fall into, or that it would be made of, by their names; at most 10
	Parts       int      `json:"parts"`  // how many those are
}

// Difference is what other rules would change.
type Difference struct {
	Now  Outcome `json:"now"`
	Then Outcome `json:"then"`
	// Merges and Splits count the profiles then that several are now, and those now that several would be then; the largest are listed.
	Merges  int      `json:"merges"`
	Splits  int      `json:"splits"`
	Merging []Change `json:"merging"`
	Parting []Change `json:"parting"`
	Lost    int      `json:"lost_identifiers"` // known now, and nobody's then
	Gained  int      `json:"gained_identifiers"`
}

// Listed is how many changes of a kind are listed.
const Listed = 10

// bundle is how many events are applied at once.
const bundle = 500

// Simulation applies the same events under two sets of rules.
type Simulation struct{ now, then side }

type side struct {
	config  *update.Config
	store   *memory.Store
	worker  *update.Worker
	inputs  []*update.Input
	outcome Outcome
}

// New returns a simulation of the rules of one segment beside those of another.
func New(now, then *segment.Segment) *Simulation {
	s := &Simulation{}
	for side, segment := range map[*side]*segment.Segment{&s.now: now, &s.then: then} {
		side.config, side.store = segment.Config(), memory.New()
		side.worker = update.NewWorker(side.config, side.store)
		side.outcome.Refused, side.outcome.Rejected = map[identity.Refusal]int{}, map[event.Reason]int{}
	}
	return s
}

// Add applies the next record.
func (s *Simulation) Add(ctx context.Context, r event.Record) error {
	for _, side := range []*side{&s.now, &s.then} {
		if side.inputs = append(side.inputs, side.config.Prepare(r)); len(side.inputs) == bundle {
			if err := side.apply(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *side) apply(ctx context.Context) error {
	result, err := s.worker.Apply(ctx, s.inputs)
	if err != nil {
		return err
	}
	s.worker.Settle()
	s.inputs = s.inputs[:0]
	s.outcome.Events += result.Events
	s.outcome.Links += result.Changes[update.LinkRefused]
	for reason, n := range result.Refused {
		s.outcome.Refused[reason] += n
	}
	for reason, n := range result.Rejected {
		s.outcome.Rejected[reason] += n
	}
	return nil
}

// person is a profile as one set of rules makes it.
type person struct {
	id, name string
	events   uint64
	members  []identity.Identifier
}

// people returns all profiles and whose each identifier is.
func (s *side) people(ctx context.Context) ([]person, map[identity.Identifier]int, error) {
	if len(s.inputs) > 0 {
		if err := s.apply(ctx); err != nil {
			return nil, nil, err
		}
	}
	var all []person
	homes := map[identity.Identifier]int{}
	reader := update.NewReader(s.config, s.store)
	for d, err := range reader.Documents(ctx) {
		if err != nil {
			return nil, nil, err
		}
		p := person{id: reader.Folder().ID(d).String(), members: d.Members, name: slices.MinFunc(d.Members, s.config.Rules.Compare).String()}
		for _, c := range d.Cells {
			p.events += c.Events()
		}
		for _, m := range d.Members {
			homes[m] = len(all)
		}
		all = append(all, p)
	}
	s.outcome.Profiles, s.outcome.Identifiers = len(all), len(homes)
	return all, homes, nil
}

// Difference compares what the two sets of rules made of the events.
func (s *Simulation) Difference(ctx context.Context) (*Difference, error) {
	now, homesNow, err := s.now.people(ctx)
	if err != nil {
		return nil, err
	}
	then, homesThen, err := s.then.people(ctx)
	if err != nil {
		return nil, err
	}
	d := &Difference{Now: s.now.outcome, Then: s.then.outcome}
	d.Splits, d.Parting = parts(now, then, homesThen)
	d.Merges, d.Merging = parts(then, now, homesNow)
	for id := range homesNow {
		if _, ok := homesThen[id]; !ok {
			d.Lost++
		}
	}
	d.Gained = len(homesThen) - (len(homesNow) - d.Lost)
	return d, nil
}

// parts returns which of some people are several among others, whose identifiers' homes are given: how many, and the largest.
func parts(people, others []person, homes map[identity.Identifier]int) (int, []Change) {
	all := []Change{}
	for _, p := range people {
		var in []int
		shared := 0
		for _, m := range p.members {
			if home, ok := homes[m]; ok {
				if shared++; !slices.Contains(in, home) {
					in = append(in, home)
				}
			}
		}
		if len(in) < 2 {
			continue
		}
		slices.SortFunc(in, func(a, b int) int {
			return cmp.Or(cmp.Compare(others[b].events, others[a].events), cmp.Compare(others[a].name, others[b].name))
		})
		c := Change{Profile: p.id, Name: p.name, Identifiers: shared, Events: p.events, Parts: len(in)}
		for _, home := range in[:min(len(in), 10)] {
			c.Others = append(c.Others, others[home].name)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Change) int { return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name)) })
	return len(all), all[:min(len(all), Listed)]
}
