// Package update is the heart of Braid: it folds events into documents.
//
// In go the documents a bundle touches and its records in stream order; out come the changed documents and the effects that others
// are to hear of. Step is a pure function of its arguments: the same code runs in the pipeline, in serving, in verification and in
// scenario scripts. Worker wraps it in one transaction per bundle, which moves state, the progress of each partition and the
// effects together, so that whatever is replayed, by whomever, takes effect once.
package update

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/audience"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// Config is the part of a segment that Step works by. It is immutable and safe for concurrent use.
type Config struct {
	Namespace  string                       // name of the segment
	Rules      *identity.Rules              // stitching keys
	Tables     map[string][]identity.Source // event tables and where each finds its keys
	Events     *filter.Set                  // event definitions
	Attributes *attribute.Set               // attributes
	Limits     event.Limits                 // limits on one event
	Audiences  *audience.Set                // audiences; nil: none
	MaxListed  int                          // identifiers listed per profile; default profile.MaxListed
	Histories  profile.Histories            // what batch runs found; nil: nothing
	// CellsPerProfile is how many cells a document may have before the members seen longest ago are evicted; default 2000.
	CellsPerProfile int
	// PublishEvery is the least time between two publications of one profile, milliseconds of receive time; default 1000.
	PublishEvery int64
	// CellsWithin is how many bytes the cells of a document may have, all together, to lie within its row; larger ones are rows of their
	// own, written as they change. One row is read and written faster than several, and PostgreSQL keeps values of up to 2 KB in
	// place. Default 1800; negative: no cell lies within.
	CellsWithin int
}

func (c *Config) cellsWithin() int {
	if c.CellsWithin == 0 {
		return 1800
	}
	return c.CellsWithin
}

func (c *Config) cellsPerProfile() int {
	if c.CellsPerProfile == 0 {
		return 2000
	}
	return c.CellsPerProfile
}

func (c *Config) folder() profile.Folder {
	f := profile.Folder{Namespace: c.Namespace, Rules: c.Rules, Attributes: c.Attributes, Audiences: c.Audiences, MaxListed: c.MaxListed}
	if c.Histories != nil {
		f.History = c.Histories.Current()
	}
	return f
}

// WithHistories returns the same configuration with what batch runs found.
func (c *Config) WithHistories(h profile.Histories) *Config {
	with := *c
	with.Histories = h
	return &with
}

func (c *Config) publishEvery() int64 {
	if c.PublishEvery > 0 {
		return c.PublishEvery
	}
	return 1000
}

// Input is one record of the stream, understood: an event, a marker, or one that is rejected.
type Input struct {
	Position event.Position
	TopicID  [16]byte
	Appended int64 // the broker's or producer's stamp, epoch milliseconds
	Received int64 // receive time, epoch milliseconds

	Marker   *event.Marker         // set for a marker
	Rejected *event.RejectedRecord // set for a record that cannot be used

	// Of an event:
	Event       event.Event
	Identifiers []identity.Identifier // valid ones, most identifying first; at least one
	IDs         []identity.ID         // of Identifiers, in their order
	Matched     []int                 // event definitions that it meets
	Refused     []identity.RefusedValue

	OnlyLinks bool // for an event of TableLinks: it joins identifiers, and is no event of any of them

	Ruling *identity.Ruling // set for an event of TableRulings; Identifiers are the two it is about
}

// Prepare reads a record. One that cannot be used is an input as well: it is kept among the rejected, once, and progress moves past
// it like past any other.
func (c *Config) Prepare(r event.Record) *Input {
	in := &Input{Position: r.Position, TopicID: r.TopicID, Appended: r.Timestamp}
	if err := c.prepare(r, in); err != nil {
		var why *event.Rejection
		if !errors.As(err, &why) {
			why = &event.Rejection{Reason: event.MalformedJSON, Detail: err.Error()}
		}
		rejected := event.Reject(r, why)
		in.Rejected, in.Received = &rejected, rejected.Received
		if r.Timestamp > 0 { // what is not trusted does not move the clock
			in.Received = min(in.Received, r.Timestamp+event.ReceivedAhead)
		}
	}
	return in
}

func (c *Config) prepare(r event.Record, in *Input) error {
	m, ok, err := event.ParseMarker(r)
	if err != nil {
		return err
	}
	if ok {
		in.Marker, in.Received = &m, m.Received
		return nil
	}
	if in.Event, err = event.Decode(r, c.Limits); err != nil {
		return err
	}
	in.Received = in.Event.Received
	sources, ok := c.Tables[in.Event.Table]
	switch {
	case in.Event.Table == TableRulings:
		if err := c.prepareRuling(in); err != nil {
			return err
		}
	case in.Event.Table == TableLinks:
		if err := c.prepareLinks(in); err != nil {
			return err
		}
	case !ok:
		return unknownTable(in.Event.Table, c.Tables)
	default:
		in.Identifiers, in.Refused = c.Rules.Identify(&in.Event, sources)
		if len(in.Identifiers) == 0 {
			return noIdentifier(in.Event.Table, sources, in.Refused)
		}
	}
	in.IDs = make([]identity.ID, len(in.Identifiers))
	for i, id := range in.Identifiers {
		in.IDs[i] = identity.NewID(c.Namespace, id)
	}
	in.Matched = c.Events.Match(&in.Event, nil)
	return nil
}

// WithSecret returns the same configuration with the secret by which identifiers are concealed.
func (c *Config) WithSecret(secret string) *Config {
	with := *c
	with.Rules = c.Rules.WithSecret(secret)
	return &with
}

// Conceal returns an event of a table with the identifiers concealed that must not be stored raw.
func (c *Config) Conceal(table string, raw []byte) []byte {
	return c.Rules.Conceal(raw, c.Tables[table])
}

// RecordKey returns the key under which an event of a table belongs into the stream, its leading identifier as "key:value", or "" when
// it has none: events that are led by the same identifier stay in order.
func (c *Config) RecordKey(table string, raw []byte) string {
	ids, _ := c.Rules.Identify(&event.Event{Raw: raw}, c.Tables[table])
	if len(ids) == 0 {
		return ""
	}
	return ids[0].String()
}

func unknownTable(table string, tables map[string][]identity.Source) *event.Rejection {
	return &event.Rejection{
		Reason: event.UnknownTable, Field: "table",
		Detail: fmt.Sprintf("is %q, which the segment does not list; it has %s", table, strings.Join(slices.Sorted(maps.Keys(tables)), ", ")),
	}
}

func noIdentifier(table string, sources []identity.Source, refused []identity.RefusedValue) *event.Rejection {
	fields := make([]string, len(sources))
	for i, s := range sources {
		fields[i] = s.Field
	}
	detail := fmt.Sprintf("has none that counts; table %q finds them in %s", table, strings.Join(fields, ", "))
	for _, r := range refused {
		detail += fmt.Sprintf("; %s %q: %s", r.Key, r.Value, r.Reason)
	}
	return &event.Rejection{Reason: event.NoIdentifier, Field: "identifiers", Detail: detail}
}
