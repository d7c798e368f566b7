package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/event"
)

// pollWait is how long no record may come before a topic is taken to be at its end: retention may have taken what was left.
const pollWait = 5 * time.Second

// ReadTopic calls each for every record that a topic has when it is called, with how many there are about.
func ReadTopic(ctx context.Context, client kafkaio.Client, topic string, each func(r event.Record, total int64) error) error {
	options, err := client.Options()
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(options, kgo.DisableClientMetrics(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{}))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	left, from, total := map[int32]int64{}, map[int32]kgo.Offset{}, int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, o.Partition)
		if n := o.Offset - start.Offset; n > 0 {
			left[o.Partition], from[o.Partition] = o.Offset, kgo.NewOffset().At(start.Offset)
			total += n
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(left) > 0 {
		limited, cancel := context.WithTimeout(ctx, pollWait)
		fetches := cl.PollRecords(limited, 1000)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		records := fetches.Records()
		for _, f := range fetches.Errors() {
			if !errors.Is(f.Err, context.DeadlineExceeded) {
				return fmt.Errorf("reading %s/%d: %w", f.Topic, f.Partition, f.Err)
			}
		}
		if len(records) == 0 {
			return nil
		}
		for _, r := range records {
			end, ok := left[r.Partition]
			if !ok || r.Offset >= end {
				continue
			}
			if r.Offset+1 == end {
				delete(left, r.Partition)
			}
			if err := each(topics.FromKafka(r, [16]byte{}), total); err != nil {
				return err
			}
		}
	}
	return nil
}
