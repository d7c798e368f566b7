package update

import (
	"context"
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
		err := l.need(ctx, Need{Identifiers: []identity.ID{id}})
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
