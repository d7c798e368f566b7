// Package explanation tells what a profile was made of: in goes a document, out come the view of it, the links that hold it together,
// and what each cell contributed in each epoch.
package explanation

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/segment"
)

// Explanation is a profile with what it was made of. Its JSON form is what GET /v1/profiles/{key}/{value}?explain=true answers.
type Explanation struct {
	Profile  json.RawMessage   `json:"profile"`  // the view in canonical form
	Kinds    map[string]string `json:"kinds"`    // of the attributes, by name, with their windows
	Document string            `json:"document"` // name of the document, opaque
	Links    []Link            `json:"links"`    // lightest first; the rest is a single identifier
	Cells    []Cell            `json:"cells"`    // by their first events
	// Refused are the links from other profiles that were refused, and Rulings what was ruled about identifiers of this one.
	Refused []RefusedLink `json:"refused,omitempty"`
	Rulings []Ruling      `json:"rulings,omitempty"`
}

// RefusedLink is a link from an identifier of another profile to one of this.
type RefusedLink struct {
	Leader string `json:"leader"`
	Other  string `json:"other"`
}

// Link is why two identifiers belong together.
type Link struct {
	Leader string          `json:"leader"`
	Other  string          `json:"other"`
	Policy identity.Policy `json:"policy"`
	At     string          `json:"at"`    // order time of the sighting that counts: the first under keep_first, else the latest
	Event  string          `json:"event"` // its event ID
}

// Cell is what all events with one set of identifiers contributed.
type Cell struct {
	Leader      string   `json:"leader"`
	Identifiers []string `json:"identifiers"`
	Events      uint64   `json:"events"`
	First       Sighting `json:"first"`
	Last        Sighting `json:"last"`
	Epochs      []Epoch  `json:"epochs"` // ascending
}

// Sighting is one event of a cell.
type Sighting struct {
	Time  string `json:"time"` // order time
	Event string `json:"event"`
}

// Epoch is what one epoch added to a cell. Epochs that no batch tells apart any more stand together under the highest of them.
type Epoch struct {
	Epoch      uint64         `json:"epoch"`
	Batch      bool           `json:"batch,omitempty"` // all epochs up to this one, as the last batch run found them in the archive
	Events     uint64         `json:"events"`
	Attributes []Contribution `json:"attributes"` // in the order of their definitions; those without a contribution are left out
}

// Contribution is what an attribute would be if nothing else had happened.
type Contribution struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
	Panes []Pane          `json:"panes,omitempty"` // of a window, earliest first
}

// Pane is what a part of a window would be if nothing else had happened.
type Pane struct {
	From  string          `json:"from"`
	Value json.RawMessage `json:"value"`
}

// Explain explains a document at a moment (epoch milliseconds) under the rules of a segment. It fails only on a damaged accumulator.
func Explain(s *segment.Segment, folder *profile.Folder, d *profile.Document, now int64) (*Explanation, error) {
	view, err := folder.Fold(d, now)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	e := &Explanation{Profile: view.AppendJSON(nil), Kinds: map[string]string{}, Document: hex.EncodeToString(d.Key[:]), Links: []Link{}, Cells: []Cell{}}
	for name, definition := range s.File.Attributes {
		e.Kinds[name] = definition.Describe()
	}
	for _, edge := range d.Tree(s.Rules).Edges() {
		e.Links = append(e.Links, link(edge))
	}
	for _, l := range d.Refused {
		e.Refused = append(e.Refused, RefusedLink{Leader: l.Leader.String(), Other: l.Other.String()})
	}
	for _, p := range d.Pairs {
		e.Rulings = append(e.Rulings, rulings(p)...)
	}
	cells := slices.SortedStableFunc(slices.Values(d.Cells), func(a, b *profile.Cell) int { return a.First.Compare(b.First) })
	for _, c := range cells {
		cell, err := explainCell(s, folder, c, now)
		if err != nil {
			return nil, fmt.Errorf("cell %s: %w", c.ID, err)
		}
		e.Cells = append(e.Cells, cell)
	}
	return e, nil
}

func explainCell(s *segment.Segment, folder *profile.Folder, c *profile.Cell, now int64) (Cell, error) {
	contents, err := c.Contents(folder.History)
	if err != nil {
		return Cell{}, err
	}
	out := Cell{
		Leader: c.Leader(s.Rules).String(),
		First:  Sighting{moment(c.First), c.First.ID}, Last: Sighting{moment(c.Last), c.Last.ID},
	}
	for _, id := range c.Identifiers {
		out.Identifiers = append(out.Identifiers, id.String())
	}
	for _, b := range contents {
		out.Events += b.Events
		epoch := Epoch{Epoch: b.Epoch, Batch: b.Batch, Events: b.Events, Attributes: []Contribution{}}
		results, err := s.Attributes.Results(now, b.States, nil)
		if err != nil {
			return out, err
		}
		for _, r := range results {
			if hash, ok := s.Attributes.Hash(r.Name); ok && b.States.Find(hash) != nil {
				c := Contribution{Name: r.Name, Value: r.Value.AppendJSON(nil)}
				panes, err := s.Attributes.Panes(r.Name, now, b.States, nil)
				if err != nil {
					return out, err
				}
				for _, p := range panes {
					c.Panes = append(c.Panes, Pane{moment(event.Order{Time: p.From}), p.Value.AppendJSON(nil)})
				}
				epoch.Attributes = append(epoch.Attributes, c)
			}
		}
		out.Epochs = append(out.Epochs, epoch)
	}
	return out, nil
}

func moment(o event.Order) string {
	return time.UnixMilli(o.Time).UTC().Format("2006-01-02T15:04:05.000Z")
}
