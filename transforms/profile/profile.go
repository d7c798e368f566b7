// Package profile folds cells into the profile of one person.
//
// In go the cells of a document, the rules and the attribute definitions of today; out comes a View. Nothing of a View is stored:
// it follows from the cells alone, so cells may move to another document, and back, without losing or doubling anything.
package profile

import (
	"slices"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/audience"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
)

// MaxListed is the number of identifiers that a View lists by default.
const MaxListed = 200

// Folder makes views: the parts of a segment that decide what a profile looks like. It is safe for concurrent use.
type Folder struct {
	Namespace  string
	Rules      *identity.Rules
	Attributes *attribute.Set
	Audiences  *audience.Set
	MaxListed  int // identifiers listed in a view; default MaxListed
	History    History
}

// View is one person as of one moment.
type View struct {
	ID identity.ID
	// Identifiers by priority of their keys, most recently seen first; at most MaxListed. Unlisted is the number left out, which
	// are those seen longest ago.
	Identifiers []Sighted
	Unlisted    int
	Events      uint64
	First, Last int64 // order times of the first and last event, epoch milliseconds
	Attributes  []accumulator.Result
	Audiences   []string // that the person is in, ascending

	states   attribute.States
	imported attribute.Imported
}

// Sighted is an identifier of a profile with what was seen of it.
type Sighted struct {
	identity.Identifier
	First, Last event.Order
	Events      uint64
}

// Fold returns the view of a document at a moment (epoch milliseconds). It fails on a damaged accumulator, and with ErrHistory where
// what a cell dropped is not at hand.
func (f *Folder) Fold(d *Document, now int64) (*View, error) {
	v := &View{}
	var states attribute.States
	counts := make([]uint64, len(d.Cells))
	for i, c := range d.Cells {
		first := v.Events == 0
		contents, err := c.Contents(f.History)
		if err != nil {
			return nil, err
		}
		for _, b := range contents {
			counts[i] += b.Events
			if states, err = attribute.Merge(states, b.States); err != nil {
				return nil, err
			}
		}
		v.Events += counts[i]
		if counts[i] == 0 { // only imported links
			continue
		}
		if first || c.First.Time < v.First {
			v.First = c.First.Time
		}
		if first || c.Last.Time > v.Last {
			v.Last = c.Last.Time
		}
	}
	imported, err := f.imported(d)
	if err != nil {
		return nil, err
	}
	if v.Attributes, err = f.Attributes.Results(now, states, imported); err != nil {
		return nil, err
	}
	sighted := f.sighted(d, counts)
	v.ID = f.profileID(sighted)
	if v.states, v.imported = states, imported; !f.Audiences.Empty() {
		v.Audiences = f.Audiences.Members(v.Attributes, latestValues(sighted))
	}
	limit := f.MaxListed
	if limit == 0 {
		limit = MaxListed
	}
	if len(sighted) > limit {
		slices.SortFunc(sighted, latestFirst)
		v.Unlisted = len(sighted) - limit
		sighted = sighted[:limit]
	}
	slices.SortFunc(sighted, func(a, b Sighted) int {
		if d := f.Rules.Priority(a.Key) - f.Rules.Priority(b.Key); d != 0 {
			return d
		}
		return latestFirst(a, b)
	})
	v.Identifiers = sighted
	return v, nil
}

// Next returns the earliest moment after now at which a person may enter or leave an audience although nothing happens; 0 when there is none.
func (f *Folder) Next(v *View, now int64) (int64, error) {
	return f.Attributes.Next(f.Audiences.Attributes(), now, v.states, v.imported)
}

// latestValues returns the value of each key that was seen last.
func latestValues(sighted []Sighted) map[string]string {
	latest := map[string]Sighted{}
	for _, s := range sighted {
		if known, ok := latest[s.Key]; !ok || latestFirst(s, known) < 0 {
			latest[s.Key] = s
		}
	}
	values := make(map[string]string, len(latest))
	for key, s := range latest {
		values[key] = s.Value
	}
	return values
}

func latestFirst(a, b Sighted) int {
	if c := b.Last.Compare(a.Last); c != 0 {
		return c
	}
	return a.Identifier.Compare(b.Identifier)
}

// ID returns the profile ID of a document.
func (f *Folder) ID(d *Document) identity.ID {
	for _, m := range d.Members {
		if m.Key == f.Rules.ProfileKey() {
			return identity.NewID(f.Namespace, m)
		}
	}
	return f.profileID(f.sighted(d, nil))
}

// profileID is the ID of the profile key's identifier once it is known, before that of the identifier seen first.
func (f *Folder) profileID(sighted []Sighted) identity.ID {
	if len(sighted) == 0 {
		return identity.ID{}
	}
	first := slices.MinFunc(sighted, func(a, b Sighted) int {
		aKey, bKey := a.Key == f.Rules.ProfileKey(), b.Key == f.Rules.ProfileKey()
		switch {
		case aKey && !bKey:
			return -1
		case bKey && !aKey:
			return 1
		}
		if c := a.First.Compare(b.First); c != 0 {
			return c
		}
		return f.Rules.Compare(a.Identifier, b.Identifier)
	})
	return identity.NewID(f.Namespace, first.Identifier)
}

// sighted returns the members with what the document's own cells saw of them, in the order of Members; counts are the events of cells,
// nil when they do not matter.
func (f *Folder) sighted(d *Document, counts []uint64) []Sighted {
	all := make([]Sighted, len(d.Members))
	for i, m := range d.Members {
		all[i].Identifier = m
	}
	for n, c := range d.Cells {
		var events uint64
		if counts != nil {
			events = counts[n]
		}
		for _, id := range c.Identifiers {
			i, ok := slices.BinarySearchFunc(d.Members, id, identity.Identifier.Compare)
			if !ok {
				continue
			}
			s := &all[i]
			if s.First.ID == "" || c.First.Compare(s.First) < 0 {
				s.First = c.First
			}
			if s.Last.ID == "" || c.Last.Compare(s.Last) > 0 {
				s.Last = c.Last
			}
			s.Events += events
		}
	}
	return all
}
