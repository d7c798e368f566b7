package update

import (
	"context"
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
