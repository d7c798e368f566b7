package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	lsm "github.com/cockroachdb/pebble/v2"

	"github.com/braidhq/braid/transforms/update"
)

// reserveVersions is how many versions one entry in the log reserves.
const reserveVersions = 1 << 16

var versionsKey = []byte{metaPrefix, 'v'}

// versions gives out each version once in the life of the directory. What may have been given out is written down ahead, in blocks:
// the entry precedes in the log every commit that uses the block, so whenever such a commit is there after a crash, so is the entry.
type versions struct {
	mu             sync.Mutex
	next, reserved uint64 // next one to give out; first one that is not reserved
}

func (v *versions) load(db *lsm.DB) error {
	stored, closer, err := db.Get(versionsKey)
	if errors.Is(err, lsm.ErrNotFound) {
		v.next, v.reserved = 1, 1
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the reserved versions: %w", err)
	}
	defer closer.Close()
	if len(stored) != 8 {
		return errors.New("corrupt data: the reserved versions")
	}
	v.reserved = binary.BigEndian.Uint64(stored)
	v.next = v.reserved
	return nil
}

func (v *versions) take(db *lsm.DB) (update.Version, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next == v.reserved {
		reserved := v.reserved + reserveVersions
		if err := db.Set(versionsKey, binary.BigEndian.AppendUint64(nil, reserved), lsm.NoSync); err != nil {
			return 0, err
		}
		v.reserved = reserved
	}
	v.next++
	return update.Version(v.next - 1), nil
}

// recentVersions remembers the versions of the rows written or read last, absent ones included as 0. Two generations: when the young
// one is full it becomes the old one, which is forgotten. The caller of its methods holds commitMu.
type recentVersions struct {
	limit      int
	flips      int // how often the young one became the old one
	young, old map[string]update.Version
}

func newRecentVersions(limit int) recentVersions {
	return recentVersions{limit: limit / 2, young: map[string]update.Version{}}
}

func (r *recentVersions) get(key []byte) (update.Version, bool) {
	if v, ok := r.young[string(key)]; ok {
		return v, true
	}
	v, ok := r.old[string(key)]
	return v, ok
}

func (r *recentVersions) put(key []byte, v update.Version) {
	if len(r.young) >= r.limit {
		r.old, r.young = r.young, make(map[string]update.Version, r.limit)
		r.flips++
	}
	r.young[string(key)] = v
}

// learn remembers rows as they were read after the given number of flips. One that was written since then is still remembered itself,
// unless there were two flips; then nothing is known of what was read.
func (r *recentVersions) learn(rows []update.Row, flips int) {
	for _, row := range rows {
		if r.flips > flips+1 {
			return
		}
		if _, ok := r.get(row.Key); !ok {
			r.put(row.Key, row.Version)
		}
	}
}
