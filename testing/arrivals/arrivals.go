// Package arrivals takes one history of events through the many ways in which it may arrive.
//
// In go events; out come schedules: in which order and partitions they arrive, where markers lie between them, how they are cut into
// bundles, which of those are replayed and which commits fail. Whatever the schedule, the profiles must be the same to the byte.
package arrivals

import (
	"hash/fnv"
	"slices"

	"github.com/braidhq/braid/transforms/event"
)

// Topic is the name of the stream in all schedules.
const Topic = "braid.arrivals.events"

// TopicID is the broker's identity of Topic.
var TopicID = [16]byte{1}

// Choose makes one choice: it returns a number of at least 0 and less than n. What says what it is about.
type Choose func(n int, what string) int

// Options bound what Draw may do to a history.
type Options struct {
	// Partitions is how many partitions there may be; default 4.
	Partitions int
	// InOrder keeps the records of each partition in the order of the history.
	InOrder bool
	// Received is the receive time of markers and ticks, epoch milliseconds.
	Received int64
}

// Schedule is one way in which a history arrives: the partitions' records, in the order of their offsets.
type Schedule struct {
	Partitions [][]event.Record
}

// Draw draws a schedule: any number of partitions with equal record keys in one of them, any order, and markers and ticks anywhere
// between.
func Draw(choose Choose, history []event.Record, o Options) Schedule {
	if o.Partitions == 0 {
		o.Partitions = 4
	}
	s := Schedule{Partitions: make([][]event.Record, 1+choose(o.Partitions, "partitions"))}
	salt := byte(choose(256, "salt"))
	epochs := make([]uint64, len(s.Partitions))
	order := slices.Clone(history)
	for i, r := range order {
		if !o.InOrder { // Fisher and Yates, from the front
			j := i + choose(len(order)-i, "next")
			order[i], order[j] = order[j], r
			r = order[i]
		}
		h := fnv.New32a()
		h.Write(append([]byte{salt}, r.Key...))
		p := int(h.Sum32() % uint32(len(s.Partitions)))
		if choose(6, "marker") == 0 {
			epochs[p] += uint64(choose(3, "epochs"))
			m := event.Marker{Epoch: epochs[p], Oldest: uint64(choose(int(epochs[p])+1, "oldest")), Received: o.Received}
			m.Tick = epochs[p] == 0
			s.Append(p, Marker(m))
		}
		s.Append(p, r)
	}
	return s
}

// End appends a tick to each partition, so that whoever reads on meets every partition once more.
func (s Schedule) End(received int64) {
	for p := range s.Partitions {
		s.Append(p, Marker(event.Marker{Tick: true, Received: received}))
	}
}

// Append adds a record to a partition, at its next offset.
func (s Schedule) Append(p int, r event.Record) {
	r.Position = event.Position{Topic: Topic, Partition: int32(p), Offset: int64(len(s.Partitions[p]))}
	r.TopicID = TopicID
	s.Partitions[p] = append(s.Partitions[p], r)
}

// Marker returns the record of a marker, without a position.
func Marker(m event.Marker) event.Record {
	headers, value := m.Record()
	return event.Record{Headers: headers, Value: value, Timestamp: m.Received}
}
