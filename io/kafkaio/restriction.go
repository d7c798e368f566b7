package kafkaio

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func init() {
	beam.RegisterType(reflect.TypeFor[restriction]())
	beam.RegisterCoder(reflect.TypeFor[restriction](), encodeRestriction, decodeRestriction)
}

// restriction is a group of partitions with the next offset of each. It is first unresolved (no partitions); the first
// bundle finds the partitions and their start offsets and does nothing else, so that a replay cannot find other ones.
// Partitions keep their places; new ones are appended.
type restriction struct {
	Shard, Shards int32
	Resolved      bool
	Ended         bool // drained: read no more, commit and stop
	Partitions    []partition
}

type partition struct {
	Topic string
	ID    [16]byte // of the topic
	Num   int32
	Next  int64 // next offset to read
	End   int64 // first offset not to read; -1: unbounded
	Epoch int32 // leader epoch of the last record read; -1: none
	Time  int64 // highest record timestamp; noTime: none yet
}

const noTime = -1 << 62

func (p *partition) complete() bool { return p.End >= 0 && p.Next >= p.End }

// complete says that nothing is left to read, now and for ever.
func (r *restriction) complete() bool {
	if !r.Resolved {
		return r.Ended
	}
	if r.Ended {
		return true
	}
	for i := range r.Partitions {
		if !r.Partitions[i].complete() {
			return false
		}
	}
	return len(r.Partitions) > 0 && r.Partitions[0].End >= 0
}

func (r *restriction) size() float64 {
	if r.Ended {
		return 0
	}
	n := 0.0
	for i := range r.Partitions {
		if p := &r.Partitions[i]; p.End < 0 {
			n++
		} else if !p.complete() {
			n += float64(p.End - p.Next)
		}
	}
	if n == 0 && !r.complete() {
		return 1
	}
	return n
}

const restrictionVersion = 1

func encodeRestriction(r restriction) []byte {
	b := make([]byte, 0, 64+40*len(r.Partitions))
	var flags byte
	if r.Resolved {
		flags |= 1
	}
	if r.Ended {
		flags |= 2
	}
	b = append(b, restrictionVersion, flags)
	b = binary.AppendVarint(b, int64(r.Shard))
	b = binary.AppendVarint(b, int64(r.Shards))
	b = binary.AppendUvarint(b, uint64(len(r.Partitions)))
	for i := range r.Partitions {
		p := &r.Partitions[i]
		if i > 0 && p.Topic == r.Partitions[i-1].Topic && p.ID == r.Partitions[i-1].ID {
			b = append(b, 1)
		} else {
			b = append(b, 0)
			b = appendString(b, p.Topic)
			b = append(b, p.ID[:]...)
		}
		for _, v := range [...]int64{int64(p.Num), p.Next, p.End, int64(p.Epoch), p.Time} {
			b = binary.AppendVarint(b, v)
		}
	}
	return b
}

func decodeRestriction(b []byte) (restriction, error) {
	var r restriction
	d := decoder{b: b}
	head := d.take(2)
	if d.bad || head[0] != restrictionVersion || head[1] > 3 {
		return r, fmt.Errorf("%w: restriction", errCorrupt)
	}
	r.Resolved, r.Ended = head[1]&1 != 0, head[1]&2 != 0
	r.Shard, r.Shards = d.int32(), d.int32()
	n := d.length()
	if n > 0 {
		r.Partitions = make([]partition, 0, min(n, 1024))
	}
	for i := range n {
		var p partition
		switch same := d.take(1); {
		case d.bad:
		case same[0] == 1 && i > 0:
			p.Topic, p.ID = r.Partitions[i-1].Topic, r.Partitions[i-1].ID
		case same[0] == 0:
			p.Topic = string(d.take(d.length()))
			copy(p.ID[:], d.take(16))
		default:
			d.fail()
		}
		p.Num, p.Next, p.End, p.Epoch, p.Time = d.int32(), d.varint(), d.varint(), d.int32(), d.varint()
		if d.bad {
			break
		}
		r.Partitions = append(r.Partitions, p)
	}
	return r, d.end()
}

// claim is the position type of the tracker: a run of records in one partition.
type claim struct {
	slot        int   // index of the partition
	first, next int64 // first offset, and the one after the last
	epoch       int32
	time        int64 // highest timestamp
}

// tracker tracks a restriction. While ProcessElement runs it refuses to split, because a residual that is resumed before
// its bundle has succeeded would commit too early; a split at 0 makes ProcessElement yield at once instead. The split
// that follows a return with resumption gives up everything that is left.
type tracker struct {
	mu      sync.Mutex
	r       restriction
	read    float64
	running bool
	stopped bool // asked to yield
	done    bool
	wake    func()
	err     error
}

func newTracker(r restriction) *tracker {
	r.Partitions = slices.Clone(r.Partitions)
	return &tracker{r: r}
}

// TryClaim claims a run of records; pos is a *claim.
func (t *tracker) TryClaim(pos any) bool {
	c, ok := pos.(*claim)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done || t.stopped {
		return false
	}
	if !ok || c.slot < 0 || c.slot >= len(t.r.Partitions) || c.first < t.r.Partitions[c.slot].Next || c.next < c.first {
		t.err = fmt.Errorf("kafkaio: claim of %+v outside the restriction", pos)
		return false
	}
	p := &t.r.Partitions[c.slot]
	t.read += float64(c.next - p.Next)
	p.Next, p.Epoch, p.Time = c.next, c.epoch, max(p.Time, c.time)
	return true
}

// begin marks that ProcessElement runs; wake interrupts its waiting.
func (t *tracker) begin(wake func()) {
	t.mu.Lock()
	t.running, t.wake = true, wake
	t.mu.Unlock()
}

func (t *tracker) end() {
	t.mu.Lock()
	t.running, t.wake = false, nil
	t.mu.Unlock()
}

func (t *tracker) stopping() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped
}

// finish says that all work of the restriction is done.
func (t *tracker) finish() {
	t.mu.Lock()
	t.done = true
	t.mu.Unlock()
}

// resolve gives the restriction its partitions.
func (t *tracker) resolve(ps []partition) {
	t.mu.Lock()
	t.r.Resolved, t.r.Partitions = true, ps
	t.mu.Unlock()
}

// add appends partitions that are new in the cluster.
func (t *tracker) add(ps []partition) {
	t.mu.Lock()
	t.r.Partitions = append(t.r.Partitions, ps...)
	t.mu.Unlock()
}

// TrySplit gives up the rest when ProcessElement has returned, and otherwise makes it return soon.
func (t *tracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done || fraction > 0 {
		return t.r, nil, nil
	}
	if t.running {
		t.stopped = true
		if t.wake != nil {
			t.wake()
		}
		return t.r, nil, nil
	}
	rest := t.r
	rest.Partitions = slices.Clone(t.r.Partitions)
	t.r.Ended, t.done = true, true
	return t.r, rest, nil
}

// GetError returns the fault that ended processing, if any.
func (t *tracker) GetError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// GetProgress returns the records claimed and those left; unbounded partitions count one each.
func (t *tracker) GetProgress() (done, remaining float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read, t.r.size()
}

// IsDone says whether nothing is left to process or everything left was given up.
func (t *tracker) IsDone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done
}

// GetRestriction returns a copy of the restriction as it stands.
func (t *tracker) GetRestriction() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	r.Partitions = slices.Clone(t.r.Partitions)
	return r
}

// IsBounded says whether every partition has an end.
func (t *tracker) IsBounded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.r.Ended || (len(t.r.Partitions) > 0 && t.r.Partitions[0].End >= 0)
}
