package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// owner is what a store remembers of a segment whose rows it holds: what never changes. It lies under /s/NAME, beside the rows of all
// segments, whose keys begin with their names.
type owner struct {
	Version    int    `json:"v"`
	Segment    string `json:"segment"`
	ProfileKey string `json:"profile_key"`
	// Keys are the stitching keys by priority, each with its policy: "email keep_first".
	Keys []string `json:"keys"`
}

func ownerOf(s *segment.Segment) owner {
	o := owner{Version: ownerVersion, Segment: s.Name, ProfileKey: s.File.ProfileKey}
	for _, k := range s.File.Keys {
		o.Keys = append(o.Keys, k.Name+" "+string(k.Policy))
	}
	return o
}

// keeps reports whether all keys are among others in the same order: further ones change nothing about events that came before them.
func (o owner) keeps(others []string) bool {
	for _, key := range others {
		i := slices.Index(o.Keys, key)
		if i < 0 {
			return false
		}
		o.Keys = o.Keys[i+1:]
	}
	return true
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

// KeysChangedError says that the stitching keys of a store were removed, put into another order or given another policy.
type KeysChangedError struct {
	Store      string // where it is
	Keys, Want []string
}

// Error tells what differs and what to do.
func (e *KeysChangedError) Error() string {
	return fmt.Sprintf("the store %s was made with the stitching keys %s, but segment.yaml says %s: keys may be added, but once there are profiles "+
		"none can be removed, ranked differently or given another policy; set them back, or begin anew in another data directory (--data DIR)",
		e.Store, strings.Join(e.Keys, ", "), strings.Join(e.Want, ", "))
}

// claim makes the store remember the segment, or checks that it is the one that the store remembers. A store within the data
// directory holds one segment; others may hold several.
func (n *Node) claim(ctx context.Context) error {
	s, d := n.options.Segment, n.options.Deployment
	mine := ownerOf(s)
	key := []byte(ownerFrom + s.Name)
	for {
		rows, err := n.store.Scan(ctx, []byte(ownerFrom), []byte(ownerTo), 1000)
		if err != nil {
			return err
		}
		found, version := false, update.Version(0)
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
			switch {
			case other.Segment != mine.Segment || other.ProfileKey != mine.ProfileKey:
				return &SegmentChangedError{d.StoreURL(), other.Segment, other.ProfileKey, mine.Segment, mine.ProfileKey}
			case !mine.keeps(other.Keys):
				return &KeysChangedError{d.StoreURL(), other.Keys, mine.Keys}
			}
			found, version = len(other.Keys) == len(mine.Keys), row.Version
		}
		if found {
			return nil
		}
		value, err := json.Marshal(mine)
		if err != nil {
			return err
		}
		_, err = n.store.Commit(ctx, []update.Condition{{Key: key, Version: version}}, []update.Write{{Key: key, Value: value}})
		if !errors.Is(err, update.ErrConflict) { // else another node was faster: look again
			return err
		}
	}
}
