package batch

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/braidhq/braid/io/epochs"
	"github.com/braidhq/braid/transforms/update"
)

// cut cuts the stream and waits until the archive and the real-time path are past the cut. While it waits it says for whom.
func (c Config) cut(ctx context.Context, conn driver.Conn, waiting func(behind string)) (epochs.Epoch, error) {
	patience := c.Patience
	if patience == 0 {
		patience = 10 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	epoch, err := c.Cut(ctx)
	if err != nil {
		return epoch, fmt.Errorf("cutting the stream: %w", err)
	}
	for {
		behind, err := c.behind(ctx, conn, epoch)
		if err == nil && behind == "" {
			return epoch, nil
		}
		waiting(behind)
		select {
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("%s did not get past epoch %d in %s; 'braid doctor' and the log of the node say why", behind, epoch.Epoch, patience)
			}
			return epoch, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// applied returns the latest epoch that the real-time path is past everywhere, once the archive is past it, too; epoch 0 when there is none.
// It serves where snapshots were lost that profiles depend on: then the real-time path stands still until there is one again.
func (c Config) applied(ctx context.Context, conn driver.Conn, waiting func(behind string)) (epoch epochs.Epoch, err error) {
	progress, err := update.ReadProgress(ctx, c.Store, c.Segment.Name)
	if err != nil {
		return epoch, fmt.Errorf("how far the real-time path is: %w", err)
	}
	partitions := uint64(0)
	for p, at := range progress {
		if p.Topic != c.Events {
			continue
		}
		if partitions++; partitions == 1 || at.Epoch.Current < epoch.Epoch {
			epoch.Epoch = at.Epoch.Current
		}
	}
	for epoch.Epoch > 0 {
		var archived uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM (SELECT partition FROM stream GROUP BY partition HAVING max(epoch) >= ?)", epoch.Epoch).Scan(&archived)
		if err != nil {
			return epoch, fmt.Errorf("how far the archive is: %w", err)
		}
		if archived >= partitions {
			break
		}
		waiting("the archive")
		select {
		case <-ctx.Done():
			return epoch, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return epoch, nil
}

// behind returns who is not past a cut in every partition, "" when all are.
func (c Config) behind(ctx context.Context, conn driver.Conn, epoch epochs.Epoch) (string, error) {
	var markers uint64
	if err := conn.QueryRow(ctx, "SELECT uniqExact(partition) FROM stream WHERE kind = 'marker' AND epoch = ?", epoch.Epoch).Scan(&markers); err != nil {
		return "the archive", fmt.Errorf("how far the archive is: %w", err)
	}
	if markers < uint64(len(epoch.Positions)) {
		return "the archive", nil
	}
	progress, err := update.ReadProgress(ctx, c.Store, c.Segment.Name)
	if err != nil {
		return "the real-time path", fmt.Errorf("how far the real-time path is: %w", err)
	}
	for p, offset := range epoch.Positions {
		if progress[update.Partition{Topic: c.Events, Partition: p}].NextOffset <= offset {
			return "the real-time path", nil
		}
	}
	return "", nil
}
