package update

import (
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
	unclaimed map[identity.ID]Version     // identifiers that no document has in the store; the version of what stands there instead
	evicted   map[identity.ID]identity.ID // identifiers that a document forgot, and the one that leads to it
	forgotten map[identity.ID]bool        // those of them whose row has to be written
	dissolved []*entry                    // documents that were stored and are no more
	dropped   []cellRow                   // of cells that went into others
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
	due      int64               // Due as stored
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
		unclaimed: map[identity.ID]Version{}, evicted: map[identity.ID]identity.ID{}, forgotten: map[identity.ID]bool{},
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

func (d *Documents) put(doc *profile.Document, version Version, cells []cellRow) *entry {
	e := &entry{Document: doc, stored: version != 0, version: version, cells: cells, due: doc.Due()}
	d.documents[doc.Key] = e
	return e
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

// guarded reports whether rulings or limits may have a say about an event: it changes links between members of whom a ruling once parted
// two, or several documents meet in it, or identifiers that none has, and one has rulings, or they have as many values of a key as a profile may have, or an identifier is seen with too many.
func (d *Documents) guarded(config *Config, in *Input) bool {
	several, ruled, reunited := false, false, false
	first := d.of(in.IDs[0])
	members := [][]identity.Identifier{in.Identifiers}
	for i, id := range in.IDs {
		e := d.of(id)
		several = several || e != first
		if e == nil {
			continue
		}
		ruled = ruled || len(e.Pairs) > 0
		reunited = reunited || len(in.IDs) > 1 && e.Reunited()
		if i > 0 && e != first && len(e.Members) > 1 { // it may be about to give back what it had joined
			leaders := e.Leaders(config.Rules, in.Identifiers[i], in.Identifiers[0])
			ruled = ruled || config.Rules.Saturated(in.Identifiers[i].Key, leaders)
		}
		members = append(members, e.Members)
	}
	return reunited || several && (ruled || config.Rules.Full(members...))
}

func (d *Documents) of(id identity.ID) *entry { return d.documents[d.where[id]] }

// found begins a document for an identifier that no document has. One that an identifier founded before it was evicted may still be there.
func (d *Documents) found(config *Config, identifier identity.Identifier, in *Input) *entry {
	key := identity.NewID(config.Namespace, identifier)
	if _, evicted := d.evicted[key]; evicted || d.documents[profile.Key(key)] != nil {
		return d.begin(config, identifier, in)
	}
	return d.put(&profile.Document{Key: profile.Key(key)}, 0, nil)
}

// begin begins a document under a key that no other record gives to one.
func (d *Documents) begin(config *Config, of identity.Identifier, in *Input) *entry {
	name := fmt.Sprintf("document of %s at %x/%s/%d/%d", of, in.TopicID, in.Position.Topic, in.Position.Partition, in.Position.Offset)
	key := profile.Key(identity.NewID(config.Namespace, identity.Identifier{Value: name}))
	for d.documents[key] != nil { // another worker applied the record; the commit will find out
		key[0]++
	}
	return d.put(&profile.Document{Key: key}, 0, nil)
}

// join makes an identifier a member of a document.
func (d *Documents) join(e *entry, identifier identity.Identifier, id identity.ID) {
	e.Add(identifier)
	e.header = true
	d.claim(id, e.Key)
}

// claim notes that a document has an identifier.
func (d *Documents) claim(id identity.ID, key profile.Key) {
	d.where[id], d.moved[id] = key, key
	delete(d.forgotten, id)
}

// move hands members and the cells they lead from one document to another.
func (d *Documents) move(config *Config, from, to *entry, members []identity.Identifier) {
	members = slices.Clone(members)
	if len(from.Told) > 0 {
		d.moveTold(config, from, to, members)
	}
	d.moveCells(from, to, from.TakeCells(config.Rules, members))
	from.Hand(to.Document, members)
	from.Remove(members...)
	to.Add(members...)
	from.header, to.header = true, true
	for _, m := range members {
		d.claim(identity.NewID(config.Namespace, m), to.Key)
	}
}

// moveTold hands over what was told of profile IDs that members stand for.
func (d *Documents) moveTold(config *Config, from, to *entry, members []identity.Identifier) {
	ids := map[string]bool{}
	for _, m := range members {
		ids[identity.NewID(config.Namespace, m).String()] = true
	}
	from.Told = slices.DeleteFunc(slices.Clone(from.Told), func(t profile.Membership) bool {
		if ids[t.ProfileID] {
			to.Told = append(slices.Clone(to.Told), t)
		}
		return ids[t.ProfileID]
	})
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

// evict keeps the leader's document within its bound, and tells of what it forgot. ErrConflict means that what was loaded contradicts itself.
func (d *Documents) evict(config *Config, e *entry, in *Input) ([]IdentityChange, error) {
	most := config.cellsPerProfile()
	if e == nil {
		return nil, fmt.Errorf("identifier %s is in no document: %w", in.Identifiers[0], ErrConflict)
	}
	if len(e.Cells) <= most {
		return nil, nil
	}
	f := config.folder()
	done, err := e.Evict(&f, in.Identifiers, most-most/4)
	if err != nil || len(done.Gone) == 0 {
		return nil, err
	}
	change := IdentityChange{Kind: IdentifiersEvicted, Reason: identity.TooManyCells, After: f.ID(e.Document)}
	for _, gone := range done.Gone {
		id, to := identity.NewID(config.Namespace, gone.Identifier), identity.NewID(config.Namespace, gone.To)
		if key, known := d.where[id]; known && key != e.Key {
			return nil, fmt.Errorf("identifier %s is in two documents: %w", gone.Identifier, ErrConflict)
		}
		delete(d.moved, id)
		if _, known := d.where[to]; !known {
			d.where[to] = e.Key
		}
		d.where[id], d.evicted[id], d.forgotten[id] = profile.Key{}, to, true
		for _, former := range d.dissolved {
			if former.formerly == gone.Identifier {
				former.formerly = gone.To
			}
		}
		change.Moved = append(change.Moved, gone.Identifier)
	}
	for _, c := range done.Cells {
		e.change(c)
	}
	e.cells = slices.DeleteFunc(e.cells, func(r cellRow) bool {
		if e.Cell(r.id) != nil {
			return false
		}
		d.dropped = append(d.dropped, r)
		return true
	})
	e.header = true
	return []IdentityChange{change}, nil
}

// countedBefore reports whether an event was counted by the leader's document before an identifier that it carries was evicted.
func (d *Documents) countedBefore(config *Config, leads *entry, in *Input) bool {
	if len(d.evicted) == 0 {
		return false
	}
	var left []identity.Identifier
	for i, id := range in.IDs {
		if _, evicted := d.evicted[id]; !evicted || leads.Has(in.Identifiers[i]) {
			left = append(left, in.Identifiers[i])
		}
	}
	if len(left) == len(in.Identifiers) || len(left) == 0 {
		return false
	}
	cell := leads.Cell(profile.NewCell(config.Namespace, left).ID)
	return cell != nil && cell.Counted(&in.Event)
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
