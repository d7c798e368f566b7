package update

import (
	"context"
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

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
	var ids []identity.ID
	var cellKeys [][]byte
	loaded := make([]*profile.Document, len(wanted))
	counts := make([]int, len(wanted))
	for i, row := range headers {
		if row.Version == 0 {
			missing = append(missing, wanted[i])
			continue
		}
		doc, cells, err := profile.UnmarshalHeader(wanted[i], row.Value)
		if err != nil {
			return nil, err
		}
		loaded[i], counts[i] = doc, len(cells)
		for _, id := range cells {
			ids = append(ids, id)
			cellKeys = append(cellKeys, l.keys.cell(wanted[i], id))
		}
	}
	rows, err := l.store.Get(ctx, cellKeys)
	if err != nil {
		return nil, err
	}
	for i, doc := range loaded {
		if doc == nil {
			continue
		}
		versions := make([]cellRow, 0, counts[i])
		for j, row := range rows[:counts[i]] {
			if row.Version == 0 {
				return nil, fmt.Errorf("cell %s: not there any more: %w", ids[j], ErrConflict)
			}
			cell, err := profile.UnmarshalCell(ids[j], row.Value)
			if err != nil {
				return nil, err
			}
			doc.Cells = append(doc.Cells, cell)
			versions = append(versions, cellRow{cell.ID, doc.Key, row.Version})
		}
		rows, ids = rows[counts[i]:], ids[counts[i]:]
		l.docs.put(doc, headers[i].Version, versions)
	}
	return missing, nil
}

func unique[T ~[16]byte](ids []T) []T {
	if len(ids) < 2 {
		return ids
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b T) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
