package kafkaio

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumer reads one group of partitions for whichever bundle has its turn, and goes on fetching between bundles.
type consumer struct {
	cfg  *readConfig
	turn chan struct{} // holds one token: who has it owns all but used
	used atomic.Int64  // unix ns of the last use

	s       *session // nil: closed for idleness
	slots   []slot   // where the client stands, in the order of the restriction
	index   map[string]map[int32]int
	astray  bool // records were taken from the client and not all claimed: seek before reading on
	faulted bool // the last poll brought an error that is waited out
	checked *view
	claim   claim
	logged  time.Time
}

// slot mirrors a partition of the restriction.
type slot struct {
	topic string
	num   int32
	next  int64 // next offset the client yields, or one of the two below
	high  int64 // end of the log as of the last fetch; 0: not known
}

const (
	notConsuming = -1
	lost         = -2 // the client may be anywhere, or have given up
)

// session is a client and the goroutines that belong to it.
type session struct {
	cl     *kgo.Client
	adm    *kadm.Client
	com    *committer // nil without a group
	view   atomic.Pointer[view]
	cancel context.CancelFunc
	ended  []chan struct{}
}

// view is what the cluster looked like at a time.
type view struct {
	at     time.Time // before asking
	err    error
	topics kadm.TopicDetails
	ends   kadm.ListedOffsets
}

var consumers = newPool(func(c *consumer) {
	c.turn <- struct{}{}
	c.stop()
	<-c.turn
})

func newConsumer(cfg *readConfig) *consumer {
	return &consumer{cfg: cfg, turn: make(chan struct{}, 1)}
}

// lock waits for the consumer's turn and makes sure that it has a client.
func (c *consumer) lock(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.used.Store(time.Now().UnixNano())
	if c.s != nil {
		return nil
	}
	if err := c.start(); err != nil {
		<-c.turn
		return err
	}
	return nil
}

func (c *consumer) unlock() {
	c.used.Store(time.Now().UnixNano())
	<-c.turn
}

func (c *consumer) start() error {
	iso := kgo.ReadUncommitted()
	if c.cfg.Committed {
		iso = kgo.ReadCommitted()
	}
	cl, err := c.cfg.Client.connect(
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // out of range is an error, never a jump
		kgo.KeepControlRecords(),                    // they move the position on
		kgo.FetchIsolationLevel(iso),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(c.cfg.FetchBytes), kgo.FetchMaxPartitionBytes(c.cfg.FetchPartByte),
		kgo.ConsiderMissingTopicDeletedAfter(24*time.Hour), // we tell a deleted topic by its ID
		kgo.MetadataMinAge(250*time.Millisecond),           // finds moved leaders soon
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{cl: cl, adm: kadm.NewClient(cl), cancel: cancel}
	if c.cfg.Group != "" {
		s.com = newCommitter(s.adm, c.cfg.Group, c.cfg.CommitEvery)
		s.spawn(func() { s.com.run(ctx) })
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.watch(ctx, s)
	}()
	s.ended = append(s.ended, watched)
	c.s, c.slots, c.index, c.astray, c.checked = s, nil, nil, false, nil
	return nil
}

func (s *session) spawn(f func()) {
	done := make(chan struct{})
	s.ended = append(s.ended, done)
	go func() {
		defer close(done)
		f()
	}()
}

// close ends the goroutines but for the last, which may be the caller, commits what is left, and hangs up.
func (s *session) close() {
	s.cancel()
	for _, d := range s.ended[:len(s.ended)-1] {
		<-d
	}
	s.cl.Close()
}

// stop closes the session. The caller has the turn.
func (c *consumer) stop() {
	if s := c.s; s != nil {
		s.close()
		<-s.ended[len(s.ended)-1]
		c.s = nil
	}
}

// watch looks at the cluster every Refresh, and closes a session that nobody has used for long.
func (c *consumer) watch(ctx context.Context, s *session) {
	res := resolver{s.cl, s.adm, c.cfg}
	for {
		v := &view{at: time.Now()}
		look, cancel := context.WithTimeout(ctx, max(c.cfg.Refresh, 5*time.Second))
		if v.topics, v.err = res.topics(look); v.err == nil {
			v.ends, v.err = res.ends(look)
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.view.Store(v)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(c.cfg.Refresh, c.cfg.IdleClose)):
		}
		if time.Since(time.Unix(0, c.used.Load())) < c.cfg.IdleClose {
			continue
		}
		select {
		case c.turn <- struct{}{}:
			if c.s == s && time.Since(time.Unix(0, c.used.Load())) >= c.cfg.IdleClose {
				c.s = nil
				s.close()
				<-c.turn
				return
			}
			<-c.turn
		default: // in use after all
		}
	}
}

