package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// committer commits offered offsets in the background: at most every interval, always eventually, retried for ever.
type committer struct {
	adm      *kadm.Client
	group    string
	interval time.Duration

	mu     sync.Mutex // guards what follows
	want   []partition
	have   []partition
	done   int64 // commits that succeeded, not yet counted
	failed int64
	err    error // the last failure, nil after a success
	fatal  bool  // err will not go away by itself

	turn sync.Mutex // one request at a time
	kick chan struct{}
}

func newCommitter(adm *kadm.Client, group string, interval time.Duration) *committer {
	return &committer{adm: adm, group: group, interval: interval, kick: make(chan struct{}, 1)}
}

// offer takes the start offsets of a resumed restriction; all bundles below them have succeeded.
func (c *committer) offer(ps []partition) {
	c.mu.Lock()
	c.want = append(c.want[:0], ps...)
	c.mu.Unlock()
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// run commits until the context ends, and then once more what is left, for a few seconds at most.
func (c *committer) run(ctx context.Context) {
	for {
		select {
		case <-c.kick:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
			defer cancel()
			_ = c.once(last)
			return
		}
		wait := c.interval
		if c.once(ctx) != nil {
			wait = max(wait, 500*time.Millisecond)
			select {
			case c.kick <- struct{}{}: // try again
			default:
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// flush commits what was offered, now, trying again until the context ends.
func (c *committer) flush(ctx context.Context) error {
	for {
		err := c.once(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *committer) once(ctx context.Context) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	changed := slices.Clone(c.want)
	changed = slices.DeleteFunc(changed, func(p partition) bool {
		return slices.ContainsFunc(c.have, func(h partition) bool {
			return h.Topic == p.Topic && h.Num == p.Num && h.Next == p.Next && h.ID == p.ID
		})
	})
	want := slices.Clone(c.want)
	c.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := commitPartitions(ctx, c.adm, c.group, changed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	if err != nil {
		c.failed++
		c.fatal = fatalCommit(err)
		return err
	}
	c.done++
	c.fatal = false
	c.have = want
	return nil
}

// report returns the counts since the last call, and the last failure.
func (c *committer) report() (done, failed int64, err error, fatal bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done, failed = c.done, c.failed
	c.done, c.failed = 0, 0
	return done, failed, c.err, c.fatal
}

// fatalCommit tells what no retry cures: rights, and a group that has members of its own.
func fatalCommit(err error) bool {
	for _, e := range []error{kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.UnknownMemberID,
		kerr.IllegalGeneration, kerr.InvalidGroupID, kerr.StaleMemberEpoch} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func commitPartitions(ctx context.Context, adm *kadm.Client, group string, ps []partition) error {
	o := kadm.Offsets{}
	for i := range ps {
		p := &ps[i]
		o.Add(kadm.Offset{Topic: p.Topic, TopicID: p.ID, Partition: p.Num, At: p.Next, LeaderEpoch: p.Epoch, Metadata: metadataOf(p.ID)})
	}
	resp, err := adm.CommitOffsets(ctx, group, o)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("kafkaio: committing offsets of group %q: %w", group, err)
	}
	return nil
}
