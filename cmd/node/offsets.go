package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/braidhq/braid/io/epochs"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/transforms/update"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// alignOffsets makes the consumer group begin where the store's progress stands. The store is the truth: offsets of a group that ran
// ahead of it, as after a store was restored from a backup, would lose what lies between.
func (n *Node) alignOffsets(ctx context.Context) error {
	progress, err := n.Progress(ctx)
	if err != nil {
		return err
	}
	offsets := make(map[int32]int64, len(progress))
	for p, at := range progress {
		offsets[p] = at.NextOffset
	}
	group := pipelines.GroupRealtime(n.options.Segment.Name)
	if len(offsets) == 0 {
		_, err := kadm.NewClient(n.admin).DeleteGroup(ctx, group)
		if err != nil && err != kerr.GroupIDNotFound { // kadm returns the bare code
			return fmt.Errorf("offsets of group %s: %w", group, err)
		}
		return nil
	}
	to := kafkaio.Offsets(map[string]map[int32]int64{n.events: offsets})
	if _, err := kafkaio.SetOffsets(ctx, n.client, group, []string{n.events}, to); err != nil {
		return fmt.Errorf("offsets of group %s: %w", group, err)
	}
	return nil
}

func (n *Node) epochsConfig() epochs.Config {
	name := n.options.Segment.Name
	return epochs.Config{
		Events: n.events, Epochs: epochsTopic(name), Interval: time.Duration(n.options.Deployment.Epochs.Interval), Now: n.options.Now,
		Logger: n.options.Logger,
		Floor: func(ctx context.Context) (uint64, error) {
			progress, err := update.ReadProgress(ctx, n.store, name)
			var highest uint64
			for _, at := range progress {
				highest = max(highest, at.Epoch.Current)
			}
			return highest, err
		},
		Oldest: n.oldestInUse, Pruned: n.pruned,
		NextDue: n.NextDue,
		Clocks: func(ctx context.Context) (map[int32]int64, error) {
			progress, err := n.Progress(ctx)
			clocks := make(map[int32]int64, len(progress))
			for p, at := range progress {
				clocks[p] = at.Clock
			}
			return clocks, err
		},
	}
}

// wake sends a tick to each partition, so that the pipeline meets every one at once: effects that an earlier life left behind are
// sent then, however long no event comes.
func (n *Node) wake(ctx context.Context, controller *epochs.Controller) error {
	details, err := kadm.NewClient(n.admin).ListTopics(ctx, n.events)
	if err != nil {
		return fmt.Errorf("topic %s: %w", n.events, err)
	}
	partitions := slices.Sorted(maps.Keys(details[n.events].Partitions))
	return controller.Tick(ctx, partitions, n.options.Now().UnixMilli())
}

// Progress returns how far the topic of events has been applied, by partition.
func (n *Node) Progress(ctx context.Context) (map[int32]update.Progress, error) {
	all, err := update.ReadProgress(ctx, n.store, n.options.Segment.Name)
	events := make(map[int32]update.Progress, len(all))
	for p, at := range all {
		if p.Topic == n.events {
			events[p.Partition] = at
		}
	}
	return events, err
}

// NextDue returns the earliest time at which anything is due, in epoch milliseconds, and false when nothing is.
func (n *Node) NextDue(ctx context.Context) (int64, bool, error) {
	return update.NextDue(ctx, n.store, n.options.Segment.Name)
}
