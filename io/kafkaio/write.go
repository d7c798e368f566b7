package kafkaio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register.DoFn4x1[context.Context, beam.EventTime, Message, func(beam.EventTime, Ack), error](&writeFn{})
	register.DoFn1x0[Ack](&dropFn{})
	register.Emitter2[beam.EventTime, Ack]()
	beam.RegisterType(reflect.TypeFor[Ack]())
	beam.RegisterType(reflect.TypeFor[Written]())
	beam.RegisterType(reflect.TypeFor[writeConfig]())
}

// Ack says what one bundle wrote, once the brokers have acknowledged all of it.
type Ack struct {
	Records int64
	Bytes   int64 // of keys and values
	Written []Written
}

// Written is the part of an Ack that concerns one partition.
type Written struct {
	Topic     string
	Partition int32
	Offset    int64 // the highest written
}

// writeConfig is everything Write needs; it travels as JSON.
type writeConfig struct {
	Client          Client
	Linger          time.Duration
	MaxMessageBytes int32
	MaxBuffered     int
	DeliveryTimeout time.Duration
	Compression     Compression
}

// Compression names a codec.
type Compression string

// The codecs for batches.
const (
	NoCompression Compression = "none"
	Gzip          Compression = "gzip"
	Snappy        Compression = "snappy"
	LZ4           Compression = "lz4"
	Zstd          Compression = "zstd"
)

// WriteOption changes how Write writes.
type WriteOption func(*writeConfig)

// Linger makes a partition's batch wait for more messages. Default 0.
func Linger(d time.Duration) WriteOption { return func(c *writeConfig) { c.Linger = d } }

// MaxMessageBytes is the largest batch, and so the largest message, that is sent. Default 1,000,012, Kafka's own.
func MaxMessageBytes(n int32) WriteOption { return func(c *writeConfig) { c.MaxMessageBytes = n } }

// MaxBuffered is how many messages may wait for their acknowledgement before the bundle blocks. Default 50,000.
func MaxBuffered(n int) WriteOption { return func(c *writeConfig) { c.MaxBuffered = n } }

// DeliveryTimeout fails the bundle when a message is not acknowledged in time. Default 0: brokers that are gone are
// waited for as long as the bundle lives.
func DeliveryTimeout(d time.Duration) WriteOption {
	return func(c *writeConfig) { c.DeliveryTimeout = d }
}

// Compress chooses the codec. Default Snappy.
func Compress(codec Compression) WriteOption { return func(c *writeConfig) { c.Compression = codec } }

// Write writes a PCollection<Message> in the global window and returns a PCollection<Ack> with one element per bundle. The
// messages of a bundle are produced while it runs, by an idempotent producer that all bundles of the process share; the
// bundle succeeds when the brokers have acknowledged all of them, and fails with the first error. A bundle that is run
// again writes its messages again. Messages with the same key keep their order within a bundle.
func Write(s beam.Scope, client Client, col beam.PCollection, opts ...WriteOption) beam.PCollection {
	s = s.Scope("kafkaio.Write")
	cfg := writeConfig{Client: client, MaxMessageBytes: 1_000_012, MaxBuffered: 50_000, Compression: Snappy}
	for _, o := range opts {
		o(&cfg)
	}
	if err := cfg.validate(); err != nil {
		panic(fmt.Sprintf("kafkaio.Write: %v", err))
	}
	acks := beam.ParDo(s, &writeFn{Config: cfg}, col)
	// The local runner starves stages without output, so the acknowledgements go somewhere.
	beam.ParDo0(s, &dropFn{}, beam.Reshuffle(s, acks))
	return acks
}

func (c *writeConfig) validate() error {
	if err := c.Client.Validate(); err != nil {
		return err
	}
	if c.Linger < 0 || c.MaxMessageBytes < 1024 || c.MaxBuffered < 1 || c.DeliveryTimeout < 0 {
		return errors.New("kafkaio: a write option is out of range")
	}
	_, err := c.codec()
	return err
}