// seek puts the client where the restriction is; a partition that is there already goes on with what is buffered.
func (c *consumer) seek(ctx context.Context, ps []partition) {
	same := !c.astray && len(c.slots) <= len(ps)
	for i := range c.slots {
		same = same && c.slots[i].num == ps[i].Num && c.slots[i].topic == ps[i].Topic
	}
	if !same {
		gone := map[string][]int32{}
		for _, s := range c.slots {
			gone[s.topic] = append(gone[s.topic], s.num)
		}
		c.s.cl.RemoveConsumePartitions(gone)
		c.slots, c.index, c.astray = nil, map[string]map[int32]int{}, false
	}
	if c.index == nil {
		c.index = map[string]map[int32]int{}
	}
	var gone map[string][]int32
	var come map[string]map[int32]kgo.Offset
	for i := range ps {
		p := &ps[i]
		if i == len(c.slots) {
			c.slots = append(c.slots, slot{topic: p.Topic, num: p.Num, next: notConsuming})
			if c.index[p.Topic] == nil {
				c.index[p.Topic] = map[int32]int{}
			}
			c.index[p.Topic][p.Num] = i
		}
		s := &c.slots[i]
		want := p.Next
		if p.complete() {
			want = notConsuming
		}
		if s.next == want {
			continue
		}
		if s.next != notConsuming {
			if gone == nil {
				gone = map[string][]int32{}
			}
			gone[p.Topic] = append(gone[p.Topic], p.Num)
		}
		if s.next = want; want == notConsuming {
			continue
		}
		if come == nil {
			come = map[string]map[int32]kgo.Offset{}
		}
		if come[p.Topic] == nil {
			come[p.Topic] = map[int32]kgo.Offset{}
		}
		o := kgo.NewOffset().At(p.Next)
		if p.Epoch >= 0 {
			o = o.WithEpoch(p.Epoch) // tells a log that was cut off and has grown again
		}
		come[p.Topic][p.Num] = o
		seeks.Inc(ctx, 1)
	}
	if gone != nil {
		c.s.cl.RemoveConsumePartitions(gone)
	}
	if come != nil {
		c.s.cl.AddConsumePartitions(come)
	}
}

// take claims and emits what was polled. Whatever ends it early leaves the consumer astray, so that the next bundle seeks.
func (c *consumer) take(ctx context.Context, rt *tracker, fs kgo.Fetches, emit func(beam.EventTime, Record)) (n int, err error) {
	c.astray, c.faulted = true, false
	var size int64
	for fi := range fs {
		for ti := range fs[fi].Topics {
			t := &fs[fi].Topics[ti]
			nums := c.index[t.Topic]
			for pi := range t.Partitions {
				fp := &t.Partitions[pi]
				i, known := nums[fp.Partition]
				if fp.Err != nil {
					if err := c.fault(ctx, rt, t.Topic, fp.Partition, i, known, fp.Err); err != nil {
						return n, err
					}
				}
				if !known || len(fp.Records) == 0 {
					continue
				}
				recs, ok, err := c.own(rt, i, t, fp)
				if err != nil {
					return n, err
				}
				if !ok {
					return n, rt.GetError()
				}
				size += emitAll(recs, rt.r.Partitions[i].ID, emit)
				n += len(recs)
			}
		}
	}
	c.astray = false
	recordsRead.Inc(ctx, int64(n))
	bytesRead.Inc(ctx, size)
	return n, nil
}

// own claims the records of a fetched partition and returns those that belong to the restriction.
func (c *consumer) own(rt *tracker, i int, t *kgo.FetchTopic, fp *kgo.FetchPartition) ([]*kgo.Record, bool, error) {
	p, s := &rt.r.Partitions[i], &c.slots[i]
	if t.TopicID != p.ID && t.TopicID != ([16]byte{}) && p.ID != ([16]byte{}) {
		return nil, false, &TopicError{Topic: p.Topic, Partition: p.Num, Position: p.Next, Want: p.ID, Got: t.TopicID, Group: c.cfg.Group}
	}
	s.high = fp.HighWatermark
	if c.cfg.Committed {
		s.high = fp.LastStableOffset
	}
	recs := fp.Records
	next, epoch := recs[len(recs)-1].Offset+1, recs[len(recs)-1].LeaderEpoch
	if p.End >= 0 && next > p.End {
		next = p.End
		recs = recs[:lowerBound(recs, p.End)]
	}
	recs = recs[lowerBound(recs, p.Next):]
	if next <= p.Next {
		return nil, true, nil
	}
	c.claim = claim{slot: i, first: p.Next, next: next, epoch: epoch, time: noTime}
	if len(recs) > 0 {
		c.claim.first = recs[0].Offset
	}
	for _, r := range recs {
		if ms := r.Timestamp.UnixMilli(); ms > c.claim.time {
			c.claim.time = ms
		}
	}
	if !rt.TryClaim(&c.claim) {
		return nil, false, nil
	}
	s.next = next
	return recs, true, nil
}

// lowerBound returns the index of the first record at or after the offset.
func lowerBound(recs []*kgo.Record, offset int64) int {
	if len(recs) == 0 || recs[0].Offset >= offset {
		return 0
	}
	i, _ := slices.BinarySearchFunc(recs, offset, func(r *kgo.Record, o int64) int {
		switch {
		case r.Offset < o:
			return -1
		case r.Offset > o:
			return 1
		}
		return 0
	})
	return i
}

// warn logs a condition that lasts, at most once per period.
func (c *consumer) warn(ctx context.Context, format string, args ...any) {
	readErrors.Inc(ctx, 1)
	if now := time.Now(); now.Sub(c.logged) >= logPeriod {
		c.logged = now
		log.Warnf(ctx, format, args...)
	}
}
