package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
)

// Worker applies bundles of inputs to a store, one transaction each. It serves one goroutine; any number of workers, in any number
// of processes, may share a store.
type Worker struct {
	config     *Config
	store      Store
	keys       keyspace
	partitions map[Partition]*partition
	sent       [][]byte // outbox rows whose effects were handed out, but not acknowledged
	settled    [][]byte // outbox rows that the next commit clears
}

// partition is what a worker knows of a partition's progress row.
type partition struct {
	Progress
	version Version
}

// NewWorker returns a worker.
func NewWorker(config *Config, store Store) *Worker {
	return &Worker{config: config, store: store, keys: keyspace(config.Namespace), partitions: map[Partition]*partition{}}
}

// Result is what a bundle did.
type Result struct {
	Effects    []Effect // to be sent now; Settle once they are acknowledged
	Events     int      // events applied
	Markers    int
	Skipped    int                      // records that had been applied before
	Duplicates int                      // senders' retries among Events
	Violations int                      // values that attributes could not take
	Rejected   map[event.Reason]int     // records that cannot be used, by reason
	Refused    map[identity.Refusal]int // values that do not identify, by reason
	Conflicts  int                      // transactions that had to be run again
	Changes    map[ChangeKind]int
}

// attempts is how often a bundle is run against conflicts before Apply gives up; from the third on, no other worker of the
// process runs beside it.
const attempts = 10

// Apply folds a bundle of inputs, in stream order within each partition, and commits it. Effects that an earlier life of a
// partition left behind come first among the result's effects. After an error nothing is known of the bundle; it may be applied
// again, by this worker or another.
func (w *Worker) Apply(ctx context.Context, inputs []*Input) (Result, error) {
	return w.retry(func() (Result, error) { return w.apply(ctx, inputs) })
}

// Settle says that the effects handed out so far were acknowledged by their receiver.
func (w *Worker) Settle() {
	w.settled = append(w.settled, w.sent...)
	w.sent = w.sent[:0]
}

func (w *Worker) retry(run func() (Result, error)) (Result, error) {
	turn := turnOf(w.store)
	sent := len(w.sent)
	for attempt := 1; ; attempt++ {
		unlock := turn.RUnlock
		if attempt < 3 {
			turn.RLock()
		} else {
			turn.Lock()
			unlock = turn.Unlock
		}
		result, err := run()
		unlock()
		result.Conflicts = attempt - 1
		if err == nil {
			return result, nil
		}
		clear(w.partitions)
		if !isConflict(err) { // perhaps it was committed
			w.sent, w.settled = nil, nil
			return result, err
		}
		w.sent = w.sent[:sent]
		if attempt == attempts {
			return result, err
		}
	}
}

func isConflict(err error) bool { return errors.Is(err, ErrConflict) }

// turnOf returns the lock by which the workers of a process take turns after conflicts.
func turnOf(s Store) *sync.RWMutex {
	if h, ok := s.(*storeHandle); ok {
		return &h.turn
	}
	return &sync.RWMutex{}
}

func (w *Worker) apply(ctx context.Context, inputs []*Input) (Result, error) {
	result := Result{Rejected: map[event.Reason]int{}, Refused: map[identity.Refusal]int{}, Changes: map[ChangeKind]int{}}
	fresh, progress, err := w.advance(ctx, inputs, &result)
	if err != nil {
		return result, err
	}
	docs := NewDocuments()
	l := loader{store: w.store, keys: rowKeys{keyspace: w.keys}, docs: docs}
	if err := l.inputs(ctx, fresh); err != nil {
		return result, err
	}
	outboxes := newOutboxes(progress)
	for _, in := range fresh {
		p := Partition{Topic: in.Position.Topic, Partition: in.Position.Partition}
		if in.Marker != nil {
			progress[p].mark(in.Marker)
			result.Markers++
			continue
		}
		if in.Rejected != nil {
			result.Rejected[in.Rejected.Reason]++
			if err := outboxes.of(in).add(TopicRejected, string(in.Rejected.Key), in.Rejected); err != nil {
				return result, err
			}
			continue
		}
		out, err := w.config.Step(docs, in, progress[p].Epoch)
		for err == nil && !out.Need.Empty() { // beyond what its identifiers need
			if err = l.need(ctx, out.Need); err == nil {
				out, err = w.config.Step(docs, in, progress[p].Epoch)
			}
		}
		if err != nil {
			return result, fmt.Errorf("event %q at %s offset %d: %w", in.Event.ID, p, in.Position.Offset, err)
		}
		if err := result.count(in, out, outboxes.of(in)); err != nil {
			return result, err
		}
	}
	if err := w.config.publish(docs, outboxes.of); err != nil {
		return result, err
	}
	return result, w.commit(ctx, docs, progress, outboxes, &result)
}

