package kafkaio

import (
	"fmt"
	"strings"
)

// OffsetError reports that the next record to read is not in the log: records were deleted before they were read
// (Start > Position), or the log ends before what was already read (End < Position), because the broker lost data.
// Reading on would silently skip or repeat records, so the bundle fails until somebody decides.
type OffsetError struct {
	Topic     string
	Partition int32
	Position  int64 // the next offset to read
	Start     int64 // the first offset in the log; -1: not known
	End       int64 // the offset after the last one in the log; -1: not known
	Group     string
}

// Error says what is missing and how to go on.
func (e *OffsetError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kafkaio: topic %q partition %d: offset %d is not in the log [%d, %d): ", e.Topic, e.Partition, e.Position, e.Start, e.End)
	switch {
	case e.Start > e.Position:
		fmt.Fprintf(&b, "%d records were deleted before they were read", e.Start-e.Position)
	case e.End >= 0 && e.End < e.Position:
		fmt.Fprintf(&b, "the broker lost the last %d records that were already read", e.Position-e.End)
	default:
		b.WriteString("the broker refuses it")
	}
	at := e.Start
	if e.End >= 0 && e.End < e.Position {
		at = e.End
	}
	b.WriteString(goOn(e.Group, fmt.Sprintf("offset %d", at)))
	return b.String()
}

// TopicError reports that a topic was deleted and created again: what was read so far belongs to another log, and so do
// the offsets.
type TopicError struct {
	Topic     string
	Partition int32 // a partition that was being read; -1: not known
	Position  int64 // its next offset, in the old topic
	Want, Got [16]byte
	Group     string
}

// Error says which topic changed and how to go on.
func (e *TopicError) Error() string {
	return fmt.Sprintf("kafkaio: topic %q (partition %d, offset %d) was deleted and created again: its ID was %x and is %x%s",
		e.Topic, e.Partition, e.Position, e.Want, e.Got, goOn(e.Group, "the earliest offset"))
}

// Permanent reports that trying again does not help: the old topic does not come back.
func (e *TopicError) Permanent() bool { return true }

func goOn(group, where string) string {
	if group == "" {
		return fmt.Sprintf(". To go on, start a new job at %s (kafkaio.StartAt)", where)
	}
	return fmt.Sprintf(". To go on, stop the job, set the offsets of group %q to %s (kafkaio.SetOffsets) and start a new job", group, where)
}

// SizeError reports a message that is larger than the producer or the broker takes.
type SizeError struct {
	Topic string
	Key   []byte // at most the first 64 bytes
	Size  int    // bytes of key, value and headers
	Max   int    // the limit of this writer (MaxMessageBytes); the broker's may be smaller
	cause error
}

// Error says which message is too large, and what the limit is.
func (e *SizeError) Error() string {
	return fmt.Sprintf("kafkaio: the message with key %q for topic %q has %d bytes, more than the limit (writer: %d bytes): "+
		"make it smaller, or raise kafkaio.MaxMessageBytes and the topic's max.message.bytes", e.Key, e.Topic, e.Size, e.Max)
}

// Unwrap returns what the client or the broker answered.
func (e *SizeError) Unwrap() error { return e.cause }

// bare is an error's text without the package's name, for texts that begin with it already.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "kafkaio: ") }
