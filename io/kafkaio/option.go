package kafkaio

import (
	"errors"
	"fmt"
	"time"
)

// readConfig is everything Read needs; it travels as JSON.
type readConfig struct {
	Client        Client
	Topics        []string
	Group         string
	Start         Start
	Fallback      Start
	Bounded       bool
	Committed     bool // isolation level read_committed
	Groups        int
	MaxRecords    int
	MaxDelay      time.Duration
	PollWait      time.Duration
	ResumeDelay   time.Duration
	CommitEvery   time.Duration
	Refresh       time.Duration
	OutOfOrder    time.Duration
	IdleClose     time.Duration
	FetchBytes    int32
	FetchPartByte int32
}

// ReadOption changes how Read reads.
type ReadOption func(*readConfig)

// Group names the consumer group that remembers offsets between jobs: reading starts at them, and they are committed as
// bundles succeed. No member joins the group. Without a group nothing is committed.
func Group(name string) ReadOption { return func(c *readConfig) { c.Group = name } }

// StartAt says where a new job begins. Default: GroupOffsets() if there is a Group, else Earliest().
func StartAt(s Start) ReadOption { return func(c *readConfig) { c.Start = s } }

// Fallback says where to begin in partitions for which the group, or the list given to Offsets, has none. Default
// Earliest(). A partition that is created while the job runs is always read from its first record.
func Fallback(s Start) ReadOption { return func(c *readConfig) { c.Fallback = s } }

// Bounded ends the read at the offsets at which the topics end when it starts. The collection is then finite, though Beam's
// graph still marks it unbounded, because the DoFn resumes.
func Bounded() ReadOption { return func(c *readConfig) { c.Bounded = true } }

// ReadCommitted hides records of transactions that are open or aborted. Default: read uncommitted, as Kafka does.
func ReadCommitted() ReadOption { return func(c *readConfig) { c.Committed = true } }

// PartitionGroups divides the partitions into n restrictions, each with a consumer of its own, which the runner may run
// in parallel. Default 1.
func PartitionGroups(n int) ReadOption { return func(c *readConfig) { c.Groups = n } }

// MaxRecords ends a bundle after n records. Default 2,000.
func MaxRecords(n int) ReadOption { return func(c *readConfig) { c.MaxRecords = n } }

// MaxDelay ends a bundle that long after its first record, also under load. Default 5 ms.
func MaxDelay(d time.Duration) ReadOption { return func(c *readConfig) { c.MaxDelay = d } }

// PollWait is how long an idle bundle blocks for a first record; it is also the longest time between two bundles, and
// so the heartbeat of the stage. Default 200 ms.
func PollWait(d time.Duration) ReadOption { return func(c *readConfig) { c.PollWait = d } }

// ResumeDelay asks the runner to wait between bundles when there was nothing to read. Default 0.
func ResumeDelay(d time.Duration) ReadOption { return func(c *readConfig) { c.ResumeDelay = d } }

// CommitInterval is the least time between two commits of group offsets. Default 200 ms.
func CommitInterval(d time.Duration) ReadOption { return func(c *readConfig) { c.CommitEvery = d } }

// Refresh is how often the cluster is asked for new partitions, topic IDs and end offsets. Default 5 s.
func Refresh(d time.Duration) ReadOption { return func(c *readConfig) { c.Refresh = d } }

// OutOfOrder is how far the watermark stays behind the timestamps seen. Default 5 s.
func OutOfOrder(d time.Duration) ReadOption { return func(c *readConfig) { c.OutOfOrder = d } }

// IdleClose closes a consumer that no bundle has used for that long; the next one opens it again. Default 1 min.
func IdleClose(d time.Duration) ReadOption { return func(c *readConfig) { c.IdleClose = d } }

// FetchBytes bounds what one fetch from one broker brings in all and per partition. Default 4 MiB and 1 MiB.
func FetchBytes(all, partition int32) ReadOption {
	return func(c *readConfig) { c.FetchBytes, c.FetchPartByte = all, partition }
}

func newReadConfig(client Client, topics []string, opts []ReadOption) (readConfig, error) {
	c := readConfig{
		Client: client, Topics: topics, Groups: 1, MaxRecords: 2000, MaxDelay: 5 * time.Millisecond, PollWait: 200 * time.Millisecond,
		CommitEvery: 200 * time.Millisecond, Refresh: 5 * time.Second, OutOfOrder: 5 * time.Second, IdleClose: time.Minute,
		FetchBytes: 4 << 20, FetchPartByte: 1 << 20, Fallback: Earliest(),
	}
	for _, o := range opts {
		o(&c)
	}
	if c.Start.At == "" {
		c.Start = Earliest()
		if c.Group != "" {
			c.Start = GroupOffsets()
		}
	}
	return c, c.validate()
}

func (c *readConfig) validate() error {
	if err := c.Client.Validate(); err != nil {
		return err
	}
	if len(c.Topics) == 0 {
		return errors.New("kafkaio: no topics given")
	}
	seen := map[string]bool{}
	for _, t := range c.Topics {
		if t == "" || seen[t] {
			return fmt.Errorf("kafkaio: topic %q is empty or given twice", t)
		}
		seen[t] = true
	}
	if c.Start.At == atGroup && c.Group == "" {
		return errors.New("kafkaio: GroupOffsets needs a Group")
	}
	if c.Fallback.At == atGroup || c.Fallback.At == atOffsets {
		return errors.New("kafkaio: Fallback is one of Earliest, Latest and Timestamp")
	}
	for _, v := range []struct {
		name string
		ok   bool
	}{
		{"PartitionGroups", c.Groups > 0}, {"MaxRecords", c.MaxRecords > 0}, {"MaxDelay", c.MaxDelay > 0}, {"PollWait", c.PollWait > 0},
		{"ResumeDelay", c.ResumeDelay >= 0}, {"CommitInterval", c.CommitEvery >= 0}, {"Refresh", c.Refresh > 0},
		{"OutOfOrder", c.OutOfOrder >= 0}, {"IdleClose", c.IdleClose > 0}, {"FetchBytes", c.FetchBytes > 0 && c.FetchPartByte > 0},
	} {
		if !v.ok {
			return fmt.Errorf("kafkaio: option %s is out of range", v.name)
		}
	}
	return nil
}
