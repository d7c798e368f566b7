package replay

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/braidhq/braid/transforms/event"
)

// everything stands for all reasons in a ledger.
const everything event.Reason = "*"

// maxLedger is how long the ledger of a partition may be: what Kafka takes as the metadata of an offset by default.
const maxLedger = 4096

// span is the offsets from <= offset < to.
type span [2]int64

// ledger remembers which records of one partition were sent again: spans of offsets by reason. It travels as the metadata of a
// group's offset, so that it stands where the stream stands.
type ledger struct {
	Topic string                  `json:"topic"` // ID of the topic, hexadecimal
	Done  map[event.Reason][]span `json:"done"`
}

// readLedger reads the metadata of an offset; that of another topic of the same name counts as nothing.
func readLedger(metadata string, topic [16]byte) (*ledger, error) {
	l := &ledger{Topic: hex.EncodeToString(topic[:]), Done: map[event.Reason][]span{}}
	if metadata == "" {
		return l, nil
	}
	var found ledger
	if err := json.Unmarshal([]byte(metadata), &found); err != nil {
		return nil, fmt.Errorf("the ledger of what was sent again is damaged: %w", err)
	}
	if found.Topic == l.Topic && found.Done != nil {
		return &found, nil
	}
	return l, nil
}

// has reports whether the record at an offset was sent again.
func (l *ledger) has(offset int64, reason event.Reason) bool {
	for _, key := range []event.Reason{everything, reason} {
		for _, s := range l.Done[key] {
			if s[0] <= offset && offset < s[1] {
				return true
			}
		}
	}
	return false
}

// add notes that all records of the reasons (none: of any) with from <= offset < to were dealt with.
func (l *ledger) add(from, to int64, reasons []event.Reason) {
	if from >= to {
		return
	}
	if len(reasons) == 0 {
		reasons = []event.Reason{everything}
	}
	for _, r := range reasons {
		l.Done[r] = merged(append(l.Done[r], span{from, to}))
	}
	for r, spans := range l.Done {
		if r == everything {
			continue
		}
		l.Done[r] = slices.DeleteFunc(spans, func(s span) bool {
			return slices.ContainsFunc(l.Done[everything], func(all span) bool { return all[0] <= s[0] && s[1] <= all[1] })
		})
		if len(l.Done[r]) == 0 {
			delete(l.Done, r)
		}
	}
}

// merged sorts spans and joins those that touch.
func merged(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a[0], b[0]) })
	out := spans[:1]
	for _, s := range spans[1:] {
		if last := &out[len(out)-1]; s[0] <= last[1] {
			last[1] = max(last[1], s[1])
		} else {
			out = append(out, s)
		}
	}
	return out
}

// next returns the first offset from which on not all is dealt with.
func (l *ledger) next() int64 {
	if all := l.Done[everything]; len(all) > 0 && all[0][0] == 0 {
		return all[0][1]
	}
	return 0
}

// encode returns the metadata.
func (l *ledger) encode() (string, error) {
	b, err := json.Marshal(l)
	if err == nil && len(b) > maxLedger {
		err = fmt.Errorf("the ledger of what was sent again has too many pieces; run once without --reason and --since")
	}
	return string(b), err
}
