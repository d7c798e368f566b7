package update

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// TopicDue is the topic name under which the progress and effects of due entries are kept; the partition is the bucket.
const TopicDue = "due"

// traceDue stands for the event in effects that time alone caused.
const traceDue = "due"

// Advance does what is due in the given entries of one bucket: profiles that were held back are published. Entries that were
// overtaken are dropped.
func (w *Worker) Advance(ctx context.Context, entries []Due) (Result, error) {
	return w.retry(func() (Result, error) { return w.advanceDue(ctx, entries) })
}

func (w *Worker) advanceDue(ctx context.Context, entries []Due) (Result, error) {
	var result Result
	if len(entries) == 0 {
		return result, nil
	}
	progress := map[Partition]*partition{}
	byBucket := &outboxes{byPartition: map[Partition]*outbox{}}
	docs := NewDocuments()
	l := loader{store: w.store, keys: rowKeys{keyspace: w.keys}, docs: docs}
	need := Need{}
	for _, due := range entries {
		p := Partition{Topic: TopicDue, Partition: int32(dueBucket(due.Document))}
		if progress[p] == nil {
			known, err := w.partition(ctx, p, &result)
			if err != nil {
				return result, err
			}
			next := *known
			progress[p] = &next
			byBucket.byPartition[p] = &outbox{partition: p, first: next.NextEffect}
		}
		need.Documents = append(need.Documents, due.Document)
	}
	if _, err := l.documents(ctx, need.Documents); err != nil {
		return result, err
	}
	f := w.config.folder()
	var stale []Due
	for i, due := range entries {
		if slices.Contains(entries[:i], due) {
			continue
		}
		e := docs.documents[due.Document]
		if e == nil || e.PublishDue != due.At {
			stale = append(stale, due)
			continue
		}
		p := Partition{Topic: TopicDue, Partition: int32(dueBucket(due.Document))}
		if err := w.config.publishNow(&f, e, byBucket.byPartition[p], traceDue, due.At); err != nil {
			return result, err
		}
		result.Events++
	}
	return result, w.commit(ctx, docs, progress, byBucket, &result, stale...)
}

// StreamClock returns the time up to which a topic has been applied: the least receive time over the progress of its partitions,
// in epoch milliseconds; zero while nothing has been applied.
func StreamClock(ctx context.Context, store Store, namespace, topic string) (int64, error) {
	all, err := ReadProgress(ctx, store, namespace)
	if err != nil {
		return 0, err
	}
	clock := int64(math.MaxInt64)
	for p, progress := range all {
		if p.Topic == topic {
			clock = min(clock, progress.Clock)
		}
	}
	if clock == math.MaxInt64 {
		return 0, nil
	}
	return clock, nil
}

// DueEntries returns at most limit entries of a bucket that are due at a time, earliest first.
func DueEntries(ctx context.Context, store Store, namespace string, bucket byte, at int64, limit int) ([]Due, error) {
	k := keyspace(namespace)
	rows, err := store.Scan(ctx, k.dueFrom(bucket, 0), k.dueFrom(bucket, at+1), limit)
	if err != nil {
		return nil, err
	}
	entries := make([]Due, 0, len(rows))
	for _, row := range rows {
		due, err := k.parseDue(row.Key)
		if err != nil {
			return nil, err
		}
		entries = append(entries, due)
	}
	return entries, nil
}

// NextDue returns the earliest time at which anything is due, and false when nothing is.
func NextDue(ctx context.Context, store Store, namespace string) (at int64, ok bool, err error) {
	for bucket := range byte(DueBuckets) {
		entries, err := DueEntries(ctx, store, namespace, bucket, math.MaxInt64-1, 1)
		if err != nil {
			return 0, false, err
		}
		if len(entries) > 0 && (!ok || entries[0].At < at) {
			at, ok = entries[0].At, true
		}
	}
	return at, ok, nil
}

// ReadProgress returns the progress of all partitions that a segment has applied records of.
func ReadProgress(ctx context.Context, store Store, namespace string) (map[Partition]Progress, error) {
	k := keyspace(namespace)
	from, to := k.all('p')
	prefix := len(from)
	all := map[Partition]Progress{}
	for {
		rows, err := store.Scan(ctx, from, to, 1000)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			id := row.Key[prefix:]
			if len(id) < 5 {
				return nil, fmt.Errorf("progress row %q: %w", id, ErrDamaged)
			}
			p := Partition{Topic: string(id[:len(id)-5]), Partition: int32(binary.BigEndian.Uint32(id[len(id)-4:]))}
			if all[p], err = unmarshalProgress(row.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			from = append(append([]byte(nil), row.Key...), 0)
		}
		if len(rows) < 1000 {
			return all, nil
		}
	}
}

// AcceptTopic makes progress possible in a topic that was deleted and created again, which is then applied from its beginning, or
// that lost records, which are then skipped. It returns how many partitions go on elsewhere than where they stood. No pipeline may
// run on the store meanwhile.
func AcceptTopic(ctx context.Context, store Store, namespace, topic string, log Log) (int, error) {
	k := keyspace(namespace)
	all, err := ReadProgress(ctx, store, namespace)
	if err != nil {
		return 0, err
	}
	var writes []Write
	for p, progress := range all {
		accepted := log.accept(p.Partition, progress)
		if p.Topic != topic || accepted == progress {
			continue
		}
		row, err := accepted.marshal()
		if err != nil {
			return 0, err
		}
		writes = append(writes, Write{Key: k.progress(p), Value: row})
	}
	if len(writes) == 0 {
		return 0, nil
	}
	_, err = store.Commit(ctx, nil, writes)
	return len(writes), err
}
