package profile

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// How long a cell remembers the IDs of its events, so that a sender's retry does not count twice.
const (
	// SeenWindow is the time in milliseconds of receive time.
	SeenWindow int64 = 60 * 60 * 1000
	// SeenEvents is the number of events; of more within the window the earliest are forgotten.
	SeenEvents = 1024
)

// seenEntry is the size of an entry: the hash of the event ID (8 bytes), the receive time (6 bytes) and the partition (2 bytes), little
// endian.
const seenEntry = 16

// Seen is a cell's memory of the event IDs it counted lately, in order of arrival. Each partition is remembered apart: a retry comes
// where the first try went, for both have the same record key, and what happens in a partition does not depend on what others do meanwhile.
// So the batch path, which reads partitions one after the other, counts the same events.
type Seen []byte

// add reports whether an event ID is new, and remembers it. An ID counts as seen when it was remembered with a receive time within
// SeenWindow of this one, whichever came first.
func (s *Seen) add(id string, partition int32, received int64) bool {
	hash, lane := xxhash.Sum64String(id), uint16(partition)
	latest, earliest, known := received, received, 0
	for i := 0; i < len(*s); i += seenEntry {
		h, at, l := s.entry(i)
		if l != lane {
			continue
		}
		if h == hash && max(at-received, received-at) <= SeenWindow {
			return false
		}
		latest, earliest, known = max(latest, at), min(earliest, at), known+1
	}
	kept := *s
	if earliest < latest-SeenWindow {
		kept, known = kept.since(lane, latest-SeenWindow)
	}
	if received >= latest-SeenWindow {
		if known >= SeenEvents {
			kept = kept.without(lane)
		}
		kept = appendEntry(kept, hash, received, lane)
	}
	*s = kept
	return true
}

func appendEntry(s Seen, hash uint64, received int64, lane uint16) Seen {
	s = binary.LittleEndian.AppendUint64(s, hash)
	s = binary.LittleEndian.AppendUint32(s, uint32(received))
	s = binary.LittleEndian.AppendUint16(s, uint16(received>>32))
	return binary.LittleEndian.AppendUint16(s, lane)
}

// has reports whether an event ID counts as seen.
func (s Seen) has(id string, partition int32, received int64) bool {
	hash, lane := xxhash.Sum64String(id), uint16(partition)
	for i := 0; i < len(s); i += seenEntry {
		if h, at, l := s.entry(i); l == lane && h == hash && max(at-received, received-at) <= SeenWindow {
			return true
		}
	}
	return false
}

// with returns what both remember, within the bounds of one.
func (s Seen) with(o Seen) Seen {
	entries := slices.Collect(slices.Chunk(append(slices.Clone(s), o...), seenEntry))
	slices.SortStableFunc(entries, func(a, b Seen) int {
		return cmp.Or(cmp.Compare(a.lane(), b.lane()), cmp.Compare(a.received(), b.received()))
	})
	var kept []Seen
	for len(entries) > 0 {
		lane := entries[0].lane()
		n := slices.IndexFunc(entries, func(e Seen) bool { return e.lane() != lane })
		if n < 0 {
			n = len(entries)
		}
		of := entries[:n]
		earliest := of[n-1].received() - SeenWindow
		for _, e := range of[max(0, n-SeenEvents):] {
			if e.received() >= earliest {
				kept = append(kept, e)
			}
		}
		entries = entries[n:]
	}
	return slices.Concat(kept...)
}

// received returns the receive time of the first entry, lane its partition.
func (s Seen) received() int64 {
	_, at, _ := s.entry(0)
	return at
}

func (s Seen) lane() uint16 {
	_, _, lane := s.entry(0)
	return lane
}

// since drops the entries of a partition before a receive time; it returns how many of the partition are left.
func (s Seen) since(lane uint16, received int64) (kept Seen, left int) {
	kept = make(Seen, 0, len(s)+seenEntry)
	for i := 0; i < len(s); i += seenEntry {
		_, at, l := s.entry(i)
		if l == lane && at < received {
			continue
		}
		if l == lane {
			left++
		}
		kept = append(kept, s[i:i+seenEntry]...)
	}
	return kept, left
}

// without drops the first entry of a partition.
func (s Seen) without(lane uint16) Seen {
	for i := 0; i < len(s); i += seenEntry {
		if _, _, l := s.entry(i); l != lane {
			continue
		}
		if i == 0 {
			return s[seenEntry:]
		}
		return slices.Concat(s[:i], s[i+seenEntry:])
	}
	return s
}

func (s Seen) entry(i int) (hash uint64, received int64, lane uint16) {
	hash = binary.LittleEndian.Uint64(s[i:])
	low := uint64(binary.LittleEndian.Uint32(s[i+8:]))
	high := uint64(binary.LittleEndian.Uint16(s[i+12:]))
	return hash, int64(low|high<<32) << 16 >> 16, binary.LittleEndian.Uint16(s[i+14:]) // the time with its sign
}
