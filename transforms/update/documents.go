package update

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// Documents is the working set of a bundle: the documents that it loaded, and what it changed about them.
type Documents struct {
	where     map[identity.ID]profile.Key // of known identifiers; the zero Key means that no document has it
	documents map[profile.Key]*entry
	moved     map[identity.ID]profile.Key // identifiers whose row has to be written
	absent    []identity.ID               // identifiers that the store does not have
	dissolved []*entry                    // documents that were stored and are no more
	touched   []*entry                    // in order of their first change
}

// entry is a document of the working set. One that was not loaded has stored false.
type entry struct {
	*profile.Document
	stored   bool
	version  Version             // of the header row
	cells    []cellRow           // as loaded
	header   bool                // whether the header changed
	changed  []*profile.Cell     // cells that changed
	due      int64               // PublishDue as stored
	cause    *Input              // the last event that touched it; nil when untouched
	formerly identity.Identifier // a former member, of a dissolved document
	received int64               // greatest receive time of those events
}

// cellRow is a cell as it lies in the store, or is to lie there.
type cellRow struct {
	id      identity.ID
	home    profile.Key // the document it lies in or beside
	row     []byte
	apart   bool // whether it is a row of its own
	changed bool // since it was read
}

// rows returns the cells of the document as they are to be stored, in their order, and their size.
func (e *entry) rows() ([]cellRow, int, error) {
	slices.SortFunc(e.cells, func(a, b cellRow) int { return slices.Compare(a.id[:], b.id[:]) })
	rows, size := make([]cellRow, 0, len(e.Cells)), 0
	for _, c := range e.Cells {
		row := cellRow{id: c.ID}
		i, stored := slices.BinarySearchFunc(e.cells, c.ID, func(r cellRow, id identity.ID) int { return slices.Compare(r.id[:], id[:]) })
		if stored {
			row = e.cells[i]
		}
		if row.changed = !stored || slices.Contains(e.changed, c); row.changed {
			var err error
			if row.row, err = c.Marshal(); err != nil {
				return nil, 0, err
			}
		}
		rows, size = append(rows, row), size+len(row.row)
	}
	return rows, size, nil
}

// NewDocuments returns an empty working set.
func NewDocuments() *Documents {
	return &Documents{
		where: map[identity.ID]profile.Key{}, documents: map[profile.Key]*entry{}, moved: map[identity.ID]profile.Key{},
	}
}

// Need is what a working set lacks for an event.
type Need struct {
	Identifiers []identity.ID
	Documents   []profile.Key
}

// Empty reports whether nothing is lacking.
func (n Need) Empty() bool { return len(n.Identifiers) == 0 && len(n.Documents) == 0 }

// need adds what the event lacks to n.
func (d *Documents) need(in *Input, n *Need) {
	for _, id := range in.IDs {
		key, known := d.where[id]
		switch {
		case !known:
			n.Identifiers = append(n.Identifiers, id)
		case key != profile.Key{} && d.documents[key] == nil:
			n.Documents = append(n.Documents, key)
		}
	}
}

// Put adds a document, loaded with all its cells, to the working set.
func (d *Documents) Put(doc *profile.Document) { d.put(doc, 0, nil) }

func (d *Documents) put(doc *profile.Document, version Version, cells []cellRow) {
	d.documents[doc.Key] = &entry{Document: doc, stored: version != 0, version: version, cells: cells, due: doc.PublishDue}
}

// Locate tells the working set which document has an identifier; the zero Key says that none has.
func (d *Documents) Locate(id identity.ID, key profile.Key) { d.where[id] = key }

// Of returns the document that has an identifier, or nil.
func (d *Documents) Of(id identity.ID) *profile.Document {
	if e := d.of(id); e != nil {
		return e.Document
	}
	return nil
}

