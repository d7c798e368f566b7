package kafkaio

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Start says at which offsets to begin; made by Earliest, Latest, Timestamp, Offsets or GroupOffsets.
type Start struct {
	At      startAt
	Time    int64                      `json:",omitempty"` // ms
	Offsets map[string]map[int32]int64 `json:",omitempty"` // topic -> partition -> next offset
}

type startAt string

const (
	atEarliest startAt = "earliest"
	atLatest   startAt = "latest"
	atTime     startAt = "timestamp"
	atOffsets  startAt = "offsets"
	atGroup    startAt = "group"
)

// Earliest begins at the first record that is still there.
func Earliest() Start { return Start{At: atEarliest} }

// Latest begins at the end: only records written from now on.
func Latest() Start { return Start{At: atLatest} }

// Timestamp begins in each partition at the first record whose timestamp is t or later, or at the end.
func Timestamp(t time.Time) Start { return Start{At: atTime, Time: t.UnixMilli()} }

// Offsets begins at the given next offsets, topic -> partition -> offset.
func Offsets(o map[string]map[int32]int64) Start { return Start{At: atOffsets, Offsets: o} }

// GroupOffsets begins at the offsets committed by the Group.
func GroupOffsets() Start { return Start{At: atGroup} }

// mine says whether a partition belongs to a shard. It depends on the list of topics only, never on what exists now, so
// that new partitions have one owner.
func mine(topics []string, topic string, num, shard, shards int32) bool {
	i := slices.Index(topics, topic)
	return i >= 0 && (int32(i)+num)%shards == shard
}

// resolver finds partitions and offsets in one moment of a cluster.
type resolver struct {
	cl  *kgo.Client
	adm *kadm.Client
	cfg *readConfig
}

// topics lists the topics by name, an error when one is missing or cannot be described now.
func (r resolver) topics(ctx context.Context) (kadm.TopicDetails, error) {
	ts, err := r.adm.ListTopics(ctx, r.cfg.Topics...)
	if err != nil {
		return nil, fmt.Errorf("kafkaio: listing topics: %w", err)
	}
	for _, name := range r.cfg.Topics {
		t, ok := ts[name]
		if !ok {
			return nil, fmt.Errorf("kafkaio: topic %q: %w", name, kerr.UnknownTopicOrPartition)
		}
		if t.Err != nil {
			return nil, fmt.Errorf("kafkaio: topic %q: %w", name, t.Err)
		}
	}
	return ts, nil
}

// partitions returns the partitions of a shard at their start offsets.
func (r resolver) partitions(ctx context.Context, shard, shards int32) ([]partition, error) {
	ts, err := r.topics(ctx)
	if err != nil {
		return nil, err
	}
	starts, err := r.list(ctx, r.adm.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	ends, err := r.ends(ctx)
	if err != nil {
		return nil, err
	}
	var group kadm.OffsetResponses
	if r.cfg.Start.At == atGroup {
		if group, err = r.committed(ctx, ts); err != nil {
			return nil, err
		}
	}
	times := map[int64]kadm.ListedOffsets{}
	for _, s := range []Start{r.cfg.Start, r.cfg.Fallback} {
		if s.At == atTime && times[s.Time] == nil {
			if times[s.Time], err = r.list(ctx, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
				return r.adm.ListOffsetsAfterMilli(ctx, s.Time, topics...)
			}); err != nil {
				return nil, err
			}
		}
	}
	var ps []partition
	for _, name := range r.cfg.Topics {
		for _, pd := range ts[name].Partitions.Sorted() {
			if !mine(r.cfg.Topics, name, pd.Partition, shard, shards) {
				continue
			}
			start, ok1 := starts.Lookup(name, pd.Partition)
			end, ok2 := ends.Lookup(name, pd.Partition)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("kafkaio: topic %q partition %d: %w", name, pd.Partition, kerr.UnknownTopicOrPartition)
			}
			p := partition{Topic: name, ID: ts[name].ID, Num: pd.Partition, Next: -1, End: -1, Epoch: -1, Time: noTime}
			for _, s := range []Start{r.cfg.Start, r.cfg.Fallback} {
				if p.Next >= 0 {
					break
				}
				switch s.At {
				case atEarliest:
					p.Next = start.Offset
				case atLatest:
					p.Next = end.Offset
				case atTime:
					if o, ok := times[s.Time].Lookup(name, pd.Partition); ok && o.Offset >= 0 {
						p.Next = o.Offset
					} else {
						p.Next = end.Offset
					}
				case atOffsets:
					if o, ok := s.Offsets[name][pd.Partition]; ok {
						p.Next = o
					}
				case atGroup:
					if o, ok := group.Lookup(name, pd.Partition); ok && o.At >= 0 {
						p.Next, p.Epoch = o.At, o.LeaderEpoch
						if id, ok := topicIDOf(o.Metadata); ok && id != p.ID && p.ID != [16]byte{} {
							return nil, &TopicError{Topic: name, Partition: p.Num, Position: o.At, Want: id, Got: p.ID, Group: r.cfg.Group}
						}
					}
				}
			}
			if p.Next < start.Offset || p.Next > end.Offset {
				return nil, &OffsetError{Topic: name, Partition: p.Num, Position: p.Next, Start: start.Offset, End: end.Offset, Group: r.cfg.Group}
			}
			if r.cfg.Bounded {
				p.End = end.Offset
			}
			ps = append(ps, p)
		}
	}
	return ps, nil
}

