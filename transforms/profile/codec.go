package profile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile/profilepb"
)

// Format is the version of the stored form of documents and cells.
const Format = 2

// ErrFormat is wrapped by errors about rows that a newer version of Braid wrote.
var ErrFormat = errors.New("the row was written by a newer version")

// ErrOldFormat is wrapped by errors about rows that a version of Braid wrote which knew less.
var ErrOldFormat = errors.New("the row was written by an older version; let another data directory read the topic of events from its beginning")

// ErrDamaged is wrapped by errors about rows that cannot be read.
var ErrDamaged = errors.New("the row is damaged")

func checkFormat(format uint32) error {
	switch {
	case format == 0:
		return fmt.Errorf("%w: it has no format version", ErrDamaged)
	case format > Format:
		return fmt.Errorf("%w: format %d, known is %d", ErrFormat, format, Format)
	case format < Format:
		return fmt.Errorf("%w: format %d, known is %d", ErrOldFormat, format, Format)
	}
	return nil
}

// MarshalHeader returns the document's header row: all but the cells, of which it lists the IDs.
func (d *Document) MarshalHeader() ([]byte, error) {
	cells := make([]byte, 0, len(d.Cells)*len(identity.ID{}))
	for _, c := range d.Cells {
		cells = append(cells, c.ID[:]...)
	}
	m := profilepb.Document{
		Format: Format, Members: appendFlat(make([]string, 0, 2*len(d.Members)), d.Members), Cells: cells,
		Published: d.Published, PublishDue: d.PublishDue, PublishedAs: d.PublishedAs, Forgot: d.Forgot, Recheck: d.Recheck,
		Came: appendFlat(nil, d.Came), AudienceDue: d.AudienceDue, Evicted: d.Evicted,
	}
	for _, t := range d.Told {
		m.Told = append(m.Told, &profilepb.Membership{ProfileId: t.ProfileID, Audiences: t.Audiences})
	}
	for _, l := range d.Refused {
		m.Refused = append(m.Refused, l.Leader.Key, l.Leader.Value, l.Other.Key, l.Other.Value)
	}
	for _, p := range d.Pairs {
		m.Pairs = append(m.Pairs, &profilepb.Pair{
			Ends: appendFlat(nil, []identity.Identifier{p.A, p.B}), Unlinked: toOrder(p.Unlinked), Forbidden: toOrder(p.Forbidden), Allowed: toOrder(p.Allowed),
		})
	}
	return m.MarshalVT()
}

// UnmarshalHeader reads a header row. It returns the document without its cells, and their IDs. The document keeps row.
func UnmarshalHeader(key Key, row []byte) (*Document, []identity.ID, error) {
	var m profilepb.Document
	if err := m.UnmarshalVTUnsafe(row); err != nil {
		return nil, nil, fmt.Errorf("document %s: %w: %w", identity.ID(key), ErrDamaged, err)
	}
	if err := checkFormat(m.Format); err != nil {
		return nil, nil, fmt.Errorf("document %s: %w", identity.ID(key), err)
	}
	members, err := unflatten(m.Members)
	if err != nil || len(m.Cells)%len(identity.ID{}) != 0 {
		return nil, nil, fmt.Errorf("document %s: %w", identity.ID(key), ErrDamaged)
	}
	cells := make([]identity.ID, 0, len(m.Cells)/len(identity.ID{}))
	for id := range slices.Chunk(m.Cells, len(identity.ID{})) {
		if n := len(cells); n > 0 && slices.Compare(id, cells[n-1][:]) <= 0 {
			return nil, nil, fmt.Errorf("document %s: %w: its cells are out of order", identity.ID(key), ErrDamaged)
		}
		cells = append(cells, identity.ID(id))
	}
	d := &Document{
		Key: key, Members: members, Published: m.Published, PublishDue: m.PublishDue, PublishedAs: m.PublishedAs,
		Cells: make([]*Cell, 0, len(cells)), Forgot: m.Forgot, Recheck: m.Recheck, AudienceDue: m.AudienceDue, Evicted: m.Evicted,
	}
	if d.Came, err = unflatten(m.Came); err != nil {
		return nil, nil, fmt.Errorf("document %s: %w: what came from others", identity.ID(key), err)
	}
	for _, t := range m.Told {
		if len(t.Audiences) == 0 || !slices.IsSorted(t.Audiences) {
			return nil, nil, fmt.Errorf("document %s: %w: its audiences are out of order", identity.ID(key), ErrDamaged)
		}
		d.Told = append(d.Told, Membership{t.ProfileId, t.Audiences})
	}
	if len(m.Refused)%4 != 0 {
		return nil, nil, fmt.Errorf("document %s: %w: its refused links", identity.ID(key), ErrDamaged)
	}
	for l := range slices.Chunk(m.Refused, 4) {
		d.Refused = append(d.Refused, identity.Link{
			Leader: identity.Identifier{Key: l[0], Value: l[1]}, Other: identity.Identifier{Key: l[2], Value: l[3]},
		})
	}
	for _, p := range m.Pairs {
		ends, err := unflatten(p.Ends)
		if err != nil || len(ends) != 2 {
			return nil, nil, fmt.Errorf("document %s: %w: its rulings", identity.ID(key), ErrDamaged)
		}
		d.Pairs = append(d.Pairs, identity.Pair{
			A: ends[0], B: ends[1], Unlinked: fromOrder(p.Unlinked), Forbidden: fromOrder(p.Forbidden), Allowed: fromOrder(p.Allowed),
		})
	}
	if !slices.IsSortedFunc(d.Refused, compareRefused) || !slices.IsSortedFunc(d.Pairs, identity.Pair.Compare) {
		return nil, nil, fmt.Errorf("document %s: %w: its links and rulings are out of order", identity.ID(key), ErrDamaged)
	}
	return d, cells, nil
}

