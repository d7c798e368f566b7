package update

import (
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
	for _, c := range from.TakeCells(config.Rules, members) {
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
	from.Remove(members...)
	to.Add(members...)
	from.header, to.header = true, true
	for _, m := range members {
		id := identity.NewID(config.Namespace, m)
		d.where[id] = to.Key
		d.moved[id] = to.Key
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
