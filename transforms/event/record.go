package event

// Position is the place of a record in the stream; it never changes and is unique within a topic ID.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of the stream as the broker holds it.
type Record struct {
	Position
	TopicID [16]byte // the broker's identity of the topic: a topic that was deleted and created again has another one
	// Timestamp is the broker's or producer's own stamp in epoch milliseconds; it only serves to measure latency.
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Header names of the stream protocol.
const (
	// HeaderReceived holds the receive time in epoch milliseconds, decimal; set once by ingest and kept by every replay.
	HeaderReceived = "received"
	// HeaderSource names where the event came from.
	HeaderSource = "source"
	// HeaderSeq holds the client's sequence number, decimal.
	HeaderSeq = "seq"
	// HeaderMarker marks a record as a marker instead of an event; its value is the decimal epoch the record begins, or "tick".
	HeaderMarker = "marker"
)
