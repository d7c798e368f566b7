package kafkaio

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func init() {
	beam.RegisterType(reflect.TypeFor[Record]())
	beam.RegisterType(reflect.TypeFor[Message]())
	beam.RegisterCoder(reflect.TypeFor[Record](), encodeRecord, decodeRecord)
	beam.RegisterCoder(reflect.TypeFor[Message](), encodeMessage, decodeMessage)
}

// Record is one record as read. Key, Value and Headers share memory with the fetch they came in: treat them as
// read-only, and copy what is kept for long.
type Record struct {
	Topic     string
	TopicID   [16]byte // all zero when the broker knows no topic IDs
	Partition int32
	Offset    int64
	Timestamp int64 // ms since 1970, as Kafka keeps it
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
}

// Header is a named value beside the record's value. Names may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Message is one record to be written. The partition follows from the key, as with Kafka's own default partitioner.
type Message struct {
	Topic     string
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
	Timestamp int64 // ms since 1970; 0: the time of writing
}

var errCorrupt = errors.New("kafkaio: corrupt encoding")

func encodeRecord(r Record) []byte {
	b := make([]byte, 0, 16+4*binary.MaxVarintLen64+len(r.Topic)+sizeOf(r.Key, r.Value, r.Headers))
	b = appendString(b, r.Topic)
	b = append(b, r.TopicID[:]...)
	b = binary.AppendVarint(b, int64(r.Partition))
	b = binary.AppendVarint(b, r.Offset)
	b = binary.AppendVarint(b, r.Timestamp)
	return appendContent(b, r.Key, r.Value, r.Headers)
}

// decodeRecord keeps slices of b.
func decodeRecord(b []byte) (Record, error) {
	d := decoder{b: b}
	var r Record
	r.Topic = string(d.take(d.length()))
	copy(r.TopicID[:], d.take(16))
	r.Partition = d.int32()
	r.Offset = d.varint()
	r.Timestamp = d.varint()
	r.Key, r.Value, r.Headers = d.content()
	return r, d.end()
}

func encodeMessage(m Message) []byte {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(m.Topic)+sizeOf(m.Key, m.Value, m.Headers))
	b = appendString(b, m.Topic)
	b = binary.AppendVarint(b, m.Timestamp)
	return appendContent(b, m.Key, m.Value, m.Headers)
}

// decodeMessage keeps slices of b.
func decodeMessage(b []byte) (Message, error) {
	d := decoder{b: b}
	var m Message
	m.Topic = string(d.take(d.length()))
	m.Timestamp = d.varint()
	m.Key, m.Value, m.Headers = d.content()
	return m, d.end()
}

func sizeOf(key, value []byte, hs []Header) int {
	n := 3*binary.MaxVarintLen64 + len(key) + len(value)
	for _, h := range hs {
		n += 10 + len(h.Key) + len(h.Value)
	}
	return n
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendBytes writes the length plus one, so that nil (0) is not the same as empty (1).
func appendBytes(b, v []byte) []byte {
	if v == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(v))+1), v...)
}

func appendContent(b, key, value []byte, hs []Header) []byte {
	b = appendBytes(b, key)
	b = appendBytes(b, value)
	b = binary.AppendUvarint(b, uint64(len(hs)))
	for _, h := range hs {
		b = appendString(b, h.Key)
		b = appendBytes(b, h.Value)
	}
	return b
}

// decoder reads what the append functions wrote; after the first fault it yields zero values.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) end() error {
	if d.bad || len(d.b) != 0 {
		return errCorrupt
	}
	return nil
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int32() int32 {
	v := d.varint()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail()
		return 0
	}
	return int32(v)
}

// length reads a length or count; neither can exceed the bytes that are left.
func (d *decoder) length() int {
	v := d.uvarint()
	if v > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	v := d.uvarint()
	if v == 0 {
		return nil
	}
	if v-1 > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	return d.take(int(v - 1))
}

func (d *decoder) content() (key, value []byte, hs []Header) {
	key, value = d.bytes(), d.bytes()
	if n := d.length(); n > 0 {
		hs = make([]Header, 0, min(n, 64))
		for range n {
			if d.bad {
				return nil, nil, nil
			}
			hs = append(hs, Header{Key: string(d.take(d.length())), Value: d.bytes()})
		}
	}
	return key, value, hs
}
