package pebble

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/braidhq/braid/transforms/update"
)

// recentRows remembers the rows written or read last, absent ones included: most reads are of rows written a moment ago, and
// conditions are checked without reading back. It has two generations: when the young one is full the old one is forgotten and its
// memory becomes the young one; a row met in the old one moves up. The caller of its methods holds commitMu.
type recentRows struct {
	limit      int // bytes of one generation
	seed       maphash.Seed
	flips      int // how often the young one became the old one
	young, old generation
}

// generation is rows in one piece of memory outside of the heap: what is remembered costs the collector nothing, and makes it wait for no
// garbage. A row that changed is written in its place or, when that is too small, lies there again, and where says which counts.
type generation struct {
	memory []byte // taken when the first row comes
	used   int    // bytes of memory
	where  map[uint64]int
}

// recentRow is a row as it is: version 0 and no value when it is absent. A value that get returned is good until the next put.
type recentRow struct {
	version update.Version
	value   []byte
}

// A row lies as: length of key (4), length of value + 1, or 0 for none, or untold (4), room for the value (4), version (8), key, value.
// rowOverhead is that and about what the map takes.
const (
	rowHeader   = 20
	rowOverhead = rowHeader + 24
	untold      = 1<<32 - 1 // the row is too large to be held; only that there is nothing to learn about it is remembered
	largestRow  = 16 << 10  // of a value; larger rows are read seldom, and many others would go for one
)

func newRecentRows(bytes int64) recentRows {
	return recentRows{limit: int(bytes / 2), seed: maphash.MakeSeed()}
}

// release gives the memory back. No other method is called any more.
func (r *recentRows) release() error {
	for _, g := range []*generation{&r.young, &r.old} {
		if err := giveMemory(g.memory); err != nil {
			return err
		}
		*g = generation{}
	}
	return nil
}

// reset empties a generation and makes its memory ready.
func (g *generation) reset(limit int) {
	g.used = 0
	if g.where == nil {
		g.where = map[uint64]int{}
	}
	clear(g.where)
	if g.memory == nil {
		g.memory = takeMemory(limit)
	}
}

// free is what is left of the bytes of a generation.
func (g *generation) free(limit int) int {
	return limit - g.used - len(g.where)*(rowOverhead-rowHeader)
}

func (g *generation) get(hash uint64, key []byte) (recentRow, bool) {
	at, ok := g.where[hash]
	if !ok {
		return recentRow{}, false
	}
	row := g.memory[at:g.used]
	keyed := rowHeader + int(binary.LittleEndian.Uint32(row))
	if string(row[rowHeader:keyed]) != string(key) {
		return recentRow{}, false // another key of the same hash
	}
	found := recentRow{version: update.Version(binary.LittleEndian.Uint64(row[12:]))}
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
	if ok && r.young.free(r.limit) >= rowOverhead+len(key)+2*len(row.value)+growth { // else the memory it lies in would be written over
		r.put(key, row)
	}
	return row, ok
}

// put remembers a row, and forgets any other whose key has the same hash. A row with a key of more than largestRow is never remembered.
func (r *recentRows) put(key []byte, row recentRow) {
	if len(key) > largestRow {
		return
	}
	valued, value := 0, row.value
	if value != nil {
		valued = len(value) + 1
	}
	if len(value) > min(largestRow, r.limit/4) {
		valued, value = untold, nil
	}
	hash := maphash.Bytes(r.seed, key)
	if r.young.change(hash, key, row.version, valued, value) {
		return
	}
	room := len(value) + len(value)/8 + growth
	if r.young.free(r.limit) < rowOverhead+len(key)+room {
		r.young, r.old = r.old, r.young
		r.young.reset(r.limit)
		r.flips++
	}
	g := &r.young
	if g.memory == nil {
		g.reset(r.limit)
	}
	delete(r.old.where, hash)
	g.where[hash] = g.used
	at := g.memory[g.used : g.used+rowHeader+len(key)+room]
	binary.LittleEndian.PutUint32(at, uint32(len(key)))
	binary.LittleEndian.PutUint32(at[4:], uint32(valued))
	binary.LittleEndian.PutUint32(at[8:], uint32(room))
	binary.LittleEndian.PutUint64(at[12:], uint64(row.version))
	copy(at[rowHeader:], key)
	copy(at[rowHeader+len(key):], value)
	g.used += rowHeader + len(key) + room
}

// growth is the least room by which a value may grow in its place.
const growth = 16

// change writes a row in the place it has, and reports whether there was one that is large enough.
func (g *generation) change(hash uint64, key []byte, version update.Version, valued int, value []byte) bool {
	at, ok := g.where[hash]
	if !ok {
		return false
	}
	row := g.memory[at:]
	keyed := rowHeader + int(binary.LittleEndian.Uint32(row))
	if len(value) > int(binary.LittleEndian.Uint32(row[8:])) || string(row[rowHeader:keyed]) != string(key) {
		return false
	}
	binary.LittleEndian.PutUint32(row[4:], uint32(valued))
	binary.LittleEndian.PutUint64(row[12:], uint64(version))
	copy(row[keyed:], value)
	return true
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