// guarded reports whether rulings or limits may have a say about an event: several documents meet in it, or identifiers that none has,
// and one has rulings, or they have as many values of a key as a profile may have, or an identifier is seen with too many.
func (d *Documents) guarded(config *Config, in *Input) bool {
	several, ruled := false, false
	first := d.of(in.IDs[0])
	members := [][]identity.Identifier{in.Identifiers}
	for i, id := range in.IDs {
		e := d.of(id)
		several = several || e != first
		if e == nil {
			continue
		}
		ruled = ruled || len(e.Pairs) > 0
		if i > 0 && e != first && len(e.Members) > 1 { // it may be about to give back what it had joined
			leaders := e.Leaders(config.Rules, in.Identifiers[i], in.Identifiers[0])
			ruled = ruled || config.Rules.Saturated(in.Identifiers[i].Key, leaders)
		}
		members = append(members, e.Members)
	}
	return several && (ruled || config.Rules.Full(members...))
}

func (d *Documents) of(id identity.ID) *entry { return d.documents[d.where[id]] }

// found begins a document for an identifier that no document has.
func (d *Documents) found(id identity.ID) *entry {
	e := &entry{Document: &profile.Document{Key: profile.Key(id)}}
	d.documents[e.Key] = e
	return e
}

// join makes an identifier a member of a document.
func (d *Documents) join(e *entry, identifier identity.Identifier, id identity.ID) {
	e.Add(identifier)
	e.header = true
	d.where[id] = e.Key
	d.moved[id] = e.Key
}

// move hands members and the cells they lead from one document to another.
func (d *Documents) move(config *Config, from, to *entry, members []identity.Identifier) {
	members = slices.Clone(members)
	d.moveCells(from, to, from.TakeCells(config.Rules, members))
	from.Hand(to.Document, members)
	from.Remove(members...)
	to.Add(members...)
	from.header, to.header = true, true
	for _, m := range members {
		id := identity.NewID(config.Namespace, m)
		d.where[id] = to.Key
		d.moved[id] = to.Key
	}
}

// moveCells hands cells that were taken out of one document to another.
func (d *Documents) moveCells(from, to *entry, cells []*profile.Cell) {
	for _, c := range cells {
		to.AddCell(c)
		if i := slices.IndexFunc(from.cells, func(r cellRow) bool { return r.id == c.ID }); i >= 0 {
			to.cells = append(to.cells, from.cells[i])
			from.cells = slices.Delete(from.cells, i, i+1)
		}
		if i := slices.Index(from.changed, c); i >= 0 {
			to.change(c)
			from.changed = slices.Delete(from.changed, i, i+1)
		}
	}
}

// dissolve takes a document that lost its members, one of them named, to an event out of the working set.
func (d *Documents) dissolve(e *entry, member identity.Identifier, cause *Input) {
	delete(d.documents, e.Key)
	e.formerly, e.cause = member, cause
	if e.stored {
		d.dissolved = append(d.dissolved, e)
	}
}

func (e *entry) change(c *profile.Cell) {
	if !slices.Contains(e.changed, c) {
		e.changed = append(e.changed, c)
	}
}

func (d *Documents) touch(e *entry, in *Input) {
	if e.cause == nil {
		d.touched = append(d.touched, e)
	}
	e.cause = in
	e.received = max(e.received, in.Received)
}

// loader fills a working set from the store. What it read under way of another commit contradicts itself: that is reported as a
// conflict.
type loader struct {
	store Store
	keys  rowKeys
	docs  *Documents
}

// inputs loads all that the events need.
func (l *loader) inputs(ctx context.Context, inputs []*Input) error {
	for {
		var need Need
		for _, in := range inputs {
			l.docs.need(in, &need)
		}
		if need.Empty() {
			return l.check(inputs)
		}
		if err := l.need(ctx, need); err != nil {
			return err
		}
	}
}

func (l *loader) check(inputs []*Input) error {
	for _, in := range inputs {
		for i, id := range in.IDs {
			if e := l.docs.of(id); e != nil && !e.Has(in.Identifiers[i]) {
				return fmt.Errorf("document %s lacks its member %s: %w", identity.ID(e.Key), in.Identifiers[i], ErrConflict)
			}
		}
	}
	return nil
}

// need loads identifier rows, and documents with their cells.
func (l *loader) need(ctx context.Context, need Need) error {
	if err := l.identifiers(ctx, need.Identifiers); err != nil {
		return err
	}
	wanted := need.Documents
	for _, id := range need.Identifiers {
		if key := l.docs.where[id]; key != (profile.Key{}) && l.docs.documents[key] == nil {
			wanted = append(wanted, key)
		}
	}
	missing, err := l.documents(ctx, wanted)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("document %s: not there any more: %w", identity.ID(missing[0]), ErrConflict)
	}
	return err
}

