// Package kafkaio reads Kafka topics into Beam pipelines and writes messages to them, natively in Go over franz-go: Read
// takes topics and yields a PCollection<Record>, Write takes a PCollection<Message> and yields a PCollection<Ack>.
//
// # Reading
//
// Read is an unbounded splittable DoFn. One restriction covers a group of partitions (see PartitionGroups) with the next
// offset of each. A bundle ends after MaxRecords records or MaxDelay, also under load, or as soon as nothing is buffered;
// when there is nothing to read at all it blocks for PollWait inside ProcessElement. The consumer behind a restriction
// belongs to the process, not to the bundle: it goes on fetching between bundles, and a restriction resumed where it
// stopped reads on from the buffer. A restriction resumed anywhere else (its bundle failed) seeks.
//
// Delivery is at least once: the restriction is the truth while the job lives, the offsets of the consumer group are the
// truth between jobs. A residual is resumed only after the bundle it came from succeeded, so the offsets it starts at are
// what is committed, and only then; the group is never ahead of the bundles that succeeded. (In a pipeline whose stages
// are not fused, "succeeded" means handed on to the runner.) There is no group membership and no rebalancing: partitions
// are divided by PartitionGroups, offsets are committed like an administrator would.
//
// # Event time and watermark
//
// A record's event time is its Kafka timestamp. The watermark of a restriction is the minimum over its partitions; a
// partition stands at its highest record timestamp less OutOfOrder. A partition in which there is nothing left to read
// stands at the wall-clock time at which the broker last confirmed so (every Refresh), less OutOfOrder, and hence does
// not hold the watermark back for ever; one that cannot be reached holds it. The watermark never goes back.
//
// # Errors
//
// A position that is not in the log any more (OffsetError) and a topic that was deleted and created again
// (TopicError) end the bundle with an error that says how to go on; nothing is skipped or reset by itself. A broker that is gone, a
// leader that moved and a coordinator that is not ready are waited for: bundles go on, empty, and the trouble is logged
// once per period and counted in the metric "errors".
//
// # Metrics
//
// Namespace "kafkaio": counters records_read, bytes_read, seeks, commits, commit_errors, errors, records_written,
// bytes_written, write_errors; gauge lag (records between the position and the end, per restriction).
package kafkaio

import (
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

const namespace = "kafkaio"

var (
	recordsRead    = beam.NewCounter(namespace, "records_read")
	bytesRead      = beam.NewCounter(namespace, "bytes_read")
	seeks          = beam.NewCounter(namespace, "seeks")
	commits        = beam.NewCounter(namespace, "commits")
	commitErrors   = beam.NewCounter(namespace, "commit_errors")
	readErrors     = beam.NewCounter(namespace, "errors")
	lagGauge       = beam.NewGauge(namespace, "lag")
	recordsWritten = beam.NewCounter(namespace, "records_written")
	bytesWritten   = beam.NewCounter(namespace, "bytes_written")
	writeErrors    = beam.NewCounter(namespace, "write_errors")
)

// logPeriod is how often a condition that lasts is logged.
const logPeriod = 10 * time.Second
