package faults

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

// Effects are the records of the topics that others read, from their beginning.
type Effects struct {
	Records    int                          // all of them
	Repeated   int                          // those that had come before under the same ID
	Numbers    map[string]map[uint64]bool   // numbers seen, by topic/partition of what caused them
	Changes    []update.IdentityEffect      // identity changes, each once
	Rejected   []event.RejectedRecord       // rejected events, each once
	Published  map[string]int               // by profile ID: the most events that its profile was published with
	Violations []string                     // what must never be: an ID with two contents, contents with two IDs
	contents   map[[sha256.Size]byte]string // contents without their ID -> the ID they came with
	byID       map[string][sha256.Size]byte
}

// ReadEffects reads the topics profiles, identity-changes, audience-changes and rejected of a segment up to where they end now.
func ReadEffects(ctx context.Context, brokers []string, segment string) (*Effects, error) {
	e := &Effects{
		Numbers: map[string]map[uint64]bool{}, Published: map[string]int{},
		contents: map[[sha256.Size]byte]string{}, byID: map[string][sha256.Size]byte{},
	}
	for _, kind := range []topics.Kind{topics.Profiles, topics.IdentityChanges, topics.AudienceChanges, topics.Rejected} {
		err := ReadTopic(ctx, brokers, topics.Name(segment, kind), func(r *kgo.Record) error { return e.add(kind, r) })
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

// ReadTopic reads a topic from its beginning up to where it ends now.
func ReadTopic(ctx context.Context, brokers []string, topic string, each func(*kgo.Record) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("ends of %s: %w", topic, err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			end, ok := left[r.Partition]
			if !ok || r.Offset >= end {
				continue
			}
			if r.Offset == end-1 {
				delete(left, r.Partition)
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Effects) add(kind topics.Kind, r *kgo.Record) error {
	at := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	id := ""
	for _, h := range r.Headers {
		if h.Key == pipelines.HeaderID {
			id = string(h.Value)
		}
	}
	cut := strings.LastIndexByte(id, '/')
	number, err := strconv.ParseUint(id[cut+1:], 10, 64)
	if cut < 0 || err != nil {
		return fmt.Errorf("%s has the ID %q", at, id)
	}
	e.Records++
	plain := strings.Replace(string(r.Value), `"id":"`+id+`"`, `"id":""`, 1)
	hash := sha256.Sum256([]byte(string(kind) + "\n" + string(r.Key) + "\n" + plain))
	if known, ok := e.byID[id]; ok {
		e.Repeated++
		if known != hash {
			e.Violations = append(e.Violations, fmt.Sprintf("%s: other contents came under the ID %s before", at, id))
		}
		return nil
	}
	if other, ok := e.contents[hash]; ok {
		e.Violations = append(e.Violations, fmt.Sprintf("%s: ID %s has the contents that came under %s before", at, id, other))
	}
	e.byID[id], e.contents[hash] = hash, id
	if e.Numbers[id[:cut]] == nil {
		e.Numbers[id[:cut]] = map[uint64]bool{}
	}
	e.Numbers[id[:cut]][number] = true
	return e.read(kind, at, r.Value)
}

// read understands an effect that comes for the first time.
func (e *Effects) read(kind topics.Kind, at string, value []byte) error {
	var err error
	switch kind {
	case topics.Profiles:
		var effect struct {
			ProfileID string   `json:"profile_id"`
			Profile   *Profile `json:"profile"`
		}
		if err = json.Unmarshal(value, &effect); effect.Profile != nil {
			e.Published[effect.ProfileID] = max(e.Published[effect.ProfileID], effect.Profile.Events)
		}
	case topics.IdentityChanges:
		var change update.IdentityEffect
		err = json.Unmarshal(value, &change)
		e.Changes = append(e.Changes, change)
	case topics.Rejected:
		var rejected event.RejectedRecord
		rejected, err = event.DecodeRejected(value)
		e.Rejected = append(e.Rejected, rejected)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// Gaps lists numbers that are missing below the highest one of their partition.
func (e *Effects) Gaps() []string {
	var gaps []string
	for source, numbers := range e.Numbers {
		highest := uint64(0)
		for n := range numbers {
			highest = max(highest, n)
		}
		for n := range highest {
			if !numbers[n] {
				gaps = append(gaps, source+"/"+strconv.FormatUint(n, 10))
			}
		}
	}
	slices.Sort(gaps)
	return gaps
}

// Complete checks that exactly the effects which the store says were given out are there. The error names what is not.
func (e *Effects) Complete(progress map[update.Partition]update.Progress) error {
	given := map[string]uint64{}
	for p, at := range progress {
		given[p.String()] = at.NextEffect
	}
	for source, numbers := range e.Numbers {
		if uint64(len(numbers)) > given[source] {
			return fmt.Errorf("%s sent %d effects, the store knows of %d", source, len(numbers), given[source])
		}
	}
	for source, next := range given {
		for n := range next {
			if !e.Numbers[source][n] {
				return fmt.Errorf("effect %s/%d of %d is missing", source, n, next)
			}
		}
	}
	return nil
}

// People checks identity changes of a stream in which nobody shares anything: profiles are only made, extended and merged, and those
// made less those merged away are the profiles there are.
func (e *Effects) People(profiles int) error {
	known, gone := map[string]bool{}, map[string]bool{}
	counts := map[update.ChangeKind]int{}
	for _, c := range e.Changes {
		counts[c.Kind]++
		known[c.After] = true
	}
	for _, c := range e.Changes {
		for _, before := range c.Before {
			if !known[before] {
				return fmt.Errorf("change %s (%s) concerns %s, which no change ever made", c.ID, c.Kind, before)
			}
			if c.Kind == update.ProfilesMerged && before != c.After {
				gone[before] = true
			}
		}
	}
	if n := counts[update.ProfilesMoved] + counts[update.LinkRefused]; n > 0 {
		return fmt.Errorf("%d identifiers moved or links were refused, though nothing is shared", n)
	}
	if have := counts[update.ProfileCreated] - counts[update.ProfilesMerged]; have != profiles {
		return fmt.Errorf("%d profiles were made and %d merged away, which leaves %d, want %d",
			counts[update.ProfileCreated], counts[update.ProfilesMerged], have, profiles)
	}
	return nil
}
