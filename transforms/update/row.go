package update

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
)

// transaction collects what one commit demands and writes.
type transaction struct {
	keys       rowKeys
	within     int // Config.CellsWithin
	conditions []Condition
	writes     []Write
}

func (t *transaction) demand(key []byte, v Version) {
	t.conditions = append(t.conditions, Condition{Key: key, Version: v})
}

func (t *transaction) write(key, value []byte) {
	t.writes = append(t.writes, Write{Key: key, Value: value})
}

// documents adds the working set: every document that was read is a condition, every row that changed is written. Cells and identifiers
// that were there need no condition of their own, for neither changes without its document's row.
func (t *transaction) documents(docs *Documents) error {
	for id, key := range docs.moved {
		t.write(t.keys.identifier(id), append([]byte(nil), key[:]...))
	}
	for id := range docs.forgotten {
		to := docs.evicted[id]
		t.write(t.keys.identifier(id), append([]byte{rowEvicted}, to[:]...))
	}
	for id, version := range docs.unclaimed {
		t.demand(t.keys.identifier(id), version)
	}
	for _, e := range docs.dissolved {
		t.demand(t.keys.document(e.Key), e.version)
		t.write(t.keys.document(e.Key), nil)
		t.due(e, 0)
	}
	for _, e := range docs.documents {
		t.demand(t.keys.document(e.Key), e.version)
		if e.header || len(e.changed) > 0 {
			if err := t.document(e); err != nil {
				return err
			}
		}
		t.due(e, e.Due())
	}
	t.drop(docs.dropped)
	return nil
}

// rowEvicted begins the row of an identifier that no document has any more; the ID of the one that leads to where it was follows. The
// row of any other identifier is the key of its document.
const rowEvicted = 'e'

func parseIdentifierRow(row []byte) (key profile.Key, evictedTo identity.ID, err error) {
	switch {
	case len(row) == len(key):
		return profile.Key(row), evictedTo, nil
	case len(row) == 1+len(evictedTo) && row[0] == rowEvicted:
		return key, identity.ID(row[1:]), nil
	}
	return key, evictedTo, profile.ErrDamaged
}

// document writes a document, and its cells as rows of their own where they are too large to lie within it.
func (t *transaction) document(e *entry) error {
	header, err := e.MarshalHeader()
	if err != nil {
		return err
	}
	cells, size, err := e.rows()
	if err != nil {
		return err
	}
	within := size <= t.within
	room := len(header) + binary.MaxVarintLen64
	if within {
		room += size + len(cells)*binary.MaxVarintLen64
	}
	row := make([]byte, 0, room)
	row = append(binary.AppendUvarint(row, uint64(len(header))), header...)
	for _, c := range cells {
		apart := c.apart && c.home == e.Key
		switch {
		case within:
			row = append(binary.AppendUvarint(row, uint64(len(c.row))), c.row...)
		case !apart || c.changed:
			t.write(t.keys.cell(e.Key, c.id), c.row)
		}
		if c.apart && (within || !apart) {
			t.write(t.keys.cell(c.home, c.id), nil)
		}
	}
	t.write(t.keys.document(e.Key), row)
	return nil
}

// drop deletes the rows of cells that went into others, unless a cell of the same set took their place.
func (t *transaction) drop(rows []cellRow) {
	for _, c := range rows {
		key := t.keys.cell(c.home, c.id)
		if c.apart && !slices.ContainsFunc(t.writes, func(w Write) bool { return bytes.Equal(w.Key, key) }) {
			t.write(key, nil)
		}
	}
}

func (t *transaction) due(e *entry, at int64) {
	if at == e.due {
		return
	}
	if e.due != 0 {
		t.write(t.keys.due(e.Key, e.due), nil)
	}
	if at != 0 {
		t.write(t.keys.due(e.Key, at), e.Key[:])
	}
}

// outbox adds the effects of a bundle and returns the key of their row, nil when there are none.
func (t *transaction) outbox(o *outbox) ([]byte, error) {
	if len(o.effects) == 0 {
		return nil, nil
	}
	row, err := o.marshal()
	if err != nil {
		return nil, err
	}
	key := t.keys.outbox(o.partition, o.first)
	t.write(key, row)
	return key, nil
}

// Rows of the store: namespace / kind / id. The kinds are i identifier -> document, d document, c cell, p progress, t due entry,
// o outbox. Numbers in keys are big endian, so that rows sort by them. The cells of a document lie side by side, for they are read
// together: their keys begin with the document's.
type keyspace string

func (k keyspace) key(kind byte, size int) []byte {
	b := make([]byte, 0, len(k)+3+size)
	b = append(b, k...)
	return append(b, '/', kind, '/')
}

// rowKeys makes the many keys of a bundle, in few pieces of memory.
type rowKeys struct {
	keyspace
	free []byte
}

func (k *rowKeys) identifier(id identity.ID) []byte { return k.row('i', id[:], nil) }

func (k *rowKeys) document(key profile.Key) []byte { return k.row('d', key[:], nil) }

func (k *rowKeys) cell(document profile.Key, id identity.ID) []byte {
	return k.row('c', document[:], id[:])
}

func (k *rowKeys) row(kind byte, id, within []byte) []byte {
	size := len(k.keyspace) + 3 + len(id) + len(within)
	if cap(k.free)-len(k.free) < size {
		k.free = make([]byte, 0, max(size, 1024))
	}
	from := len(k.free)
	k.free = append(append(append(append(k.free, k.keyspace...), '/', kind, '/'), id...), within...)
	return k.free[from:len(k.free):len(k.free)]
}

func (k keyspace) progress(p Partition) []byte {
	b := append(k.key('p', len(p.Topic)+5), p.Topic...)
	return binary.BigEndian.AppendUint32(append(b, 0), uint32(p.Partition))
}

func (k keyspace) outbox(p Partition, effect uint64) []byte {
	b := append(k.key('o', len(p.Topic)+13), p.Topic...)
	b = binary.BigEndian.AppendUint32(append(b, 0), uint32(p.Partition))
	return binary.BigEndian.AppendUint64(b, effect)
}

// DueBuckets is the number of groups into which due entries are spread, by document, so that several workers can share them.
const DueBuckets = 64

func dueBucket(key profile.Key) byte { return key[0] % DueBuckets }

func (k keyspace) dueFrom(bucket byte, due int64) []byte {
	return binary.BigEndian.AppendUint64(append(k.key('t', 25), bucket), uint64(due))
}

func (k keyspace) due(key profile.Key, due int64) []byte {
	return append(k.dueFrom(dueBucket(key), due), key[:]...)
}

// Due is an entry of the schedule: a document has something to do at a time of the stream clock.
type Due struct {
	At       int64 // epoch milliseconds
	Document profile.Key
}

func (k keyspace) parseDue(key []byte) (Due, error) {
	prefix := len(k) + 3
	if len(key) != prefix+25 {
		return Due{}, fmt.Errorf("due entry: key of %d bytes", len(key))
	}
	b := key[prefix+1:]
	return Due{At: int64(binary.BigEndian.Uint64(b)), Document: profile.Key(b[8:])}, nil
}

// all returns the range of all rows of a kind.
func (k keyspace) all(kind byte) (from, to []byte) {
	from = k.key(kind, 0)
	to = append([]byte(nil), from...)
	to[len(to)-1]++
	return from, to
}
