package embedded

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// compact shortens the compacted topics while nobody else is let in: it writes the last record of each key again, at the end, and
// drops the segments before. Stopped at any point, it has at most written records a second time.
func (b *Broker) compact(ctx context.Context) error {
	topics, err := b.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	keep, err := b.topicLimits(ctx, topics.Names())
	if err != nil {
		return err
	}
	for _, topic := range topics.Sorted() {
		if !keep[topic.Topic].compact {
			continue
		}
		for _, partition := range topic.Partitions.Numbers() {
			segments, err := b.segments(topic.Topic, partition)
			if err != nil {
				return err
			}
			if len(segments) < 2 { // all of it is in the segment being written: nothing could go
				continue
			}
			if err := b.compactPartition(ctx, topic.Topic, partition); err != nil {
				return fmt.Errorf("%s/%d: %w", topic.Topic, partition, err)
			}
		}
	}
	return nil
}

func (b *Broker) compactPartition(ctx context.Context, topic string, partition int32) error {
	latest, read, err := b.readLatest(ctx, topic, partition)
	if err != nil {
		return err
	}
	if len(latest)*2 > read { // most of it is still valid: carrying it would cost more than it frees
		return nil
	}
	carry := make([]*kgo.Record, 0, len(latest))
	for _, r := range latest {
		if r.Value != nil { // without the value before it, a tombstone is not needed either
			carry = append(carry, &kgo.Record{
				Topic: topic, Partition: partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp,
			})
		}
	}
	if len(carry) == 0 { // the partition's next offset lives in its last records: never leave it without any
		return nil
	}
	slices.SortFunc(carry, func(x, y *kgo.Record) int {
		return int(min(1, max(-1, latest[string(x.Key)].Offset-latest[string(y.Key)].Offset)))
	})
	results := b.client.ProduceSync(ctx, carry...)
	if err := results.FirstErr(); err != nil {
		return fmt.Errorf("carrying records forward: %w", err)
	}
	start := results[0].Record.Offset
	for _, result := range results {
		start = min(start, result.Record.Offset)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, partition, start, -1)
	if err := b.deleteBefore(ctx, offsets); err != nil {
		return err
	}
	b.options.Logger.Debug("embedded broker: compacted", "topic", topic, "partition", partition, "read", read, "kept", len(carry))
	return nil
}

// readLatest reads a partition to its end and returns the last record of every key, and how many records it read.
func (b *Broker) readLatest(ctx context.Context, topic string, partition int32) (map[string]*kgo.Record, int, error) {
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, 0, fmt.Errorf("end offsets: %w", err)
	}
	end, _ := ends.Lookup(topic, partition)
	b.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}})
	defer b.client.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
	latest := map[string]*kgo.Record{}
	read := 0
	for next := int64(0); next < end.Offset; {
		fetches := b.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, 0, fmt.Errorf("reading: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Topic != topic || r.Partition != partition || r.Offset >= end.Offset {
				return
			}
			next, read = r.Offset+1, read+1
			latest[string(r.Key)] = r
		})
	}
	return latest, read, nil
}
