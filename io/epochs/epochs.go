// Package epochs cuts the stream into numbered stretches. In goes the topic of events; out come marker records in each of its
// partitions and, in the compacted topic of epochs, where each epoch begins.
//
// A record's epoch is the highest marker before it in its partition, 0 when there is none. The Controller writes marker k into every
// partition that exists and records the offsets of these markers under the key k. Its rule for crashes: a number is tried once. Before
// the first marker k goes out, "begun k" is recorded; when anything fails or the process dies, whatever the broker then has of k
// stays as it is, and the next attempt uses k+1 everywhere. This is safe because:
//   - no partition can have two markers k at different places, so the recorded offset is the one that readers of the stream see;
//   - a partition without k goes from an earlier epoch to k+1: being past k+1 it is past k, and nobody asks for k, since it
//     never became complete;
//   - a late marker k that arrives after k+1 changes nothing, since the highest counts.
//
// If the topic of epochs is lost, Floor (the highest epoch in the progress rows) keeps numbers from being used twice.
//
// A new partition begins with epoch 0 until its first marker, and batches that are already computed do not hold its records. So
// producers should not use a partition before that: create it with AddPartitions, which writes the marker at once, while
// ingest is stopped. A partition that appears otherwise gets its first marker at the next Step.
//
// One controller runs per segment: the process that holds the data directory, or the one job that was given this part. A second
// one is noticed by what it writes into the topic of epochs: ErrOtherController; epochs stay correct, but both waste numbers.
package epochs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
)

// formatVersion is the version of the records in the topic of epochs.
const formatVersion = 1

// Epoch is one record of the topic of epochs.
type Epoch struct {
	Epoch  uint64 // its number; the first is 1
	Oldest uint64 // the oldest epoch a batch still used when it began
	Time   int64  // when it began, epoch milliseconds of the controller's clock
	// Positions is the offset of the marker by partition, for those that existed. Nil for an epoch that was begun and never completed.
	Positions map[int32]int64
}

// Complete reports whether every partition that existed had its marker acknowledged.
func (e Epoch) Complete() bool { return len(e.Positions) > 0 }

type epochValue struct {
	Version   int              `json:"v"`
	Epoch     uint64           `json:"epoch"`
	Oldest    uint64           `json:"oldest"`
	Time      int64            `json:"time"`
	Positions map[string]int64 `json:"positions,omitempty"`
}

// Record returns the key and the value of the epoch's record.
func (e Epoch) Record() (key, value []byte, err error) {
	v := epochValue{Version: formatVersion, Epoch: e.Epoch, Oldest: e.Oldest, Time: e.Time}
	if e.Complete() {
		v.Positions = make(map[string]int64, len(e.Positions))
		for partition, offset := range e.Positions {
			v.Positions[strconv.Itoa(int(partition))] = offset
		}
	}
	value, err = json.Marshal(v)
	return strconv.AppendUint(nil, e.Epoch, 10), value, err
}

// ErrNewerFormat is wrapped by the error of Parse for a record that a newer version of this program wrote.
var ErrNewerFormat = errors.New("written by a newer version of this program")

// Parse reads a record of the topic of epochs. The value of a removed epoch (nil) is an error: check before.
func Parse(key, value []byte) (Epoch, error) {
	number, err := strconv.ParseUint(string(key), 10, 64)
	if err != nil {
		return Epoch{}, fmt.Errorf("epoch record: key %q is not a decimal number", key)
	}
	var v epochValue
	if err := json.Unmarshal(value, &v); err != nil {
		return Epoch{}, fmt.Errorf("epoch record %d: %w", number, err)
	}
	switch {
	case v.Version > formatVersion:
		return Epoch{}, fmt.Errorf("epoch record %d: format %d: %w", number, v.Version, ErrNewerFormat)
	case v.Version < 1:
		return Epoch{}, fmt.Errorf("epoch record %d: format %d is unknown", number, v.Version)
	case v.Epoch != number || number == 0:
		return Epoch{}, fmt.Errorf("epoch record %d: its value says epoch %d", number, v.Epoch)
	case v.Oldest > v.Epoch:
		return Epoch{}, fmt.Errorf("epoch record %d: its oldest epoch in use is %d", number, v.Oldest)
	}
	e := Epoch{Epoch: v.Epoch, Oldest: v.Oldest, Time: v.Time}
	for text, offset := range v.Positions {
		partition, err := strconv.ParseInt(text, 10, 32)
		if err != nil || partition < 0 || offset < 0 {
			return Epoch{}, fmt.Errorf("epoch record %d: position %q: %d", number, text, offset)
		}
		if e.Positions == nil {
			e.Positions = make(map[int32]int64, len(v.Positions))
		}
		e.Positions[int32(partition)] = offset
	}
	return e, nil
}

func (e Epoch) clone() Epoch {
	e.Positions = maps.Clone(e.Positions)
	return e
}
