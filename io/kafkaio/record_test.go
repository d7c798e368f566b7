package kafkaio

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var bytesGen = rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 40))

var headersGen = rapid.OneOf(rapid.Just[[]Header](nil), rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Header {
	return Header{Key: rapid.String().Draw(t, "name"), Value: bytesGen.Draw(t, "value")}
}), 1, 5))

func TestCodersReturnWhatTheyWereGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Record{
			Topic: rapid.String().Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset"),
			Timestamp: rapid.Int64().Draw(t, "time"), Key: bytesGen.Draw(t, "key"), Value: bytesGen.Draw(t, "value"), Headers: headersGen.Draw(t, "headers"),
		}
		copy(r.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		got, err := decodeRecord(encodeRecord(r))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatal(diff)
		}
		m := Message{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
		gotM, err := decodeMessage(encodeMessage(m))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, gotM); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRestrictionCoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := restriction{Shard: rapid.Int32().Draw(t, "shard"), Shards: rapid.Int32().Draw(t, "shards"), Resolved: rapid.Bool().Draw(t, "resolved"), Ended: rapid.Bool().Draw(t, "ended")}
		for range rapid.IntRange(0, 5).Draw(t, "partitions") {
			r.Partitions = append(r.Partitions, partition{Topic: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "topic"), Num: rapid.Int32().Draw(t, "number"),
				Next: rapid.Int64().Draw(t, "next"), End: rapid.Int64().Draw(t, "end"), Epoch: rapid.Int32().Draw(t, "epoch"), Time: rapid.Int64().Draw(t, "time")})
		}
		got, err := decodeRestriction(encodeRestriction(r))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeRecord(Record{Topic: "a", Key: []byte("k"), Headers: []Header{{"h", []byte("v")}}}))
	f.Add(encodeMessage(Message{Topic: "a", Value: []byte("v")}))
	f.Add(encodeRestriction(restriction{Shards: 2, Resolved: true, Partitions: []partition{{Topic: "a", Next: 7, End: -1}, {Topic: "a", Num: 1}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		// What decodes must encode to something that decodes to the same.
		if r, err := decodeRecord(b); err == nil {
			again, err := decodeRecord(encodeRecord(r))
			if err != nil || !bytes.Equal(encodeRecord(again), encodeRecord(r)) {
				t.Fatalf("%+v: %v", r, err)
			}
		} else if !errors.Is(err, errCorrupt) {
			t.Fatal(err)
		}
		if m, err := decodeMessage(b); err == nil {
			again, err := decodeMessage(encodeMessage(m))
			if err != nil || !bytes.Equal(encodeMessage(again), encodeMessage(m)) {
				t.Fatalf("%+v: %v", m, err)
			}
		}
		if r, err := decodeRestriction(b); err == nil {
			again, err := decodeRestriction(encodeRestriction(r))
			if err != nil || !bytes.Equal(encodeRestriction(again), encodeRestriction(r)) {
				t.Fatalf("%+v: %v", r, err)
			}
		} else if !errors.Is(err, errCorrupt) {
			t.Fatal(err)
		}
	})
}

func BenchmarkRecordCoder(b *testing.B) {
	r := Record{Topic: "braid.shop.events", Partition: 3, Offset: 1 << 33, Timestamp: epoch0, Key: []byte("user_id:7"), Value: make([]byte, 200),
		Headers: []Header{{"received", []byte("1700000000000")}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRecord(encodeRecord(r)); err != nil {
			b.Fatal(err)
		}
	}
}
