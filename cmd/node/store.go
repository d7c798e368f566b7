package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// owner is what a store remembers of a segment whose rows it holds: what never changes. It lies under /s/NAME, beside the rows of all
// segments, whose keys begin with their names.
type owner struct {
	Version    int    `json:"v"`
	Segment    string `json:"segment"`
	ProfileKey string `json:"profile_key"`
	// Keys are the stitching keys by priority, each with the rules that profiles follow from: "email keep_first limit 5 per 365d".
	Keys []string `json:"keys"`
	// Settling says that the profiles are being settled under these keys; they were made under others.
	Settling bool `json:"settling,omitempty"`
	// Audiences is a hash of what audiences mean.
	Audiences string `json:"audiences"`
	// Reading is a hash of how events are read: what is done when one arrives, and not again.
	Reading string `json:"reading"`
}

func ownerOf(s *segment.Segment) owner {
	o := owner{Version: ownerVersion, Segment: s.Name, ProfileKey: s.File.ProfileKey}
	for _, k := range s.File.Keys {
		rule := k.Name + " " + string(k.Policy)
		switch {
		case k.Unique:
			rule += " unique"
		case k.Limit != nil:
			rule += fmt.Sprintf(" limit %d", k.Limit.Count)
			if k.Limit.Per > 0 {
				rule += " per " + k.Limit.Per.String()
			}
		}
		if k.Saturation != nil {
			rule += fmt.Sprintf(" saturation %d", *k.Saturation)
		}
		o.Keys = append(o.Keys, rule)
	}
	o.Reading = reading(s)
	if meaning := s.Audiences.Meaning(); meaning != "" {
		o.Audiences = hash([]byte(meaning))
	}
	return o
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// reading returns a hash of what decides how an event is read: the values of keys, the fields they are found in, the event definitions.
func reading(s *segment.Segment) string {
	read := struct {
		Keys           []identity.KeyRule
		Tables, Events any
	}{slices.Clone(s.File.Keys), s.File.Tables, s.File.Events}
	for i := range read.Keys {
		k := &read.Keys[i]
		k.Policy, k.Unique, k.Limit, k.Saturation = "", false, nil, nil
	}
	text, err := json.Marshal(read)
	if err != nil { // they came from a file
		panic(err)
	}
	return hash(text)
}

// lacks reports whether a key of others is not there any more.
func (o owner) lacks(others []string) bool {
	name := func(rule string) string {
		name, _, _ := strings.Cut(rule, " ")
		return name
	}
	return slices.ContainsFunc(others, func(other string) bool {
		return !slices.ContainsFunc(o.Keys, func(key string) bool { return name(key) == name(other) })
	})
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

// KeysRemovedError says that stitching keys of a store are not in the segment any more.
type KeysRemovedError struct {
	Store      string // where it is
	Keys, Want []string
}

// Error tells what differs and what to do.
func (e *KeysRemovedError) Error() string {
	return fmt.Sprintf("the store %s was made with the stitching keys %s, but segment.yaml says %s: keys may be added, ranked differently and given other "+
		"rules, but once there are profiles none can be removed, for that needs all events once more; set it back, or begin anew in another data "+
		"directory (--data DIR)", e.Store, strings.Join(e.Keys, ", "), strings.Join(e.Want, ", "))
}

// claim makes the store remember the segment, or checks that it is the one that the store remembers, and settles its profiles anew when
// their rules have changed. A store within the data directory holds one segment; others may hold several.
func (n *Node) claim(ctx context.Context) error {
	s, d := n.options.Segment, n.options.Deployment
	mine := ownerOf(s)
	key := []byte(ownerFrom + s.Name)
	for {
		rows, err := n.store.Scan(ctx, []byte(ownerFrom), []byte(ownerTo), 1000)
		if err != nil {
			return err
		}
		known, version := owner{}, update.Version(0)
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
			case mine.lacks(other.Keys):
				return &KeysRemovedError{d.StoreURL(), other.Keys, mine.Keys}
			}
			known, version = other, row.Version
		}
		next := mine
		switch {
		case version != 0 && (known.Settling || !mine.keeps(known.Keys)):
			if next.Settling = true; known.Settling && slices.Equal(known.Keys, mine.Keys) {
				if err := n.settle(ctx); err != nil {
					return err
				}
				next.Settling = false
			}
		case version != 0 && len(known.Keys) == len(mine.Keys) && known.Reading == mine.Reading && known.Audiences == mine.Audiences:
			return nil
		}
		if version != 0 && known.Audiences != mine.Audiences && !next.Settling {
			if err := n.reassess(ctx); err != nil {
				return err
			}
		}
		if version != 0 && known.Reading != mine.Reading && !next.Settling {
			n.options.Logger.Warn("what identifies somebody, where it is found, or an event definition has changed: that holds for events from now on; " +
				"to apply it to those before, let another data directory (--data DIR) read the topic of events from its beginning")
		}
		value, err := json.Marshal(next)
		if err != nil {
			return err
		}
		_, err = n.store.Commit(ctx, []update.Condition{{Key: key, Version: version}}, []update.Write{{Key: key, Value: value}})
		switch {
		case errors.Is(err, update.ErrConflict): // another node was faster: look again
		case err != nil || !next.Settling:
			return err
		}
	}
}

// reassess finds out who is in which audience by the conditions of today.
func (n *Node) reassess(ctx context.Context) error {
	log := n.options.Logger
	log.Info("audiences have changed: looking at everybody anew")
	name := n.options.Segment.Name
	now, err := update.NewStreamClock(n.store, name, topics.Name(name, topics.Events)).Now(ctx)
	if err != nil {
		return fmt.Errorf("looking who is in which audience: %w; it goes on at the next start", err)
	}
	if now == 0 {
		return nil
	}
	changed, err := update.Reassess(ctx, n.config, n.store, now)
	if err != nil {
		return fmt.Errorf("looking who is in which audience: %w; it goes on at the next start", err)
	}
	log.Info("looked at everybody", "changed", changed)
	return nil
}

// settleRounds is how often profiles that change meanwhile are settled again.
const settleRounds = 5

// settle makes the profiles what they would be if the rules had always been those of today.
func (n *Node) settle(ctx context.Context) error {
	log := n.options.Logger
	log.Info("the rules of the stitching keys have changed: settling all profiles under the new ones")
	for range settleRounds {
		done, err := update.Recheck(ctx, n.config, n.store, nil)
		if err != nil {
			return fmt.Errorf("settling profiles under the new rules: %w; it goes on at the next start", err)
		}
		log.Info("settled", "profiles", done.Documents, "rewritten", done.Corrected, "changes", done.Changes)
		if done.Unsettled == 0 {
			return nil
		}
	}
	return errors.New("settling profiles under the new rules: another node changes them; stop it first")
}
