package update

import (
	"context"
	"math"
	"slices"

	"github.com/braidhq/braid/transforms/profile"
)

// TopicDue is the topic name under which the progress and effects of due entries are kept; the partition is the bucket.
const TopicDue = "due"

// traceDue stands for the event in effects that time alone caused.
const traceDue = "due"

// Advance does what is due in the given entries of one bucket: profiles that were held back are published, and people enter and leave
// audiences by time alone. Entries that were overtaken are dropped.
func (w *Worker) Advance(ctx context.Context, entries []Due) (Result, error) {
	return w.retry(func() (Result, error) { return w.advanceDue(ctx, entries) })
}

// Reassess looks at everybody anew, as of a moment (epoch milliseconds): audiences are others than those that people were last found to be
// in. Effects are left for the pipeline. It returns how many documents changed.
func Reassess(ctx context.Context, config *Config, store Store, now int64) (int, error) {
	worker := NewWorker(config, store)
	changed := 0
	for d, err := range NewReader(config, store).Documents(ctx) {
		if err != nil {
			return changed, err
		}
		result, err := worker.retry(func() (Result, error) { return worker.reassess(ctx, d.Key, now) })
		if err != nil {
			return changed, err
		}
		changed += result.Events
	}
	return changed, nil
}

// Revisit makes documents due at a moment (epoch milliseconds) of the stream clock, those for which concerned says so: what was imported
// for them is another than before. The pipeline then publishes their profiles and looks at their audiences. It returns how many they are.
func Revisit(ctx context.Context, config *Config, store Store, now int64, concerned func(*profile.Document) (bool, error)) (int, error) {
	worker := NewWorker(config, store)
	revisited := 0
	for d, err := range NewReader(config, store).Documents(ctx) {
		if err != nil {
			return revisited, err
		}
		is, err := concerned(d)
		if err != nil {
			return revisited, err
		}
		if !is {
			continue
		}
		result, err := worker.retry(func() (Result, error) { return worker.revisit(ctx, d.Key, now) })
		if err != nil {
			return revisited, err
		}
		revisited += result.Events
	}
	return revisited, nil
}

func (w *Worker) revisit(ctx context.Context, key profile.Key, now int64) (Result, error) {
	var result Result
	docs, e, err := loadOne(ctx, w.store, w.keys, key)
	if err != nil || e == nil {
		return result, err
	}
	if e.PublishDue == 0 || e.PublishDue > now {
		e.PublishDue, e.header = now, true
	}
	if !w.config.Audiences.Empty() && (e.AudienceDue == 0 || e.AudienceDue > now) {
		e.AudienceDue, e.header = now, true
	}
	result.Events++
	return result, w.commit(ctx, docs, nil, newOutboxes(nil), &result)
}

// traceReassess stands for the event in effects of other audiences.
const traceReassess = "audiences"

func (w *Worker) reassess(ctx context.Context, key profile.Key, now int64) (Result, error) {
	var result Result
	docs, e, err := loadOne(ctx, w.store, w.keys, key)
	if err != nil || e == nil {
		return result, err
	}
	progress, boxes, err := w.buckets(ctx, []profile.Key{key}, &result)
	if err != nil {
		return result, err
	}
	f, due, out := w.config.folder(), e.Due(), boxes.byPartition[bucketOf(key)]
	view, changed, err := w.config.assess(&f, e, out, traceReassess, now)
	if err != nil || !changed && e.Due() == due {
		return result, err
	}
	if changed {
		result.Events++
		if err := w.config.publishNow(&f, e, view, out, traceReassess, now); err != nil {
			return result, err
		}
	}
	return result, w.commit(ctx, docs, progress, boxes, &result)
}

func (w *Worker) advanceDue(ctx context.Context, entries []Due) (Result, error) {
	var result Result
	if len(entries) == 0 {
		return result, nil
	}
	keys := make([]profile.Key, len(entries))
	for i, due := range entries {
		keys[i] = due.Document
	}
	progress, byBucket, err := w.buckets(ctx, keys, &result)
	if err != nil {
		return result, err
	}
	docs := NewDocuments()
	l := loader{store: w.store, keys: rowKeys{keyspace: w.keys}, docs: docs}
	if _, err := l.documents(ctx, keys); err != nil {
		return result, err
	}
	f := w.config.folder()
	var stale []Due
	for i, due := range entries {
		if slices.Contains(entries[:i], due) {
			continue
		}
		e := docs.documents[due.Document]
		if e == nil || e.Due() != due.At {
			stale = append(stale, due)
			continue
		}
		out, publish := byBucket.byPartition[bucketOf(due.Document)], e.PublishDue == due.At
		var view *profile.View
		if e.AudienceDue == due.At {
			var changed bool
			if view, changed, err = w.config.assess(&f, e, out, traceDue, due.At); err != nil {
				return result, err
			}
			publish = publish || changed
		}
		if publish {
			if err := w.config.publishNow(&f, e, view, out, traceDue, due.At); err != nil {
				return result, err
			}
		}
		result.Events++
	}
	return result, w.commit(ctx, docs, progress, byBucket, &result, stale...)
}

// buckets returns the progress of the buckets that documents are in, and outboxes for them.
func (w *Worker) buckets(ctx context.Context, documents []profile.Key, result *Result) (map[Partition]*partition, *outboxes, error) {
	progress := map[Partition]*partition{}
	for _, key := range documents {
		p := bucketOf(key)
		if progress[p] != nil {
			continue
		}
		known, err := w.partition(ctx, p, result)
		if err != nil {
			return nil, nil, err
		}
		next := *known
		progress[p] = &next
	}
	return progress, newOutboxes(progress), nil
}

func bucketOf(key profile.Key) Partition {
	return Partition{Topic: TopicDue, Partition: int32(dueBucket(key))}
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
