package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/braidhq/braid/transforms/update"
)

// owner is what a store remembers of a segment whose rows it holds: what never changes. It lies under /s/NAME, beside the rows of all
// segments, whose keys begin with their names.
type owner struct {
	Version    int    `json:"v"`
	Segment    string `json:"segment"`
	ProfileKey string `json:"profile_key"`
}

const ownerVersion = 1

const ownerFrom, ownerTo = "/s/", "/s0"

// SegmentChangedError says that a store belongs to another segment, or to one with another profile key.
type SegmentChangedError struct {
	Store                string // where it is
	Segment, ProfileKey  string // what it holds
	WantSegment, WantKey string // what segment.yaml says
}

// Error tells what differs and what to do.
func (e *SegmentChangedError) Error() string {
	return fmt.Sprintf("the store %s holds segment %s with profile key %s, but segment.yaml says segment %s with profile key %s; neither can change "+
		"once there are profiles: set them back, or begin anew in another data directory (--data DIR)",
		e.Store, e.Segment, e.ProfileKey, e.WantSegment, e.WantKey)
}

// claim makes the store remember the segment, or checks that it is the one that the store remembers. A store within the data
// directory holds one segment; others may hold several.
func (n *Node) claim(ctx context.Context) error {
	s, d := n.options.Segment, n.options.Deployment
	mine := owner{Version: ownerVersion, Segment: s.Name, ProfileKey: s.File.ProfileKey}
	key := []byte(ownerFrom + s.Name)
	for {
		rows, err := n.store.Scan(ctx, []byte(ownerFrom), []byte(ownerTo), 1000)
		if err != nil {
			return err
		}
		found := false
		for _, row := range rows {
			var other owner
			if err := json.Unmarshal(row.Value, &other); err != nil {
				return fmt.Errorf("store %s: row %q: %w: %w", d.StoreURL(), row.Key, update.ErrDamaged, err)
			}
			if other.Version > ownerVersion {
				return fmt.Errorf("store %s: row %q: %w: version %d, known is %d", d.StoreURL(), row.Key, update.ErrFormat, other.Version, ownerVersion)
			}
			if other.Segment != mine.Segment && !d.StoreEmbedded() {
				continue
			}
			if other != mine {
				return &SegmentChangedError{d.StoreURL(), other.Segment, other.ProfileKey, mine.Segment, mine.ProfileKey}
			}
			found = true
		}
		if found {
			return nil
		}
		value, err := json.Marshal(mine)
		if err != nil {
			return err
		}
		_, err = n.store.Commit(ctx, []update.Condition{{Key: key}}, []update.Write{{Key: key, Value: value}})
		if !errors.Is(err, update.ErrConflict) { // else another node was faster: look again
			return err
		}
	}
}
