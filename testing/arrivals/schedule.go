package arrivals

import (
	"hash/fnv"

	"github.com/braidhq/braid/transforms/event"
	"pgregory.net/rapid"
)

// Schedule is one way in which a history arrives: the partitions' records, in the order of their offsets.
type Schedule struct {
	Partitions [][]event.Record
}

// Draw draws a schedule: any order, any number of partitions up to four with equal record keys in one of them, and markers and
// ticks anywhere between.
func Draw(t *rapid.T, history []event.Record) Schedule {
	s := Schedule{Partitions: make([][]event.Record, rapid.IntRange(1, 4).Draw(t, "partitions"))}
	salt := rapid.Byte().Draw(t, "salt")
	epochs := make([]uint64, len(s.Partitions))
	for _, r := range rapid.Permutation(history).Draw(t, "order") {
		h := fnv.New32a()
		h.Write(append([]byte{salt}, r.Key...))
		p := int(h.Sum32()) % len(s.Partitions)
		if rapid.IntRange(0, 5).Draw(t, "marker") == 0 {
			epochs[p] += rapid.Uint64Range(0, 2).Draw(t, "epochs")
			m := event.Marker{Epoch: epochs[p], Oldest: rapid.Uint64Range(0, epochs[p]).Draw(t, "oldest"), Received: Start}
			m.Tick = epochs[p] == 0
			s.append(p, markerRecord(m))
		}
		s.append(p, r)
	}
	return s
}

// End appends a tick to each partition, so that whoever reads on meets every partition once more.
func (s Schedule) End() {
	for p := range s.Partitions {
		s.append(p, markerRecord(event.Marker{Tick: true, Received: Start}))
	}
}

func (s Schedule) append(p int, r event.Record) {
	r.Position = event.Position{Topic: Topic, Partition: int32(p), Offset: int64(len(s.Partitions[p]))}
	r.TopicID = [16]byte{1}
	s.Partitions[p] = append(s.Partitions[p], r)
}

func markerRecord(m event.Marker) event.Record {
	headers, value := m.Record()
	return event.Record{Headers: headers, Value: value, Timestamp: m.Received}
}