func (r *Result) count(in *Input, out Outcome, o *outbox) error {
	r.Events++
	if out.Duplicate {
		r.Duplicates++
	}
	r.Violations += len(out.Violations)
	for _, refused := range in.Refused {
		r.Refused[refused.Reason]++
	}
	for _, change := range out.Changes {
		r.Changes[change.Kind]++
		if err := o.identityChange(in, change); err != nil {
			return err
		}
	}
	return nil
}

// advance loads the progress of the partitions the inputs come from, drops what was applied before, and returns the rest with the
// progress as it is once they are applied. Epochs are moved on later, record by record.
func (w *Worker) advance(ctx context.Context, inputs []*Input, result *Result) ([]*Input, map[Partition]*partition, error) {
	progress := map[Partition]*partition{}
	fresh := make([]*Input, 0, len(inputs))
	for _, in := range inputs {
		p := Partition{Topic: in.Position.Topic, Partition: in.Position.Partition}
		at, ok := progress[p]
		if !ok {
			known, err := w.partition(ctx, p, result)
			if err != nil {
				return nil, nil, err
			}
			next := *known
			at = &next
			progress[p] = at
			if at.NextOffset == 0 {
				at.TopicID = in.TopicID
			}
		}
		if at.TopicID != in.TopicID {
			return nil, nil, &TopicChangedError{Partition: p, Applied: at.TopicID, Found: in.TopicID}
		}
		if !at.pass(in) {
			result.Skipped++
			continue
		}
		fresh = append(fresh, in)
	}
	return fresh, progress, nil
}

// partition returns what is known of a partition's progress. On first acquaintance it also picks up the effects that were
// committed and perhaps never sent; those that this worker handed out itself, before a conflict, are not among them.
func (w *Worker) partition(ctx context.Context, p Partition, result *Result) (*partition, error) {
	if known, ok := w.partitions[p]; ok {
		return known, nil
	}
	rows, err := w.store.Get(ctx, [][]byte{w.keys.progress(p)})
	if err != nil {
		return nil, err
	}
	known := &partition{version: rows[0].Version}
	if known.version != 0 {
		if known.Progress, err = unmarshalProgress(rows[0].Value); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	from := w.keys.outbox(p, 0)
	for {
		left, err := w.store.Scan(ctx, from, w.keys.outbox(p, known.NextEffect), 100)
		if err != nil {
			return nil, err
		}
		for _, row := range left {
			from = append(append([]byte(nil), row.Key...), 0)
			mine := func(key []byte) bool { return bytes.Equal(key, row.Key) }
			if slices.ContainsFunc(w.sent, mine) || slices.ContainsFunc(w.settled, mine) {
				continue
			}
			effects, err := unmarshalEffects(row.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
			result.Effects = append(result.Effects, effects...)
			w.sent = append(w.sent, row.Key)
		}
		if len(left) < 100 {
			break
		}
	}
	w.partitions[p] = known
	return known, nil
}

func (w *Worker) commit(ctx context.Context, docs *Documents, progress map[Partition]*partition, outboxes *outboxes, result *Result, stale ...Due) error {
	t := transaction{keys: rowKeys{keyspace: w.keys}, within: w.config.cellsWithin()}
	if err := t.documents(docs); err != nil {
		return err
	}
	for _, key := range w.settled {
		t.write(key, nil)
	}
	for _, due := range stale {
		t.write(w.keys.due(due.Document, due.At), nil)
	}
	sent := w.sent
	for _, p := range slices.SortedFunc(maps.Keys(progress), Partition.compare) {
		at := progress[p]
		o := outboxes.byPartition[p]
		key, err := t.outbox(o)
		if err != nil {
			return err
		}
		if key != nil {
			sent = append(sent, key)
		}
		at.NextEffect += uint64(len(o.effects))
		row, err := at.marshal()
		if err != nil {
			return err
		}
		t.demand(w.keys.progress(p), at.version)
		t.write(w.keys.progress(p), row)
		result.Effects = append(result.Effects, o.effects...)
	}
	version, err := w.store.Commit(ctx, t.conditions, t.writes)
	if err != nil {
		return err
	}
	for p, at := range progress {
		at.version = version
		w.partitions[p] = at
	}
	w.sent, w.settled = sent, w.settled[:0]
	return nil
}

// outboxes are those of one bundle, by partition.
type outboxes struct{ byPartition map[Partition]*outbox }

func newOutboxes(progress map[Partition]*partition) *outboxes {
	o := &outboxes{byPartition: make(map[Partition]*outbox, len(progress))}
	for p, at := range progress {
		o.byPartition[p] = &outbox{partition: p, first: at.NextEffect}
	}
	return o
}

func (o *outboxes) of(in *Input) *outbox {
	return o.byPartition[Partition{Topic: in.Position.Topic, Partition: in.Position.Partition}]
}
