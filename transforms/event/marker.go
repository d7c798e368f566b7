package event

import (
	"encoding/json"
	"strconv"
)

// MarkerVersion is the format version of a marker's value.
const MarkerVersion = 1

const markerTick = "tick"

// Marker is a record that begins an epoch in its partition, or a tick, which only moves the partition's receive clock.
type Marker struct {
	Epoch    uint64 // the epoch it begins; zero for a tick
	Oldest   uint64 // the oldest epoch a batch still uses: what lies before may be coalesced; zero for a tick
	Pruned   uint64 // epochs below are in every snapshot of the batch path that is still read; zero when there is none
	Tick     bool
	Received int64 // receive time in epoch milliseconds
}

type markerValue struct {
	Version int    `json:"v"`
	Epoch   uint64 `json:"epoch"`
	Oldest  uint64 `json:"oldest"`
	Pruned  uint64 `json:"pruned,omitempty"`
}

// ParseMarker reports whether a record is a marker, and reads it. The error is a *Rejection.
func ParseMarker(r Record) (Marker, bool, error) {
	var name []byte
	found := false
	for _, h := range r.Headers {
		if h.Key == HeaderMarker {
			name, found = h.Value, true
			break
		}
	}
	if !found {
		return Marker{}, false, nil
	}
	e := Event{Received: r.Timestamp}
	if err := e.headers(r.Headers); err != nil {
		return Marker{}, true, err
	}
	m := Marker{Received: e.Received}
	if string(name) == markerTick {
		m.Tick = true
		return m, true, nil
	}
	epoch, err := strconv.ParseUint(string(name), 10, 64)
	if err != nil {
		return Marker{}, true, &Rejection{Reason: BadMarker, Field: HeaderMarker, Detail: "is " + excerpt(name) + `, neither "tick" nor a decimal epoch`}
	}
	var v markerValue
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return Marker{}, true, &Rejection{Reason: BadMarker, Detail: "has no readable value: " + err.Error()}
	}
	switch {
	case v.Version != MarkerVersion:
		return Marker{}, true, &Rejection{Reason: BadMarker, Field: "v", Detail: "is " + strconv.Itoa(v.Version) + ", only " + strconv.Itoa(MarkerVersion) + " is known here"}
	case v.Epoch != epoch:
		return Marker{}, true, &Rejection{Reason: BadMarker, Field: "epoch", Detail: "differs from the header's " + strconv.FormatUint(epoch, 10)}
	case v.Pruned > v.Oldest:
		return Marker{}, true, &Rejection{Reason: BadMarker, Field: "pruned", Detail: "is later than the oldest epoch in use"}
	case v.Oldest > epoch:
		return Marker{}, true, &Rejection{Reason: BadMarker, Field: "oldest", Detail: "is later than the epoch itself"}
	}
	m.Epoch, m.Oldest, m.Pruned = epoch, v.Oldest, v.Pruned
	return m, true, nil
}

// Record returns the headers and the value of the marker's record.
func (m Marker) Record() (headers []Header, value []byte) {
	received := Header{Key: HeaderReceived, Value: strconv.AppendInt(nil, m.Received, 10)}
	if m.Tick {
		return []Header{{Key: HeaderMarker, Value: []byte(markerTick)}, received}, []byte(`{"v":1}`)
	}
	epoch := strconv.AppendUint(nil, m.Epoch, 10)
	value = append(append([]byte(`{"v":1,"epoch":`), epoch...), `,"oldest":`...)
	value = strconv.AppendUint(value, m.Oldest, 10)
	if m.Pruned != 0 {
		value = strconv.AppendUint(append(value, `,"pruned":`...), m.Pruned, 10)
	}
	value = append(value, '}')
	return []Header{{Key: HeaderMarker, Value: epoch}, received}, value
}
