package pebble

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/braidhq/braid/transforms/update"
)

// recentRows remembers the rows written or read last, absent ones included: most reads are of rows written a moment ago, and
// conditions are checked without reading back. It has two generations: when the young one is full it becomes the old one, which is
// forgotten; a row met in the old one moves up. The caller of its methods holds commitMu.
type recentRows struct {
	limit      int // bytes of one generation
	seed       maphash.Seed
	flips      int // how often the young one became the old one
	young, old generation
}

// generation is rows in one piece of memory, in which the garbage collector finds nothing to follow. What is in it never changes, so
// values are given out as they lie there; a row that changed is there again, and where says which counts.
type generation struct {
	rows  []byte
	where map[uint64]int // hash of the key -> place of the row
}

// recentRow is a row as it is: version 0 and no value when it is absent.
type recentRow struct {
	version update.Version
	value   []byte
}

// A row lies as: length of key (4), length of value + 1, or 0 for none, or untold (4), version (8), key, value. rowOverhead is that and
// about what the map takes.
const (
	rowHeader   = 16
	rowOverhead = rowHeader + 24
	untold      = 1<<32 - 1 // the row is too large to be held; only that there is nothing to learn about it is remembered
)

func newRecentRows(bytes int64) recentRows {
	return recentRows{limit: int(bytes / 2), seed: maphash.MakeSeed(), young: generation{where: map[uint64]int{}}}
}

func (g *generation) get(hash uint64, key []byte) (recentRow, bool) {
	at, ok := g.where[hash]
	if !ok {
		return recentRow{}, false
	}
	row := g.rows[at:]
	keyed := rowHeader + int(binary.LittleEndian.Uint32(row))
	if string(row[rowHeader:keyed]) != string(key) {
		return recentRow{}, false // another key of the same hash
	}
	found := recentRow{version: update.Version(binary.LittleEndian.Uint64(row[8:]))}
	switch size := int(binary.LittleEndian.Uint32(row[4:])); size {
	case untold:
		return recentRow{}, false
	case 0:
	default:
		found.value = row[keyed : keyed+size-1 : keyed+size-1]
	}
	return found, true
}

func (r *recentRows) get(key []byte) (recentRow, bool) {
	hash := maphash.Bytes(r.seed, key)
	if row, ok := r.young.get(hash, key); ok {
		return row, true
	}
	row, ok := r.old.get(hash, key)
	if ok {
		r.put(key, row)
	}
	return row, ok
}

// put remembers a row, and forgets any other whose key has the same hash.
func (r *recentRows) put(key []byte, row recentRow) {
	valued, value := 0, row.value
	if value != nil {
		valued = len(value) + 1
	}
	if len(value) > r.limit/4 {
		valued, value = untold, nil
	}
	size := rowOverhead + len(key) + len(value)
	if len(r.young.rows)+len(r.young.where)*(rowOverhead-rowHeader)+size > r.limit {
		r.old, r.young = r.young, generation{where: make(map[uint64]int, len(r.young.where))}
		r.flips++
	}
	if r.young.rows == nil {
		r.young.rows = make([]byte, 0, r.limit)
	}
	g, hash := &r.young, maphash.Bytes(r.seed, key)
	delete(r.old.where, hash)
	g.where[hash] = len(g.rows)
	g.rows = binary.LittleEndian.AppendUint32(g.rows, uint32(len(key)))
	g.rows = binary.LittleEndian.AppendUint32(g.rows, uint32(valued))
	g.rows = binary.LittleEndian.AppendUint64(g.rows, uint64(row.version))
	g.rows = append(append(g.rows, key...), value...)
}

// learn remembers a row as it was read after the given number of flips. One that was written since then has left its trace, unless
// there were two flips; then nothing is known of what was read.
func (r *recentRows) learn(row update.Row, flips int) {
	if r.flips > flips+1 {
		return
	}
	hash := maphash.Bytes(r.seed, row.Key)
	_, young := r.young.where[hash]
	_, old := r.old.where[hash]
	if !young && !old {
		r.put(row.Key, recentRow{row.Version, row.Value})
	}
}
