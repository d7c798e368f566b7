package update

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// Reader looks profiles up.
type Reader struct {
	config *Config
	store  Store
	keys   keyspace
}

// NewReader returns a reader. It is safe for concurrent use.
func NewReader(config *Config, store Store) *Reader {
	return &Reader{config: config, store: store, keys: keyspace(config.Namespace)}
}

// Folder returns what makes views of the documents that the reader finds.
func (r *Reader) Folder() *profile.Folder {
	f := r.config.folder()
	return &f
}

// KeyProfileID is the name under which Find takes a profile ID instead of a stitching key's value.
const KeyProfileID = "profile_id"

// SplitError says that a profile ID stood for a person whose identifiers belong to several people by now.
type SplitError struct{ ID identity.ID }

// Error says what to do.
func (e *SplitError) Error() string {
	return fmt.Sprintf("profile %s was split: what it was made of belongs to several people now; ask by an identifier", e.ID)
}

// Find returns the document of the person who has a value of a stitching key, or any profile ID ever given out; nil when nobody has
// it. An *identity.RefusedError says that nobody can, a *SplitError that the profile of that ID is several by now.
func (r *Reader) Find(ctx context.Context, key, value string) (*profile.Document, error) {
	if key == KeyProfileID {
		id, err := identity.ParseID(value)
		if err != nil {
			return nil, &identity.RefusedError{Key: key, Reason: identity.InvalidText}
		}
		d, err := r.Document(ctx, id)
		if err == nil && d != nil && r.split(d, id) {
			return nil, &SplitError{id}
		}
		return d, err
	}
	identifier, refusal := r.config.Rules.Normalize(key, value)
	if refusal != "" {
		return nil, &identity.RefusedError{Key: key, Reason: refusal}
	}
	return r.Document(ctx, identity.NewID(r.config.Namespace, identifier))
}

// DocumentOf returns a document by its key, or nil when it is not there any more.
func (r *Reader) DocumentOf(ctx context.Context, key profile.Key) (*profile.Document, error) {
	_, e, err := loadOne(ctx, r.store, r.keys, key)
	if err != nil || e == nil {
		return nil, err
	}
	return e.Document, nil
}

// loadOne returns a working set of one document, nil when it is not there any more.
func loadOne(ctx context.Context, store Store, keys keyspace, key profile.Key) (*Documents, *entry, error) {
	docs := NewDocuments()
	l := loader{store: store, keys: rowKeys{keyspace: keys}, docs: docs}
	_, err := l.documents(ctx, []profile.Key{key})
	return docs, docs.documents[key], err
}

// split reports whether the ID of a member stood for another person's profile, before the member came from there.
func (r *Reader) split(d *profile.Document, id identity.ID) bool {
	return r.Folder().ID(d) != id && slices.ContainsFunc(d.Came, func(m identity.Identifier) bool { return identity.NewID(r.config.Namespace, m) == id })
}

// Document returns the document that has an identifier, given by its ID, or nil when nobody has it. Any profile ID ever given out
// is the ID of an identifier, so it serves as well.
func (r *Reader) Document(ctx context.Context, id identity.ID) (*profile.Document, error) {
	for attempt := 1; ; attempt++ {
		docs := NewDocuments()
		l := loader{store: r.store, keys: rowKeys{keyspace: r.keys}, docs: docs}
		id, err := l.follow(ctx, id)
		if doc := docs.Of(id); err == nil && doc != nil && !r.has(doc, id) {
			err = fmt.Errorf("document %s lacks its member %s: %w", identity.ID(doc.Key), id, ErrConflict)
		}
		if isConflict(err) && attempt < attempts && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		doc := docs.Of(id)
		if doc != nil && doc.Unseen() {
			return nil, nil
		}
		return doc, nil
	}
}

// follow loads the document that has an identifier, or that of the one which leads to it when it was evicted, and returns whose it is.
func (l *loader) follow(ctx context.Context, id identity.ID) (identity.ID, error) {
	for {
		if err := l.need(ctx, Need{Identifiers: []identity.ID{id}}); err != nil {
			return id, err
		}
		to, evicted := l.docs.evicted[id]
		if !evicted {
			return id, nil
		}
		if _, known := l.docs.where[to]; known {
			return id, fmt.Errorf("identifier %s: %w: it leads in a circle", id, profile.ErrDamaged)
		}
		id = to
	}
}

// has reports whether an identifier is a member. One may have moved on between the reading of its row and of its document, which then
// is somebody else's.
func (r *Reader) has(doc *profile.Document, id identity.ID) bool {
	return slices.ContainsFunc(doc.Members, func(m identity.Identifier) bool { return identity.NewID(r.config.Namespace, m) == id })
}

// Documents iterates over the documents of all people in the order of their keys; one that changes meanwhile may be missed or come twice.
func (r *Reader) Documents(ctx context.Context) iter.Seq2[*profile.Document, error] {
	return func(yield func(*profile.Document, error) bool) {
		for d, err := range r.all(ctx) {
			if d != nil && d.Unseen() {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// all iterates over all documents, also those that only rulings name.
func (r *Reader) all(ctx context.Context) iter.Seq2[*profile.Document, error] {
	return func(yield func(*profile.Document, error) bool) {
		from, to := r.keys.all('d')
		prefix := len(from)
		for {
			rows, err := r.store.Scan(ctx, from, to, 500)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range rows {
				key := profile.Key(row.Key[prefix:])
				docs := NewDocuments()
				l := loader{store: r.store, keys: rowKeys{keyspace: r.keys}, docs: docs}
				if _, err := l.documents(ctx, []profile.Key{key}); err != nil && !isConflict(err) {
					yield(nil, err)
					return
				}
				if e := docs.documents[key]; e != nil && !yield(e.Document, nil) {
					return
				}
				from = append(append([]byte(nil), row.Key...), 0)
			}
			if len(rows) < 500 {
				return
			}
		}
	}
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
		key, to, err := parseIdentifierRow(row.Value)
		switch {
		case row.Version != 0 && err != nil:
			return fmt.Errorf("identifier %s: %w", ids[i], err)
		case row.Version == 0 || key == profile.Key{}:
			l.docs.unclaimed[ids[i]] = row.Version
			if row.Version != 0 {
				l.docs.evicted[ids[i]] = to
			}
		}
		l.docs.where[ids[i]] = key
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
