package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/archive"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	beam.RegisterType(reflect.TypeFor[archive.StreamRow]())
	beam.RegisterType(reflect.TypeFor[archive.LogRow]())
	beam.RegisterCoder(reflect.TypeFor[archive.StreamRow](), encodeStreamRow, decodeStreamRow)
	beam.RegisterCoder(reflect.TypeFor[archive.LogRow](), encodeLogRow, decodeLogRow)
	register.DoFn7x1[context.Context, event.Record, func(archive.StreamRow), func(archive.LogRow), func(archive.LogRow), func(archive.LogRow), func(archive.LogRow), error](&archiveFn{})
	register.Emitter1[archive.StreamRow]()
	register.Emitter1[archive.LogRow]()
}

// The coders only work where a runner does not fuse the steps.

func encodeStreamRow(r archive.StreamRow) ([]byte, error)       { return json.Marshal(r) }
func decodeStreamRow(b []byte) (r archive.StreamRow, err error) { return r, json.Unmarshal(b, &r) }
func encodeLogRow(r archive.LogRow) ([]byte, error)             { return json.Marshal(r) }
func decodeLogRow(b []byte) (r archive.LogRow, err error)       { return r, json.Unmarshal(b, &r) }

// ArchiveConfig says what the archive job works on.
type ArchiveConfig struct {
	Segment    transforms.Segment
	Name       string // of the segment
	Kafka      kafkaio.Client
	ClickHouse clickhouseio.Client // its database is the segment's
	Group      string              // consumer group; default GroupArchive(Name)
	// MaxRecords and MaxDelay bound a bundle, which is one insert; defaults 20,000 records and 500 ms: ClickHouse likes few and large
	// ones.
	MaxRecords int
	MaxDelay   time.Duration
}

// GroupArchive names the consumer group of a segment's archive job.
func GroupArchive(segment string) string { return "braid." + segment + ".archive" }

func (c ArchiveConfig) withDefaults() ArchiveConfig {
	if c.Group == "" {
		c.Group = GroupArchive(c.Name)
	}
	if c.MaxRecords == 0 {
		c.MaxRecords = 20_000
	}
	if c.MaxDelay == 0 {
		c.MaxDelay = 500 * time.Millisecond
	}
	return c
}

// archived are the topics that go to ClickHouse, each with the output of archiveFn that its rows go to.
func archived(segment string) map[string]int {
	return map[string]int{
		topics.Name(segment, topics.Events): 0, topics.Name(segment, topics.Profiles): 1,
		topics.Name(segment, topics.IdentityChanges): 2, topics.Name(segment, topics.Rejected): 3, topics.Name(segment, topics.AudienceChanges): 4,
	}
}

// ArchivedTopics returns the topics that go to ClickHouse.
func ArchivedTopics(segment string) []string { return slices.Sorted(maps.Keys(archived(segment))) }

// Archive adds the archive job: every record of the stream, with what the cores decide about it, and what became of it, goes to
// ClickHouse, once by its place. While ClickHouse is away nothing is lost: the topics keep what was not archived.
func Archive(s beam.Scope, c ArchiveConfig) {
	c = c.withDefaults()
	s = s.Scope("pipelines.Archive")
	records := kafkaio.Read(s, c.Kafka, ArchivedTopics(c.Name), kafkaio.Group(c.Group), kafkaio.MaxRecords(c.MaxRecords), kafkaio.MaxDelay(c.MaxDelay))
	stream, profiles, identities, rejected, audiences := beam.ParDo5(s, &archiveFn{Segment: c.Segment, Name: c.Name, ClickHouse: c.ClickHouse}, fromKafka(s, records))
	inOrder := clickhouseio.InOrder("offset", "topic_id", "partition")
	clickhouseio.Write(s, c.ClickHouse, schema.Stream, stream, inOrder)
	clickhouseio.Write(s, c.ClickHouse, schema.ProfileVersions, profiles, inOrder)
	clickhouseio.Write(s, c.ClickHouse, schema.IdentityLog, identities, inOrder)
	clickhouseio.Write(s, c.ClickHouse, schema.RejectedLog, rejected, inOrder)
	clickhouseio.Write(s, c.ClickHouse, schema.AudienceLog, audiences, inOrder)
}

// archiveFn makes rows of records. It must be fused with the read, which gives it the records of a partition in their order: then
// the greatest marker before a record is the last one that came by, or that the table has.
type archiveFn struct {
	Segment    transforms.Segment
	Name       string
	ClickHouse clickhouseio.Client

	config *update.Config
	topics map[string]int
	conn   driver.Conn
	epochs map[place]epoch
}

type place struct {
	topicID   [16]byte
	partition int32
}

// epoch is the greatest marker up to an offset.
type epoch struct {
	number uint64
	next   int64
}

// Setup compiles the segment.
func (f *archiveFn) Setup() (err error) {
	f.topics, f.epochs = archived(f.Name), map[place]epoch{}
	f.config, err = f.Segment.Config()
	return err
}

// Teardown lets go of ClickHouse.
func (f *archiveFn) Teardown() error {
	if f.conn == nil {
		return nil
	}
	return f.conn.Close()
}

// ProcessElement makes one row.
func (f *archiveFn) ProcessElement(ctx context.Context, r event.Record, stream func(archive.StreamRow), profiles, identities, rejected, audiences func(archive.LogRow)) error {
	output, ok := f.topics[r.Topic]
	switch {
	case !ok:
		return fmt.Errorf("archive: a record of topic %s, which is not archived", r.Topic)
	case output > 0:
		[]func(archive.LogRow){profiles, identities, rejected, audiences}[output-1](archive.Log(r, HeaderID))
		return nil
	}
	in := f.config.Prepare(r)
	at := place{r.TopicID, r.Partition}
	e, known := f.epochs[at]
	if !known || r.Offset < e.next { // read again from an earlier place
		number, err := f.epochBefore(ctx, r)
		if err != nil {
			return err
		}
		e.number = number
	}
	if in.Marker != nil && !in.Marker.Tick {
		e.number = max(e.number, in.Marker.Epoch)
	}
	e.next = r.Offset + 1
	f.epochs[at] = e
	stream(archive.Stream(f.config, r, in, e.number))
	return nil
}

// epochBefore asks the table for the greatest marker before a record. What lies before the record in its partition is there, for rows
// are written in order.
func (f *archiveFn) epochBefore(ctx context.Context, r event.Record) (number uint64, err error) {
	if f.conn == nil {
		if f.conn, err = f.ClickHouse.Open(ctx); err != nil {
			return 0, err
		}
	}
	p := archive.PositionOf(r.TopicID, r.Position)
	err = f.conn.QueryRow(ctx, "SELECT max(epoch) FROM "+clickhouseio.Quote(schema.Stream)+" WHERE topic_id = ? AND partition = ? AND offset < ?",
		p.TopicID, p.Partition, p.Offset).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("archive: %w", err)
	}
	return number, nil
}
