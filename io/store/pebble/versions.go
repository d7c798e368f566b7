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
