package epochs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Log is what the topic of epochs says.
type Log struct {
	Complete []Epoch // ascending
	Highest  uint64  // the highest number ever begun and still recorded, complete or not
	begun    []uint64
	next     int64 // offset at which the next record will be
}

// Latest returns the last complete epoch.
func (l Log) Latest() (Epoch, bool) {
	if len(l.Complete) == 0 {
		return Epoch{}, false
	}
	return l.Complete[len(l.Complete)-1].clone(), true
}

// ReadLog reads the topic of epochs from its start to its present end. The options name the cluster as for any client.
func ReadLog(ctx context.Context, topic string, options ...kgo.Opt) (Log, error) {
	client, err := kgo.NewClient(append(slices.Clone(options),
		kgo.DisableClientMetrics(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		return Log{}, fmt.Errorf("epochs: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	end, err := offset(topic, admin.ListEndOffsets, ctx)
	if err != nil {
		return Log{}, err
	}
	begin, err := offset(topic, admin.ListStartOffsets, ctx)
	if err != nil {
		return Log{}, err
	}
	latest := map[string]*kgo.Record{}
	for next := begin; next < end; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return Log{}, fmt.Errorf("epochs: reading %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < end {
				latest[string(r.Key)] = r
			}
			next = r.Offset + 1
		})
	}
	log := Log{next: end}
	for _, r := range latest {
		if r.Value == nil {
			continue
		}
		e, err := Parse(r.Key, r.Value)
		if err != nil {
			return Log{}, fmt.Errorf("%s at offset %d: %w", topic, r.Offset, err)
		}
		log.Highest = max(log.Highest, e.Epoch)
		if e.Complete() {
			log.Complete = append(log.Complete, e)
		} else {
			log.begun = append(log.begun, e.Epoch)
		}
	}
	slices.SortFunc(log.Complete, func(a, b Epoch) int { return cmp.Compare(a.Epoch, b.Epoch) })
	slices.Sort(log.begun)
	return log, nil
}

func offset(topic string, list func(context.Context, ...string) (kadm.ListedOffsets, error), ctx context.Context) (int64, error) {
	listed, err := list(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("epochs: offsets of %s: %w", topic, err)
	}
	o, ok := listed.Lookup(topic, 0)
	switch {
	case !ok || errors.Is(o.Err, kerr.UnknownTopicOrPartition):
		return 0, fmt.Errorf("epochs: topic %s does not exist: create the segment's topics first", topic)
	case o.Err != nil:
		return 0, fmt.Errorf("epochs: offsets of %s: %w", topic, o.Err)
	}
	return o.Offset, nil
}
