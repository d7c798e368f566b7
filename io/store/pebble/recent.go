package pebble

import "github.com/braidhq/braid/transforms/update"

// recentRows remembers the rows written or read last, absent ones included: most reads are of rows written a moment ago, and
// conditions are checked without reading back. It has two generations: when the young one is full it becomes the old one, which is
// forgotten; a row met in the old one moves up. The caller of its methods holds commitMu.
type recentRows struct {
	limit      int // bytes of one generation
	size       int // bytes of the young one
	flips      int // how often the young one became the old one
	young, old map[string]recentRow
}

// recentRow is a row as it is: version 0 and no value when it is absent.
type recentRow struct {
	version update.Version
	value   []byte
}

// rowOverhead is about what the map takes for a row beside its key and value.
const rowOverhead = 96

func newRecentRows(bytes int64) recentRows {
	return recentRows{limit: int(bytes / 2), young: map[string]recentRow{}}
}

func (r *recentRows) get(key []byte) (recentRow, bool) {
	if row, ok := r.young[string(key)]; ok {
		return row, true
	}
	row, ok := r.old[string(key)]
	if ok {
		r.put(key, row)
	}
	return row, ok
}

func (r *recentRows) put(key []byte, row recentRow) {
	if r.size >= r.limit {
		r.old, r.young = r.young, make(map[string]recentRow, len(r.young))
		r.flips++
		r.size = 0
	}
	if before, ok := r.young[string(key)]; ok {
		r.size -= rowOverhead + len(key) + len(before.value)
	}
	r.young[string(key)] = row
	r.size += rowOverhead + len(key) + len(row.value)
}

// learn remembers a row as it was read after the given number of flips. One that was written since then is still remembered itself,
// unless there were two flips; then nothing is known of what was read.
func (r *recentRows) learn(row update.Row, flips int) {
	if r.flips > flips+1 {
		return
	}
	if _, ok := r.get(row.Key); !ok {
		r.put(row.Key, recentRow{row.Version, row.Value})
	}
}