// fresh returns the partitions of ts that belong to the shard and are not in have, each at its first record.
func (r resolver) fresh(ctx context.Context, ts kadm.TopicDetails, have []partition, shard, shards int32) ([]partition, error) {
	var ps []partition
	for _, name := range r.cfg.Topics {
		for _, pd := range ts[name].Partitions.Sorted() {
			if mine(r.cfg.Topics, name, pd.Partition, shard, shards) &&
				!slices.ContainsFunc(have, func(p partition) bool { return p.Topic == name && p.Num == pd.Partition }) {
				ps = append(ps, partition{Topic: name, ID: ts[name].ID, Num: pd.Partition, End: -1, Epoch: -1, Time: noTime})
			}
		}
	}
	if len(ps) == 0 {
		return nil, nil
	}
	starts, err := r.list(ctx, r.adm.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	for i := range ps {
		o, ok := starts.Lookup(ps[i].Topic, ps[i].Num)
		if !ok {
			return nil, fmt.Errorf("kafkaio: topic %q partition %d: %w", ps[i].Topic, ps[i].Num, kerr.UnknownTopicOrPartition)
		}
		ps[i].Next = o.Offset
	}
	return ps, nil
}

func (r resolver) ends(ctx context.Context) (kadm.ListedOffsets, error) {
	if r.cfg.Committed {
		return r.list(ctx, r.adm.ListCommittedOffsets)
	}
	return r.list(ctx, r.adm.ListEndOffsets)
}

func (r resolver) list(ctx context.Context, f func(context.Context, ...string) (kadm.ListedOffsets, error)) (kadm.ListedOffsets, error) {
	o, err := f(ctx, r.cfg.Topics...)
	if err == nil {
		err = o.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("kafkaio: listing offsets: %w", err)
	}
	return o, nil
}

// committed returns the group's offsets. Each partition must be answered for: an error or a gap (a coordinator that is not
// ready) is an error, never "no offset".
func (r resolver) committed(ctx context.Context, ts kadm.TopicDetails) (kadm.OffsetResponses, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = r.cfg.Group
	for _, name := range r.cfg.Topics {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = name, ts[name].ID, ts[name].Partitions.Numbers()
		g.Topics = append(g.Topics, t)
	}
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, r.cl)
	if err != nil {
		return nil, fmt.Errorf("kafkaio: offsets of group %q: %w", r.cfg.Group, err)
	}
	got := kadm.OffsetResponses{}
	for _, g := range resp.Groups {
		switch err := kerr.ErrorForCode(g.ErrorCode); {
		case errors.Is(err, kerr.GroupIDNotFound):
			return got, nil
		case err != nil:
			return nil, fmt.Errorf("kafkaio: offsets of group %q: %w", r.cfg.Group, err)
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				o := kadm.OffsetResponse{Err: kerr.ErrorForCode(p.ErrorCode)}
				o.Topic, o.Partition, o.At, o.LeaderEpoch = t.Topic, p.Partition, p.Offset, p.LeaderEpoch
				if p.Metadata != nil {
					o.Metadata = *p.Metadata
				}
				got.Add(o)
			}
		}
	}
	for _, t := range g.Topics {
		for _, p := range t.Partitions {
			o, ok := got.Lookup(t.Topic, p)
			if !ok {
				o.Err = kerr.CoordinatorNotAvailable
			}
			if o.Err != nil {
				return nil, fmt.Errorf("kafkaio: offset of group %q in topic %q partition %d: %w", r.cfg.Group, t.Topic, p, o.Err)
			}
		}
	}
	return got, nil
}

const topicIDPrefix = "topic-id="

// topicIDOf reads what commits leave in the metadata of a group offset.
func topicIDOf(metadata string) (id [16]byte, ok bool) {
	s, found := strings.CutPrefix(metadata, topicIDPrefix)
	if !found || len(s) != 32 {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

func metadataOf(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	return topicIDPrefix + hex.EncodeToString(id[:])
}

// SetOffsets sets the offsets of a group, for topics nobody is reading with that group now: the way on after an OffsetError or
// a TopicError. It returns what it set, topic -> partition -> next offset.
func SetOffsets(ctx context.Context, client Client, group string, topics []string, to Start) (map[string]map[int32]int64, error) {
	cfg, err := newReadConfig(client, topics, []ReadOption{Group(group), StartAt(to)})
	if err != nil {
		return nil, err
	}
	if group == "" || to.At == atGroup {
		return nil, errors.New("kafkaio: SetOffsets needs a group and a start other than GroupOffsets")
	}
	cl, err := client.connect()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ps, err := resolver{cl, adm, &cfg}.partitions(ctx, 0, 1)
	if err != nil {
		return nil, err
	}
	if err := commitPartitions(ctx, adm, group, ps); err != nil {
		return nil, err
	}
	set := map[string]map[int32]int64{}
	for _, p := range ps {
		if set[p.Topic] == nil {
			set[p.Topic] = map[int32]int64{}
		}
		set[p.Topic][p.Num] = p.Next
	}
	return set, nil
}
