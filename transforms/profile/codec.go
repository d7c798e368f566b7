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
const Format = 1

// ErrFormat is wrapped by errors about rows that a newer version of Braid wrote.
var ErrFormat = errors.New("the row was written by a newer version")

// ErrDamaged is wrapped by errors about rows that cannot be read.
var ErrDamaged = errors.New("the row is damaged")

func checkFormat(format uint32) error {
	switch {
	case format == 0:
		return fmt.Errorf("%w: it has no format version", ErrDamaged)
	case format > Format:
		return fmt.Errorf("%w: format %d, known is %d", ErrFormat, format, Format)
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
		Format: Format, Members: flatten(d.Members), Cells: cells,
		Published: d.Published, PublishDue: d.PublishDue, PublishedAs: d.PublishedAs,
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
	return &Document{
		Key: key, Members: members, Published: m.Published, PublishDue: m.PublishDue, PublishedAs: m.PublishedAs,
		Cells: make([]*Cell, 0, len(cells)),
	}, cells, nil
}

// Marshal returns the cell's row.
func (c *Cell) Marshal() ([]byte, error) {
	m := profilepb.Cell{Format: Format, Identifiers: flatten(c.Identifiers), First: order(c.First), Last: order(c.Last), Seen: c.Seen}
	for _, b := range c.Buckets {
		m.Buckets = append(m.Buckets, &profilepb.Bucket{Epoch: b.Epoch, Events: b.Events, States: b.States.Append(nil)})
	}
	return m.MarshalVT()
}

// UnmarshalCell reads a cell's row. The cell keeps row.
func UnmarshalCell(id identity.ID, row []byte) (*Cell, error) {
	var m profilepb.Cell
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
	c := &Cell{ID: id, Identifiers: ids, First: fromOrder(m.First), Last: fromOrder(m.Last), Seen: slices.Clip(m.Seen)}
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

func flatten(ids []identity.Identifier) []string {
	flat := make([]string, 0, 2*len(ids))
	for _, id := range ids {
		flat = append(flat, id.Key, id.Value)
	}
	return flat
}

func unflatten(flat []string) ([]identity.Identifier, error) {
	if len(flat)%2 != 0 {
		return nil, ErrDamaged
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

func order(o event.Order) *profilepb.Order {
	return &profilepb.Order{Time: o.Time, Seq: o.Seq, Id: o.ID}
}

func fromOrder(m *profilepb.Order) event.Order {
	return event.Order{Time: m.GetTime(), Seq: m.GetSeq(), ID: m.GetId()}
}
