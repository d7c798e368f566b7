package update

import (
	"context"
	"encoding/binary"
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
