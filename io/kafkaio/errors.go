package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetError reports that the next record to read is not in the log: records were deleted before they were read
// (Start > Position), or the log ends before what was already read (End < Position), because the broker lost data.
// Reading on would silently skip or repeat records, so the bundle fails until somebody decides.
type OffsetError struct {
	Topic     string
	Partition int32
	Position  int64 // the next offset to read
	Start     int64 // the first offset in the log; -1: not known
	End       int64 // the offset after the last one in the log; -1: not known
	Group     string
}

// Error says what is missing and how to go on.
func (e *OffsetError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kafkaio: topic %q partition %d: offset %d is not in the log [%d, %d): ", e.Topic, e.Partition, e.Position, e.Start, e.End)
	switch {
	case e.Start > e.Position:
		fmt.Fprintf(&b, "%d records were deleted before they were read", e.Start-e.Position)
	case e.End >= 0 && e.End < e.Position:
		fmt.Fprintf(&b, "the broker lost the last %d records that were already read", e.Position-e.End)
	default:
		b.WriteString("the broker refuses it")
	}
	at := e.Start
	if e.End >= 0 && e.End < e.Position {
		at = e.End
	}
	b.WriteString(goOn(e.Group, fmt.Sprintf("offset %d", at)))
	return b.String()
}

// TopicError reports that a topic was deleted and created again: what was read so far belongs to another log, and so do
// the offsets.
type TopicError struct {
	Topic     string
	Partition int32 // a partition that was being read; -1: not known
	Position  int64 // its next offset, in the old topic
	Want, Got [16]byte
	Group     string
}

// Error says which topic changed and how to go on.
func (e *TopicError) Error() string {
	return fmt.Sprintf("kafkaio: topic %q (partition %d, offset %d) was deleted and created again: its ID was %x and is %x%s",
		e.Topic, e.Partition, e.Position, e.Want, e.Got, goOn(e.Group, "the earliest offset"))
}

// Permanent reports that trying again does not help: the old topic does not come back.
func (e *TopicError) Permanent() bool { return true }

func goOn(group, where string) string {
	if group == "" {
		return fmt.Sprintf(". To go on, start a new job at %s (kafkaio.StartAt)", where)
	}
	return fmt.Sprintf(". To go on, stop the job, set the offsets of group %q to %s (kafkaio.SetOffsets) and start a new job", group, where)
}

// SizeError reports a message that is larger than the producer or the broker takes.
type SizeError struct {
	Topic string
	Key   []byte // at most the first 64 bytes
	Size  int    // bytes of key, value and headers
	Max   int    // the limit of this writer (MaxMessageBytes); the broker's may be smaller
	cause error
}

// Error says which message is too large, and what the limit is.
func (e *SizeError) Error() string {
	return fmt.Sprintf("kafkaio: the message with key %q for topic %q has %d bytes, more than the limit (writer: %d bytes): "+
		"make it smaller, or raise kafkaio.MaxMessageBytes and the topic's max.message.bytes", e.Key, e.Topic, e.Size, e.Max)
}

// Unwrap returns what the client or the broker answered.
func (e *SizeError) Unwrap() error { return e.cause }

// bare is an error's text without the package's name, for texts that begin with it already.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "kafkaio: ") }

// hopeless tells errors that waiting does not cure: rights and unusable configuration.
func hopeless(err error) bool {
	for _, e := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.InvalidTopicException, kerr.InvalidGroupID} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// fault judges an error of a fetch: one that needs somebody to decide is returned, others are logged and retried.
func (c *consumer) fault(ctx context.Context, rt *tracker, topic string, num int32, i int, known bool, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil // the poll's own end
	}
	c.faulted = true
	if !known {
		if hopeless(err) {
			return fmt.Errorf("kafkaio: reading: %w", err)
		}
		c.warn(ctx, "kafkaio: reading: %v", err)
		return nil
	}
	p := rt.r.Partitions[i]
	c.slots[i].next = lost
	var loss *kgo.ErrDataLoss
	switch {
	case errors.As(err, &loss): // a topic created again looks so, too
		if err := c.inspect(ctx, p, false); err != nil {
			return err
		}
		return &OffsetError{Topic: topic, Partition: num, Position: p.Next, Start: -1, End: loss.ResetTo, Group: c.cfg.Group}
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID),
		errors.Is(err, kerr.UnknownTopicOrPartition):
		if err := c.inspect(ctx, p, errors.Is(err, kerr.OffsetOutOfRange)); err != nil {
			return err
		}
	case hopeless(err):
		return fmt.Errorf("kafkaio: reading topic %q partition %d: %w", topic, num, err)
	}
	c.warn(ctx, "kafkaio: reading topic %q partition %d: %v; trying again", topic, num, err)
	return nil
}

// inspect asks the cluster whether a partition is still the log that was read, and the position in it.
func (c *consumer) inspect(ctx context.Context, p partition, outOfRange bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	res := resolver{c.s.cl, c.s.adm, c.cfg}
	if ts, err := res.topics(ctx); err == nil {
		if id := [16]byte(ts[p.Topic].ID); id != p.ID && id != ([16]byte{}) {
			return &TopicError{Topic: p.Topic, Partition: p.Num, Position: p.Next, Want: p.ID, Got: id, Group: c.cfg.Group}
		}
	}
	if !outOfRange {
		return nil
	}
	starts, err := res.list(ctx, c.s.adm.ListStartOffsets)
	if err != nil {
		return nil // asked again after the next fetch
	}
	ends, err := res.list(ctx, c.s.adm.ListEndOffsets)
	if err != nil {
		return nil
	}
	start, ok1 := starts.Lookup(p.Topic, p.Num)
	end, ok2 := ends.Lookup(p.Topic, p.Num)
	if ok1 && ok2 && (p.Next < start.Offset || p.Next > end.Offset) {
		return &OffsetError{Topic: p.Topic, Partition: p.Num, Position: p.Next, Start: start.Offset, End: end.Offset, Group: c.cfg.Group}
	}
	return nil // a follower behind its leader, or a race: fetch again
}