func (l *loader) identifiers(ctx context.Context, ids []identity.ID) error {
	ids = unique(ids)
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = l.keys.identifier(id)
	}
	rows, err := l.store.Get(ctx, keys)
	if err != nil {
		return err
	}
	for i, row := range rows {
		switch {
		case row.Version == 0:
			l.docs.where[ids[i]] = profile.Key{}
			l.docs.absent = append(l.docs.absent, ids[i])
		case len(row.Value) != len(profile.Key{}):
			return fmt.Errorf("identifier %s: %w", ids[i], profile.ErrDamaged)
		default:
			l.docs.where[ids[i]] = profile.Key(row.Value)
		}
	}
	return nil
}

// documents loads documents with all their cells and returns those that are not there.
func (l *loader) documents(ctx context.Context, wanted []profile.Key) (missing []profile.Key, err error) {
	wanted = unique(wanted)
	keys := make([][]byte, len(wanted))
	for i, key := range wanted {
		keys[i] = l.keys.document(key)
	}
	headers, err := l.store.Get(ctx, keys)
	if err != nil {
		return nil, err
	}
	loaded := make([]*profile.Document, len(wanted))
	cells := make([][]cellRow, len(wanted))
	var apart [][]byte // keys of cells that are rows of their own
	for i, row := range headers {
		if row.Version == 0 {
			missing = append(missing, wanted[i])
			continue
		}
		if loaded[i], cells[i], err = unmarshalDocument(wanted[i], row.Value); err != nil {
			return nil, err
		}
		for _, c := range cells[i] {
			if c.apart {
				apart = append(apart, l.keys.cell(c.home, c.id))
			}
		}
	}
	rows, err := l.store.Get(ctx, apart)
	if err != nil {
		return nil, err
	}
	for i, doc := range loaded {
		if doc == nil {
			continue
		}
		for j := range cells[i] {
			c := &cells[i][j]
			if c.apart {
				if rows[0].Version == 0 {
					return nil, fmt.Errorf("cell %s: not there any more: %w", c.id, ErrConflict)
				}
				c.row, rows = rows[0].Value, rows[1:]
			}
			cell, err := profile.UnmarshalCell(c.id, c.row)
			if err != nil {
				return nil, err
			}
			doc.Cells = append(doc.Cells, cell)
		}
		l.docs.put(doc, headers[i].Version, cells[i])
	}
	return missing, nil
}

// unmarshalDocument reads what transaction.document wrote. The document is still without its cells.
func unmarshalDocument(key profile.Key, row []byte) (*profile.Document, []cellRow, error) {
	header, rest, ok := cutPiece(row)
	if !ok {
		return nil, nil, fmt.Errorf("document %s: %w", identity.ID(key), profile.ErrDamaged)
	}
	doc, ids, err := profile.UnmarshalHeader(key, header)
	if err != nil {
		return nil, nil, err
	}
	apart := len(rest) == 0
	cells := make([]cellRow, len(ids))
	for i, id := range ids {
		cells[i] = cellRow{id: id, home: key, apart: apart}
		if !apart {
			if cells[i].row, rest, ok = cutPiece(rest); !ok {
				return nil, nil, fmt.Errorf("document %s, cell %s: %w", identity.ID(key), id, profile.ErrDamaged)
			}
		}
	}
	if len(rest) > 0 {
		return nil, nil, fmt.Errorf("document %s: %w: it has more cells than it lists", identity.ID(key), profile.ErrDamaged)
	}
	return doc, cells, nil
}

// cutPiece takes a length and as many bytes.
func cutPiece(row []byte) (piece, rest []byte, ok bool) {
	size, n := binary.Uvarint(row)
	if n <= 0 || size > uint64(len(row)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return row[n:end:end], row[end:], true
}

func unique[T ~[16]byte](ids []T) []T {
	if len(ids) < 2 {
		return ids
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b T) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