func (c *writeConfig) codec() (kgo.CompressionCodec, error) {
	switch c.Compression {
	case NoCompression:
		return kgo.NoCompression(), nil
	case Gzip:
		return kgo.GzipCompression(), nil
	case Snappy:
		return kgo.SnappyCompression(), nil
	case LZ4:
		return kgo.Lz4Compression(), nil
	case Zstd:
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("kafkaio: unknown compression %q", c.Compression)
}

func (c *writeConfig) connect() (*kgo.Client, error) {
	codec, err := c.codec()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.ProducerLinger(c.Linger), kgo.ProducerBatchMaxBytes(c.MaxMessageBytes), kgo.MaxBufferedRecords(c.MaxBuffered),
		kgo.ProducerBatchCompression(codec, kgo.NoCompression()), kgo.MetadataMinAge(250 * time.Millisecond)}
	if c.DeliveryTimeout > 0 {
		opts = append(opts, kgo.RecordDeliveryTimeout(c.DeliveryTimeout))
	}
	if c.MaxMessageBytes > 100<<20 {
		opts = append(opts, kgo.BrokerMaxWriteBytes(c.MaxMessageBytes+1<<20))
	}
	return c.Client.connect(opts...)
}

var producers = newPool(func(cl *kgo.Client) { cl.Close() })

type writeFn struct {
	Config writeConfig

	key    string
	cl     *kgo.Client
	bundle *bundle
	done   func(*kgo.Record, error) // of the bundle
	slab   []kgo.Record             // records not used yet: one allocation for several
}

// slabRecords live as long as the last of them is under way.
const slabRecords = 32

func (f *writeFn) record() *kgo.Record {
	if len(f.slab) == 0 {
		f.slab = make([]kgo.Record, slabRecords)
	}
	r := &f.slab[0]
	f.slab = f.slab[1:]
	return r
}

// Setup joins the process's producer for this configuration.
func (f *writeFn) Setup() error {
	key, err := json.Marshal(f.Config)
	if err != nil {
		return err
	}
	f.key = string(key)
	f.cl, err = producers.acquire(f.key, f.Config.connect)
	return err
}

// Teardown leaves the producer, which the last one closes.
func (f *writeFn) Teardown() error {
	if f.cl != nil {
		f.cl = nil
		producers.release(f.key)
	}
	return nil
}

// StartBundle begins a count; what is still under way of a failed bundle goes to the count of that one.
func (f *writeFn) StartBundle(_ context.Context, _ func(beam.EventTime, Ack)) {
	f.bundle = newBundle(int(f.Config.MaxMessageBytes))
	f.done = f.bundle.acked
}

// ProcessElement hands a message to the producer, and blocks only when too much is under way.
func (f *writeFn) ProcessElement(ctx context.Context, et beam.EventTime, m Message, _ func(beam.EventTime, Ack)) error {
	b := f.bundle
	if b.failed.Load() {
		return b.fault(ctx)
	}
	r := f.record()
	r.Topic, r.Key, r.Value, r.Context = m.Topic, m.Key, m.Value, ctx
	if m.Timestamp != 0 {
		r.Timestamp = time.UnixMilli(m.Timestamp)
	}
	if len(m.Headers) > 0 {
		r.Headers = make([]kgo.RecordHeader, len(m.Headers))
		for i, h := range m.Headers {
			r.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	b.sent(int64(et))
	f.cl.Produce(ctx, r, f.done)
	return nil
}

// FinishBundle waits for all acknowledgements and emits what was written.
func (f *writeFn) FinishBundle(ctx context.Context, emit func(beam.EventTime, Ack)) error {
	b := f.bundle
	if b == nil || b.count == 0 {
		return nil
	}
	if f.Config.Linger > 0 {
		if err := f.cl.Flush(ctx); err != nil {
			return fmt.Errorf("kafkaio: waiting for acknowledgements: %w", err)
		}
	}
	if err := b.wait(ctx); err != nil {
		return err
	}
	ack := b.ack()
	recordsWritten.Inc(ctx, ack.Records)
	bytesWritten.Inc(ctx, ack.Bytes)
	emit(beam.EventTime(b.latest), ack)
	f.bundle, f.done = nil, nil
	return nil
}

// dropFn ends the stage of acknowledgements.
type dropFn struct{}

// ProcessElement does nothing.
func (*dropFn) ProcessElement(Ack) {}
