package epochs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/transforms/event"
)

// ErrOtherController is wrapped when somebody else wrote into the topic of epochs since this controller last did (or when an earlier
// write of its own, given up after a timeout, arrived after all). The next call reads the topic again and goes on.
var ErrOtherController = errors.New("another controller writes epochs for this segment")

// Config says what a Controller works on. Topics are required.
type Config struct {
	Events string // topic of events
	Epochs string // compacted topic of epochs, one partition
	// Interval is the time from the start of one epoch to the start of the next, by Now. Default 1 minute.
	Interval time.Duration
	// Poll is the real time between two Steps of Run. Default 1 second.
	Poll time.Duration
	// Timeout is the real time that one Step may take, so that a broker that is away does not hold it for ever. Default 30 seconds.
	Timeout time.Duration
	// Keep is how many epochs before the oldest one in use stay recorded, to be looked at. Default 100.
	Keep uint64
	// Now is the process's clock. Its time goes into the header "received" of markers and ticks. Default time.Now.
	Now func() time.Time
	// Oldest returns the oldest epoch that a batch still uses; ok is false when there is none, and the last complete one counts. Nil
	// means none.
	Oldest func(ctx context.Context) (epoch uint64, ok bool, err error)
	// Pruned returns the epoch before which the stream may drop what it counted, as every snapshot that is read has it; 0 when there is
	// none. It is at most the oldest epoch in use. Nil means 0.
	Pruned func(ctx context.Context) (uint64, error)
	// Floor returns the highest epoch known elsewhere (the progress rows); numbers up to it are not used again. Nil means 0.
	Floor func(ctx context.Context) (uint64, error)
	// NextDue returns the due time in epoch milliseconds of the earliest timer; ok is false when there is none. Nil means none.
	NextDue func(ctx context.Context) (due int64, ok bool, err error)
	// Clocks returns the receive clock by partition, as applied by the pipeline. A missing partition has clock 0. Needed with NextDue.
	Clocks func(ctx context.Context) (map[int32]int64, error)
	// Logger receives what goes wrong and is tried again. Default slog.Default.
	Logger *slog.Logger
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Events == "" || c.Epochs == "":
		return errors.New("epochs: the topics of events and of epochs must be given")
	case c.Interval < 0 || c.Poll < 0 || c.Timeout < 0:
		return errors.New("epochs: a duration is negative")
	case c.NextDue != nil && c.Clocks == nil:
		return errors.New("epochs: NextDue needs Clocks")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = time.Minute
	}
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Keep == 0 {
		c.Keep = 100
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Controller writes markers and ticks. Its methods are called from one goroutine at a time.
type Controller struct {
	config  Config
	options []kgo.Opt
	client  *kgo.Client
	admin   *kadm.Client

	log    Log
	loaded bool
	known  int             // partitions that the client knows, once it has written
	ticked map[int32]int64 // receive time of the last tick written, by partition
	cuts   chan chan<- cut
}

// cut is the answer to a Cut.
type cut struct {
	Epoch
	err error
}

// New returns a controller; it does not touch the cluster yet. The options name the cluster as for any client.
func New(config Config, options ...kgo.Opt) (*Controller, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Controller{config: config.withDefaults(), options: options, ticked: map[int32]int64{}, cuts: make(chan chan<- cut)}
	if err := c.connect(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Controller) connect() error {
	client, err := kgo.NewClient(append(slices.Clone(c.options),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.AllowIdempotentProduceCancellation(), // a number is tried once, so what arrives late does no harm
		kgo.MetadataMinAge(50*time.Millisecond),  // a new partition must be seen, not a cached list
		kgo.DisableClientMetrics(),
	)...)
	if err != nil {
		return fmt.Errorf("epochs: %w", err)
	}
	c.client, c.admin = client, kadm.NewClient(client)
	return nil
}

// Close ends the controller's connections.
func (c *Controller) Close() { c.client.Close() }

// Start reads where the epochs are and begins the first one if there is none, or a new one if partitions were added. Call it before
// anything produces events.
func (c *Controller) Start(ctx context.Context) (Epoch, error) {
	if err := c.load(ctx); err != nil {
		return Epoch{}, err
	}
	partitions, err := c.partitions(ctx)
	if err != nil {
		return Epoch{}, err
	}
	if latest, ok := c.log.Latest(); ok && covers(latest, partitions) {
		return latest, nil
	}
	return c.Advance(ctx)
}

// Latest returns the last complete epoch that this controller knows.
func (c *Controller) Latest() (Epoch, bool) { return c.log.Latest() }

func (c *Controller) load(ctx context.Context) error {
	if c.loaded {
		return nil
	}
	log, err := ReadLog(ctx, c.config.Epochs, c.options...)
	if err != nil {
		return err
	}
	if c.config.Floor != nil {
		floor, err := c.config.Floor(ctx)
		if err != nil {
			return fmt.Errorf("epochs: highest epoch applied: %w", err)
		}
		log.Highest = max(log.Highest, floor)
	}
	c.log, c.loaded = log, true
	return nil
}

// partitions returns the numbers of the partitions that the topic of events has now, ascending.
func (c *Controller) partitions(ctx context.Context) ([]int32, error) {
	details, err := c.admin.ListTopics(ctx, c.config.Events)
	if err != nil {
		return nil, fmt.Errorf("epochs: partitions of %s: %w", c.config.Events, err)
	}
	detail, ok := details[c.config.Events]
	if !ok || detail.Err != nil || len(detail.Partitions) == 0 {
		return nil, fmt.Errorf("epochs: topic %s has no partitions here: %w", c.config.Events, errors.Join(detail.Err))
	}
	return detail.Partitions.Numbers(), nil
}

func covers(e Epoch, partitions []int32) bool {
	for _, p := range partitions {
		if _, ok := e.Positions[p]; !ok {
			return false
		}
	}
	return true
}

// Advance begins the next epoch in every partition and returns it when it is complete. After an error the epoch that was begun is
// given up; the next call uses the number after it.
func (c *Controller) Advance(ctx context.Context) (Epoch, error) {
	if err := c.load(ctx); err != nil {
		return Epoch{}, err
	}
	partitions, err := c.partitions(ctx)
	if err != nil {
		return Epoch{}, err
	}
	now := c.config.Now().UnixMilli()
	next := Epoch{Epoch: c.log.Highest + 1, Time: now}
	if next.Oldest, err = c.oldest(ctx); err != nil {
		return Epoch{}, err
	}
	var pruned uint64
	if c.config.Pruned != nil {
		if pruned, err = c.config.Pruned(ctx); err != nil {
			return Epoch{}, fmt.Errorf("epochs: epoch before which all is in snapshots: %w", err)
		}
	}
	if err := c.append(ctx, next); err != nil { // from here on the number is used up
		return Epoch{}, err
	}
	next.Positions, err = c.write(ctx, partitions, event.Marker{Epoch: next.Epoch, Oldest: next.Oldest, Pruned: min(pruned, next.Oldest), Received: now})
	if err != nil {
		return Epoch{}, fmt.Errorf("epochs: marker %d: %w", next.Epoch, err)
	}
	if err := c.append(ctx, next); err != nil {
		return Epoch{}, err
	}
	c.forget(ctx, next)
	return next.clone(), nil
}

// oldest is the oldest epoch that must stay apart: the one in use or, without one, the last complete one, for a batch that begins before
// the next is complete begins there. It never goes back: what lay before it may already be coalesced.
func (c *Controller) oldest(ctx context.Context) (uint64, error) {
	latest, _ := c.log.Latest()
	oldest := latest.Epoch
	if c.config.Oldest != nil {
		used, ok, err := c.config.Oldest(ctx)
		if err != nil {
			return 0, fmt.Errorf("epochs: oldest epoch in use: %w", err)
		}
		if ok {
			oldest = min(used, oldest)
		}
	}
	return max(oldest, latest.Oldest), nil
}

// append writes an epoch's record and notices when somebody else has written since.
func (c *Controller) append(ctx context.Context, e Epoch) error {
	key, value, err := e.Record()
	if err != nil {
		return fmt.Errorf("epochs: %w", err)
	}
	c.log.Highest = max(c.log.Highest, e.Epoch)
	r, err := c.client.ProduceSync(ctx, &kgo.Record{Topic: c.config.Epochs, Key: key, Value: value}).First()
	if err != nil {
		c.reload()
		return fmt.Errorf("epochs: recording epoch %d in %s: %w", e.Epoch, c.config.Epochs, err)
	}
	if r.Offset != c.log.next {
		c.reload()
		return fmt.Errorf("epochs: %s: epoch %d came to offset %d, not %d: %w", c.config.Epochs, e.Epoch, r.Offset, c.log.next, ErrOtherController)
	}
	c.log.next++
	if e.Complete() {
		c.log.Complete = append(c.log.Complete, e.clone())
	} else {
		c.log.begun = append(c.log.begun, e.Epoch)
	}
	return nil
}

// reload makes the next call read the topic again; numbers already used stay used.
func (c *Controller) reload() {
	floor, used := c.config.Floor, c.log.Highest
	c.config.Floor = func(ctx context.Context) (uint64, error) {
		if floor == nil {
			return used, nil
		}
		n, err := floor(ctx)
		return max(n, used), err
	}
	c.loaded = false
}

// forget removes the records of epochs that nobody needs any more: those given up, and those long before the oldest in use. It is tried
// again with the next epoch.
func (c *Controller) forget(ctx context.Context, latest Epoch) {
	var gone []uint64
	for _, number := range c.log.begun {
		if number != latest.Epoch {
			gone = append(gone, number)
		}
	}
	keep := c.log.Complete[:0:0]
	for _, e := range c.log.Complete {
		if e.Epoch+c.config.Keep < latest.Oldest {
			gone = append(gone, e.Epoch)
		} else {
			keep = append(keep, e)
		}
	}
	for _, number := range gone {
		r, err := c.client.ProduceSync(ctx, &kgo.Record{Topic: c.config.Epochs, Key: strconv.AppendUint(nil, number, 10)}).First()
		if err != nil || r.Offset != c.log.next {
			c.config.Logger.Warn("epochs: removing the record of an old epoch failed, it will be tried again", "epoch", number, "error", err)
			c.reload()
			return
		}
		c.log.next++
	}
	c.log.begun, c.log.Complete = nil, keep
}

// write puts a marker into each partition and returns the offsets once all are acknowledged.
func (c *Controller) write(ctx context.Context, partitions []int32, marker event.Marker) (map[int32]int64, error) {
	if c.known > 0 && c.known < len(partitions) { // a client refuses partitions it has not heard of; a new one asks first
		c.client.Close()
		if err := c.connect(); err != nil {
			return nil, err
		}
	}
	c.known = len(partitions)
	headers, value := marker.Record()
	records := make([]*kgo.Record, len(partitions))
	for i, partition := range partitions {
		records[i] = &kgo.Record{Topic: c.config.Events, Partition: partition, Value: value}
		for _, h := range headers {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	positions := make(map[int32]int64, len(partitions))
	for _, result := range c.client.ProduceSync(ctx, records...) {
		if result.Err != nil {
			return nil, fmt.Errorf("partition %d of %s: %w", result.Record.Partition, c.config.Events, result.Err)
		}
		positions[result.Record.Partition] = result.Record.Offset
	}
	return positions, nil
}
