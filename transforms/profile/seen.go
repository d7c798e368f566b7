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

// seenEntry is the size of an entry: the hash of the event ID (8 bytes) and the receive time (6 bytes), little endian.
const seenEntry = 14

// Seen is a cell's memory of the event IDs it counted lately, in order of arrival.
type Seen []byte

// add reports whether an event ID is new, and remembers it. An ID counts as seen when it was remembered with a receive time within
// SeenWindow of this one, whichever came first.
func (s *Seen) add(id string, received int64) bool {
	hash := xxhash.Sum64String(id)
	latest, earliest := received, received
	for i := 0; i < len(*s); i += seenEntry {
		h, at := s.entry(i)
		if h == hash && max(at-received, received-at) <= SeenWindow {
			return false
		}
		latest, earliest = max(latest, at), min(earliest, at)
	}
	kept := *s
	if earliest < latest-SeenWindow {
		kept = kept.since(latest - SeenWindow)
	}
	if received >= latest-SeenWindow {
		kept = binary.LittleEndian.AppendUint64(kept, hash)
		kept = binary.LittleEndian.AppendUint32(kept, uint32(received))
		kept = binary.LittleEndian.AppendUint16(kept, uint16(received>>32))
	}
	if over := len(kept) - SeenEvents*seenEntry; over > 0 {
		kept = kept[over:]
	}
	*s = kept
	return true
}

// has reports whether an event ID counts as seen.
func (s Seen) has(id string, received int64) bool {
	hash := xxhash.Sum64String(id)
	for i := 0; i < len(s); i += seenEntry {
		if h, at := s.entry(i); h == hash && max(at-received, received-at) <= SeenWindow {
			return true
		}
	}
	return false
}

// with returns what both remember, within the bounds of one.
func (s Seen) with(o Seen) Seen {
	entries := slices.Collect(slices.Chunk(append(slices.Clone(s), o...), seenEntry))
	if len(entries) == 0 {
		return nil
	}
	slices.SortStableFunc(entries, func(a, b Seen) int { return cmp.Compare(a.received(), b.received()) })
	earliest := entries[len(entries)-1].received() - SeenWindow
	entries = entries[max(0, len(entries)-SeenEvents):]
	entries = slices.DeleteFunc(entries, func(e Seen) bool { return e.received() < earliest })
	return slices.Concat(entries...)
}

// received returns the receive time of the first entry.
func (s Seen) received() int64 {
	_, at := s.entry(0)
	return at
}

func (s Seen) since(received int64) Seen {
	kept := make(Seen, 0, len(s)+seenEntry)
	for i := 0; i < len(s); i += seenEntry {
		if _, at := s.entry(i); at >= received {
			kept = append(kept, s[i:i+seenEntry]...)
		}
	}
	return kept
}

func (s Seen) entry(i int) (hash uint64, received int64) {
	hash = binary.LittleEndian.Uint64(s[i:])
	low := uint64(binary.LittleEndian.Uint32(s[i+8:]))
	high := uint64(binary.LittleEndian.Uint16(s[i+12:]))
	return hash, int64(low|high<<32) << 16 >> 16 // with its sign
}