// cellMessage is a cell's message with the room that most cells need, so that it is one piece of memory.
type cellMessage struct {
	cell        profilepb.Cell
	first, last profilepb.Order
	identifiers [8]string
	buckets     [3]*profilepb.Bucket
}

// Marshal returns the cell's row.
func (c *Cell) Marshal() ([]byte, error) {
	m := cellMessage{
		first: profilepb.Order{Time: c.First.Time, Seq: c.First.Seq, Id: c.First.ID},
		last:  profilepb.Order{Time: c.Last.Time, Seq: c.Last.Seq, Id: c.Last.ID},
	}
	m.cell = profilepb.Cell{Format: Format, Identifiers: appendFlat(m.identifiers[:0], c.Identifiers), First: &m.first, Last: &m.last, Seen: c.Seen,
		Floor: c.Floor, Pruned: c.Pruned, Whole: c.Whole}
	m.cell.Buckets = m.buckets[:0]
	for _, b := range c.Buckets {
		size := 1
		for _, s := range b.States {
			size += 10 + len(s.Data)
		}
		states := b.States.Append(make([]byte, 0, size))
		m.cell.Buckets = append(m.cell.Buckets, &profilepb.Bucket{Epoch: b.Epoch, Events: b.Events, States: states})
	}
	return m.cell.MarshalVT()
}

// UnmarshalCell reads a cell's row. The cell keeps row.
func UnmarshalCell(id identity.ID, row []byte) (*Cell, error) {
	var message cellMessage
	m := &message.cell
	m.First, m.Last, m.Identifiers, m.Buckets = &message.first, &message.last, message.identifiers[:0], message.buckets[:0]
	if err := m.UnmarshalVTUnsafe(row); err != nil {
		return nil, fmt.Errorf("cell %s: %w: %w", id, ErrDamaged, err)
	}
	if err := checkFormat(m.Format); err != nil {
		return nil, fmt.Errorf("cell %s: %w", id, err)
	}
	ids, err := unflatten(m.Identifiers)
	if err != nil || len(ids) == 0 || len(m.Seen)%seenEntry != 0 {
		return nil, fmt.Errorf("cell %s: %w", id, ErrDamaged)
	}
	c := &Cell{ID: id, Identifiers: ids, First: fromOrder(m.First), Last: fromOrder(m.Last), Seen: slices.Clip(m.Seen), Floor: m.Floor, Pruned: m.Pruned, Whole: m.Whole}
	c.Buckets = make([]Bucket, 0, len(m.Buckets)+1)
	for i, b := range m.Buckets {
		states, err := attribute.DecodeStates(b.States)
		if err != nil {
			return nil, fmt.Errorf("cell %s, epoch %d: %w: %w", id, b.Epoch, ErrDamaged, err)
		}
		if i > 0 && b.Epoch <= m.Buckets[i-1].Epoch {
			return nil, fmt.Errorf("cell %s, epoch %d: %w: it comes after epoch %d", id, b.Epoch, ErrDamaged, m.Buckets[i-1].Epoch)
		}
		c.Buckets = append(c.Buckets, Bucket{Epoch: b.Epoch, Events: b.Events, States: states})
	}
	return c, nil
}

func appendFlat(flat []string, ids []identity.Identifier) []string {
	for _, id := range ids {
		flat = append(flat, id.Key, id.Value)
	}
	return flat
}

func unflatten(flat []string) ([]identity.Identifier, error) {
	if len(flat)%2 != 0 {
		return nil, ErrDamaged
	}
	if len(flat) == 0 {
		return nil, nil
	}
	ids := make([]identity.Identifier, 0, len(flat)/2)
	for i := 0; i < len(flat); i += 2 {
		ids = append(ids, identity.Identifier{Key: flat[i], Value: flat[i+1]})
	}
	for i := 1; i < len(ids); i++ {
		if ids[i-1].Compare(ids[i]) >= 0 {
			return nil, ErrDamaged
		}
	}
	return ids, nil
}

// toOrder returns the message of an order, nil for one without an ID, which stands for none.
func toOrder(o event.Order) *profilepb.Order {
	if o.ID == "" {
		return nil
	}
	return &profilepb.Order{Time: o.Time, Seq: o.Seq, Id: o.ID}
}

func fromOrder(m *profilepb.Order) event.Order {
	return event.Order{Time: m.GetTime(), Seq: m.GetSeq(), ID: m.GetId()}
}
