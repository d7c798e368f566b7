package epochs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/braidhq/braid/transforms/event"
)

// retick is how long after a tick that the pipeline has not applied another one is written: it may lie behind a backlog, or be lost
// with a topic that was created again.
const retick = 5 * time.Minute

// Run calls Start and then Step every Poll until ctx ends; it returns nil then. What fails is logged and tried again.
func (c *Controller) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.config.Poll)
	defer ticker.Stop()
	for {
		if err := c.Step(ctx); err != nil && ctx.Err() == nil {
			c.config.Logger.Warn("epochs: will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case answer := <-c.cuts:
			limited, cancel := context.WithTimeout(ctx, c.config.Timeout)
			e, err := c.Advance(limited)
			cancel()
			answer <- cut{e, err}
		case <-ticker.C:
		}
	}
}

// Cut has Run begin an epoch at once, and returns it. It may be called from any goroutine.
func (c *Controller) Cut(ctx context.Context) (Epoch, error) {
	answer := make(chan cut, 1)
	select {
	case c.cuts <- answer:
	case <-ctx.Done():
		return Epoch{}, ctx.Err()
	}
	select {
	case cut := <-answer:
		return cut.Epoch, cut.err
	case <-ctx.Done():
		return Epoch{}, ctx.Err()
	}
}

// Step does what is due now: a new epoch when the interval has passed or when there are partitions without a marker, and ticks.
func (c *Controller) Step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	if err := c.load(ctx); err != nil {
		return err
	}
	partitions, err := c.partitions(ctx)
	if err != nil {
		return err
	}
	latest, ok := c.log.Latest()
	now := c.config.Now()
	if !ok || !covers(latest, partitions) || now.UnixMilli()-latest.Time >= c.config.Interval.Milliseconds() {
		_, err = c.Advance(ctx)
	}
	return errors.Join(err, c.tickDue(ctx, partitions, now.UnixMilli()))
}

// tickDue moves the receive clock of partitions in which nothing arrives, when a timer waits for it.
func (c *Controller) tickDue(ctx context.Context, partitions []int32, now int64) error {
	if c.config.NextDue == nil {
		return nil
	}
	due, ok, err := c.config.NextDue(ctx)
	if err != nil {
		return fmt.Errorf("epochs: next timer: %w", err)
	}
	if !ok || now < due {
		return nil
	}
	clocks, err := c.config.Clocks(ctx)
	if err != nil {
		return fmt.Errorf("epochs: receive clocks: %w", err)
	}
	var behind []int32
	for _, p := range partitions {
		last, ticked := c.ticked[p]
		waiting := ticked && last >= due && now-last < retick.Milliseconds() // a tick is on its way
		if clocks[p] < due && !waiting {
			behind = append(behind, p)
		}
	}
	return c.Tick(ctx, behind, now)
}

// Tick writes a clock tick into partitions: their receive clock moves to now (epoch milliseconds) once the pipeline reads it.
func (c *Controller) Tick(ctx context.Context, partitions []int32, now int64) error {
	if len(partitions) == 0 {
		return nil
	}
	if _, err := c.write(ctx, partitions, event.Marker{Tick: true, Received: now}); err != nil {
		return fmt.Errorf("epochs: tick: %w", err)
	}
	for _, p := range partitions {
		c.ticked[p] = now
	}
	return nil
}

// AddPartitions raises the number of partitions of the topic of events to count and begins a new epoch in all of them at once. Stop
// producers before, or their first records in a new partition may come before its first marker, into epoch 0. Keys move to
// other partitions: what is in the old ones should have been applied.
func (c *Controller) AddPartitions(ctx context.Context, count int) (Epoch, error) {
	answers, err := c.admin.UpdatePartitions(ctx, count, c.config.Events)
	if err != nil {
		return Epoch{}, fmt.Errorf("epochs: adding partitions to %s: %w", c.config.Events, err)
	}
	if answer, err := answers.On(c.config.Events, nil); err != nil {
		return Epoch{}, fmt.Errorf("epochs: adding partitions to %s: %w", c.config.Events, err)
	} else if answer.Err != nil && !errors.Is(answer.Err, kerr.InvalidPartitions) {
		return Epoch{}, fmt.Errorf("epochs: adding partitions to %s: %w", c.config.Events, answer.Err)
	}
	for { // brokers learn of new partitions one after the other
		partitions, err := c.partitions(ctx)
		if err != nil {
			return Epoch{}, err
		}
		if len(partitions) >= count {
			return c.Advance(ctx)
		}
		select {
		case <-ctx.Done():
			return Epoch{}, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
