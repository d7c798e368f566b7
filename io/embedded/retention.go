package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// segment is one file of a partition's log, as kfake names it: BASE.dat.
type segment struct {
	base     int64 // offset of its first record
	bytes    int64
	modified time.Time // of the last append
}

// limits is what one topic keeps per partition; a negative value keeps all.
type limits struct {
	bytes   int64
	age     time.Duration
	compact bool
}

// retain applies retention until ctx ends.
func (b *Broker) retain(ctx context.Context) {
	ticker := time.NewTicker(b.options.RetentionInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := b.ApplyRetention(ctx); err != nil && ctx.Err() == nil {
			b.options.Logger.Warn("embedded broker: retention failed, it will be tried again", "error", err)
		}
	}
}

// ApplyRetention drops the segments that are beyond what their topics keep. The broker does so by itself every RetentionInterval.
func (b *Broker) ApplyRetention(ctx context.Context) error {
	topics, err := b.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	keep, err := b.topicLimits(ctx, topics.Names())
	if err != nil {
		return err
	}
	now := b.options.Now()
	drop := kadm.Offsets{}
	for _, topic := range topics.Sorted() {
		limits, ok := keep[topic.Topic]
		if !ok || limits.compact {
			continue
		}
		for _, partition := range topic.Partitions.Numbers() {
			segments, err := b.segments(topic.Topic, partition)
			if err != nil {
				return err
			}
			if start, ok := firstKept(segments, limits, now); ok {
				drop.AddOffset(topic.Topic, partition, start, -1)
			}
		}
	}
	return b.deleteBefore(ctx, drop)
}

// firstKept returns the offset below which all may go. The last segment always stays: it carries the partition's next offset.
func firstKept(segments []segment, keep limits, now time.Time) (int64, bool) {
	var total int64
	for _, s := range segments {
		total += s.bytes
	}
	first := 0
	for first < len(segments)-1 {
		tooMuch := keep.bytes >= 0 && total > keep.bytes
		tooOld := keep.age >= 0 && now.Sub(segments[first].modified) > keep.age
		if !tooMuch && !tooOld {
			break
		}
		total -= segments[first].bytes
		first++
	}
	if first == 0 {
		return 0, false
	}
	return segments[first].base, true
}

func (b *Broker) deleteBefore(ctx context.Context, offsets kadm.Offsets) error {
	if len(offsets) == 0 {
		return nil
	}
	answers, err := b.admin.DeleteRecords(ctx, offsets)
	if err != nil {
		return fmt.Errorf("deleting records: %w", err)
	}
	var errs []error
	answers.Each(func(r kadm.DeleteRecordsResponse) {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("deleting records of %s/%d: %w", r.Topic, r.Partition, r.Err))
		}
	})
	return errors.Join(errs...)
}

func (b *Broker) topicLimits(ctx context.Context, topics []string) (map[string]limits, error) {
	keep := make(map[string]limits, len(topics))
	if len(topics) == 0 {
		return keep, nil
	}
	configs, err := b.admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("reading topic settings: %w", err)
	}
	for _, c := range configs {
		if c.Err != nil {
			continue // deleted since it was listed
		}
		l := limits{bytes: b.options.RetentionBytes, age: b.options.RetentionAge}
		for _, setting := range c.Configs {
			value := setting.MaybeValue()
			if setting.Source != kmsg.ConfigSourceDynamicTopicConfig { // kfake answers its own defaults here, not the broker's
				continue
			}
			switch setting.Key {
			case "cleanup.policy":
				l.compact = !strings.Contains(value, "delete")
			case "retention.bytes":
				if n, err := strconv.ParseInt(value, 10, 64); err == nil {
					l.bytes = n
				}
			case "retention.ms":
				if n, err := strconv.ParseInt(value, 10, 64); err == nil {
					l.age = time.Duration(min(n, int64(1<<62)/int64(time.Millisecond))) * time.Millisecond
				}
			}
		}
		keep[c.Name] = l
	}
	return keep, nil
}

// segments lists a partition's files in the order of their offsets.
func (b *Broker) segments(topic string, partition int32) ([]segment, error) {
	dir := filepath.Join(b.options.Dir, "partitions", url.PathEscape(topic)+"-"+strconv.Itoa(int(partition)))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var segments []segment
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".dat")
		if !ok {
			continue
		}
		base, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		segments = append(segments, segment{base: base, bytes: info.Size(), modified: info.ModTime()})
	}
	slices.SortFunc(segments, func(x, y segment) int { return int(min(1, max(-1, x.base-y.base))) })
	return segments, nil
}
