package kafkaio

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newWriter(t *testing.T, c Client, opts ...WriteOption) *writeFn {
	t.Helper()
	cfg := writeConfig{Client: c, MaxMessageBytes: 1_000_012, MaxBuffered: 1000, Compression: Snappy}
	for _, o := range opts {
		o(&cfg)
	}
	b, err := json.Marshal(&writeFn{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	f := &writeFn{}
	if err := json.Unmarshal(b, f); err != nil {
		t.Fatal(err)
	}
	if err := f.Setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Teardown() })
	return f
}

func writeBundle(ctx context.Context, f *writeFn, ms ...Message) (acks []Ack, err error) {
	emit := func(_ beam.EventTime, a Ack) { acks = append(acks, a) }
	f.StartBundle(ctx, emit)
	for i, m := range ms {
		if err := f.ProcessElement(ctx, beam.EventTime(i), m, emit); err != nil {
			return nil, err
		}
	}
	return acks, f.FinishBundle(ctx, emit)
}

func TestWrite(t *testing.T) {
	for _, linger := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(linger.String(), func(t *testing.T) {
			_, c := cluster(t, kfake.SeedTopics(1, "a", "b"))
			f := newWriter(t, c, Linger(linger))
			acks, err := writeBundle(t.Context(), f,
				Message{Topic: "a", Key: []byte("k"), Value: []byte("1"), Timestamp: 7, Headers: []Header{{"h", []byte("v")}, {"h", nil}}},
				Message{Topic: "a", Key: []byte("k"), Timestamp: 8},
				Message{Topic: "b", Value: []byte("22"), Timestamp: 9})
			if err != nil {
				t.Fatal(err)
			}
			want := []Ack{{Records: 3, Bytes: 5, Written: []Written{{"a", 0, 1}, {"b", 0, 0}}}}
			if diff := cmp.Diff(want, acks); diff != "" {
				t.Error(diff)
			}
			if acks, err := writeBundle(t.Context(), f); len(acks) > 0 || err != nil {
				t.Errorf("empty bundle: %v, %v", acks, err)
			}
			d := newDriver(t, c, []string{"a"}, Bounded())
			d.until(func() bool { return false })
			id := d.got[0].TopicID
			if diff := cmp.Diff([]Record{
				{Topic: "a", TopicID: id, Timestamp: 7, Key: []byte("k"), Value: []byte("1"), Headers: []Header{{"h", []byte("v")}, {"h", nil}}},
				{Topic: "a", TopicID: id, Offset: 1, Timestamp: 8, Key: []byte("k")},
			}, d.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWriteManyOverSharedProducer(t *testing.T) {
	_, c := cluster(t, kfake.SeedTopics(4, "a"))
	f, g := newWriter(t, c), newWriter(t, c)
	if f.cl != g.cl {
		t.Error("two writers of one configuration have two producers")
	}
	var ms []Message
	for i := range 5000 {
		ms = append(ms, Message{Topic: "a", Key: []byte{byte(i)}, Value: []byte{byte(i >> 8)}})
	}
	done := make(chan error)
	for _, w := range []*writeFn{f, g} {
		go func() {
			_, err := writeBundle(context.Background(), w, ms...)
			done <- err
		}()
	}
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, c, []string{"a"}, Bounded())
	d.until(func() bool { return false })
	if len(d.got) != 10000 {
		t.Errorf("%d records", len(d.got))
	}
}

func TestWriteTooLarge(t *testing.T) {
	check := func(err error, key string, size int) {
		t.Helper()
		var se *SizeError
		if !errors.As(err, &se) || string(se.Key) != key || se.Size != size || se.Topic != "a" || !errors.Is(err, kerr.MessageTooLarge) {
			t.Fatalf("got %v", err)
		}
	}
	k, c := cluster(t)
	if err := k.CreateTopic("a", 1, map[string]string{"max.message.bytes": "50000"}); err != nil {
		t.Fatal(err)
	}
	f := newWriter(t, c, MaxMessageBytes(100_000), Compress(NoCompression))
	_, err := writeBundle(t.Context(), f, Message{Topic: "a", Key: []byte("ok")}, Message{Topic: "a", Key: []byte("client"), Value: make([]byte, 200_000)})
	check(err, "client", 200_006)
	_, err = writeBundle(t.Context(), f, Message{Topic: "a", Key: []byte("broker"), Value: make([]byte, 60_000)})
	check(err, "broker", 60_006)
	if _, err := writeBundle(t.Context(), f, Message{Topic: "a", Key: []byte("ok")}); err != nil {
		t.Errorf("the writer is of no use after an error: %v", err)
	}
}

func TestWriteErrorsFailTheBundle(t *testing.T) {
	k, c := cluster(t, kfake.SeedTopics(1, "a"))
	f := newWriter(t, c, DeliveryTimeout(10*time.Second))
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 2})
	if _, err := writeBundle(t.Context(), f, Message{Topic: "a"}); err != nil {
		t.Errorf("a leader that moved: %v", err)
	}
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 1})
	if _, err := writeBundle(t.Context(), f, Message{Topic: "a"}); !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("no rights: %v", err)
	}
	k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return nil, errors.New("gone"), true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := writeBundle(ctx, f, Message{Topic: "a"}); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled bundle: %v", err)
	}
}