// survey looks at a new view of the cluster: topics created again, and partitions that are new.
func (c *consumer) survey(ctx context.Context, rt *tracker) error {
	v := c.s.view.Load()
	if v == nil || v == c.checked {
		return nil
	}
	c.checked = v
	if v.err != nil {
		if hopeless(v.err) {
			return v.err
		}
		c.warn(ctx, "kafkaio: the cluster does not answer; reading goes on when it does: %s", bare(v.err))
		return nil
	}
	for i := range rt.r.Partitions {
		p := &rt.r.Partitions[i]
		if id := [16]byte(v.topics[p.Topic].ID); id != p.ID && id != ([16]byte{}) && p.ID != ([16]byte{}) {
			return &TopicError{Topic: p.Topic, Partition: p.Num, Position: p.Next, Want: p.ID, Got: id, Group: c.cfg.Group}
		}
	}
	if c.cfg.Bounded {
		return nil
	}
	look, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ps, err := resolver{c.s.cl, c.s.adm, c.cfg}.fresh(look, v.topics, rt.r.Partitions, rt.r.Shard, max(rt.r.Shards, 1))
	if err != nil {
		c.checked = nil // look again in the next bundle
		c.warn(ctx, "kafkaio: new partitions: %s", bare(err))
		return ctx.Err()
	}
	if len(ps) > 0 {
		rt.add(ps)
	}
	return nil
}

// progress sets the watermark and reports the lag.
func (c *consumer) progress(ctx context.Context, rt *tracker, we *estimator) {
	v := c.s.view.Load()
	if v != nil && v.err != nil {
		v = nil
	}
	low, lag := int64(1)<<62, int64(0)
	for i := range rt.r.Partitions {
		p, end := &rt.r.Partitions[i], c.slots[i].high
		if p.complete() {
			continue
		}
		at := p.Time
		if v != nil {
			if o, ok := v.ends.Lookup(p.Topic, p.Num); ok {
				end = max(end, o.Offset)
				if o.Offset <= p.Next && c.slots[i].high <= o.Offset {
					at = max(at, v.at.UnixMilli()) // nothing was left to read then, and nothing has come since
				}
			}
		}
		if p.End >= 0 {
			end = min(end, p.End)
		}
		lag += max(0, end-p.Next)
		low = min(low, at)
	}
	if len(rt.r.Partitions) == 0 && v != nil {
		low = v.at.UnixMilli()
	}
	if low > noTime && low < 1<<62 {
		we.rise(low - c.cfg.OutOfOrder.Milliseconds())
	}
	lagGauge.Set(ctx, lag)
}

// probe moves a bounded read over the end of a log that holds no records any more (compacted away): the client fetches on and
// on without a result, so ask the leader once and see how far the answer reaches.
func (c *consumer) probe(ctx context.Context, rt *tracker) error {
	if !c.cfg.Bounded {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for i := range rt.r.Partitions {
		p := rt.r.Partitions[i]
		if p.complete() || c.slots[i].next != p.Next {
			continue
		}
		next, err := c.probeOne(ctx, p)
		if err != nil {
			c.warn(ctx, "kafkaio: reading topic %q partition %d: %v; trying again", p.Topic, p.Num, err)
			continue
		}
		if next > p.Next {
			c.claim = claim{slot: i, first: p.Next, next: min(next, p.End), epoch: p.Epoch, time: noTime}
			if !rt.TryClaim(&c.claim) {
				return rt.GetError()
			}
			c.slots[i].next = lost
		}
	}
	return nil
}

// probeOne returns the offset up to which there are no records, at least p.Next.
func (c *consumer) probeOne(ctx context.Context, p partition) (int64, error) {
	leader, epoch, err := c.s.cl.PartitionLeader(p.Topic, p.Num)
	if err != nil {
		return p.Next, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 0, c.cfg.FetchBytes
	if c.cfg.Committed {
		req.IsolationLevel = 1
	}
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = p.Topic, p.ID
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes, fp.CurrentLeaderEpoch = p.Num, p.Next, c.cfg.FetchPartByte, epoch
	ft.Partitions = append(ft.Partitions, fp)
	req.Topics = append(req.Topics, ft)
	resp, err := c.s.cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return p.Next, err
	}
	for _, t := range resp.(*kmsg.FetchResponse).Topics {
		for j := range t.Partitions {
			if err := kerr.ErrorForCode(t.Partitions[j].ErrorCode); err != nil {
				return p.Next, err
			}
			iso := kgo.ReadUncommitted()
			if c.cfg.Committed {
				iso = kgo.ReadCommitted()
			}
			opts := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: p.Next, IsolationLevel: iso, Topic: p.Topic, Partition: p.Num}
			got, next := kgo.ProcessFetchPartition(opts, &t.Partitions[j], kgo.DefaultDecompressor(), nil)
			if len(got.Records) == 0 && next > p.Next {
				return next, nil
			}
		}
	}
	return p.Next, nil
}
