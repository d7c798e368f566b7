// Package embedded runs inside this process, or as its child, what a cluster would provide: a durable Kafka broker for
// one-process deployments, demonstrations and tests. In goes a directory; out comes the address of a broker that any
// Kafka client can talk to.
//
// # Broker
//
// The broker is kfake over a directory. It listens on loopback only, keeps topics, records, group offsets and producer IDs across
// restarts, and goes on where it was. What it promises:
//   - Durability "process" (the default): a record is acknowledged when the operating system has it, so it survives a killed
//     process but not a power cut. Durability "fsync": acknowledged after two syncs of the batch; files newly created are synced,
//     their directory is not, and kfake does not report a sync that failed.
//   - One process per directory: the directory is locked while the broker runs, and a second one is told who holds it.
//   - Bounded: retention drops whole segments, oldest first, by bytes and by age since the last append. The segment being
//     written always stays. (kfake's own retention would read the records' timestamps, which a replay of old events sets long ago,
//     and could drop the last segment and with it the partition's next offset. It is switched off.)
//     As on any Kafka, retention does not ask whether a record was read: keep more than the longest backlog.
//   - Compacted topics are compacted when the broker starts: the last record of each key is carried to the end, then the head is
//     dropped. A crash in the middle of it leaves a key twice, never lost. (kfake's own compaction rewrites files in place, which a
//     crash could turn into loss. It is switched off.)
//   - Group offsets are kept for ten years, not for the usual week.
//   - After a kill the broker no longer knows the last sequence numbers of producers outside this process: a producer that retries
//     across the kill may write a batch twice. Deleting the records of a partition up to its very end, through
//     a Kafka client, makes the next start begin at offset 0; do not.
//
// # Memory
//
// kfake keeps 72 bytes per record batch that retention keeps, and nothing per record; a Go slice that grows by appending makes that up
// to about twice as much. BenchmarkIndexMemory measures it. Lingering producers (2 ms) and bounded retention keep it small: 1 GiB of batches of
// 16 KiB is 65,536 batches, 5 to 10 MB. A start after a clean stop reads one segment per partition at a time; a start after a kill
// holds all retained records of the topics in memory for its duration, and gives them back then: 296 MB in a million records took 0.2 s,
// 260 MB at the peak and 17 MB afterwards.
package embedded
