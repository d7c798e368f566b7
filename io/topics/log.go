package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/braidhq/braid/transforms/update"
)

// Log returns what a topic holds now. A topic that does not exist holds nothing, and has the ID zero.
func Log(ctx context.Context, admin *kadm.Client, topic string) (update.Log, error) {
	log := update.Log{Start: map[int32]int64{}, End: map[int32]int64{}}
	details, err := admin.ListTopics(ctx, topic)
	if err == nil {
		err = details[topic].Err
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return log, nil
	}
	if err != nil {
		return log, fmt.Errorf("topic %s: %w", topic, err)
	}
	log.TopicID = details[topic].ID
	for _, side := range []struct {
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
		into map[int32]int64
	}{{admin.ListStartOffsets, log.Start}, {admin.ListEndOffsets, log.End}} {
		offsets, err := side.list(ctx, topic)
		if err == nil {
			err = offsets.Error()
		}
		if err != nil {
			return log, fmt.Errorf("offsets of topic %s: %w", topic, err)
		}
		offsets.Each(func(o kadm.ListedOffset) { side.into[o.Partition] = o.Offset })
	}
	return log, nil
}
