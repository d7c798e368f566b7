package transforms

import (
	"context"
	"math"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	register.DoFn4x2[context.Context, *sdf.LockRTracker, []byte, func(update.Due), sdf.ProcessContinuation, error](&dueFn{})
	register.Emitter1[update.Due]()
	register.DoFn3x0[context.Context, update.Due, func(beam.EventTime, update.Effect)](&advanceFn{})
	beam.RegisterType(reflect.TypeFor[offsetrange.Restriction]())
}

// dueInterval is how often the schedule is looked at, and dueBatch how many entries of a bucket one look takes.
const (
	dueInterval = 100 * time.Millisecond
	dueBatch    = 500
	// dueRest is how often it is looked at while the stream clock stands still and nothing was found: a look reads every bucket.
	dueRest = time.Second
)

// Advance does what time alone causes: it returns a PCollection<update.Effect> of what became due on the stream clock of a topic.
// Like those of Update, the effects must be sent within the bundle.
func Advance(s beam.Scope, segment Segment, store, topic string) beam.PCollection {
	s = s.Scope("transforms.Advance")
	due := beam.ParDo(s, &dueFn{Segment: segment, Store: store, Topic: topic}, beam.Impulse(s))
	return beam.ParDo(s, &advanceFn{Segment: segment, Store: store}, due)
}

// dueFn is an unbounded source of due entries. Its restriction counts looks at the schedule.
type dueFn struct {
	Segment Segment
	Store   string // URL
	Topic   string // whose clock counts

	namespace string
	store     update.Store
	stream    *update.StreamClock
	woken     bool
	next      time.Time // of the next look
	clock     int64     // the stream clock at the last look
	again     time.Time // of the next look if it stands still
}

// Setup opens the store.
func (f *dueFn) Setup(ctx context.Context) error {
	config, err := f.Segment.Config()
	if err != nil {
		return err
	}
	f.namespace = config.Namespace
	if f.store, err = update.OpenStore(ctx, f.Store); err != nil {
		return err
	}
	f.stream = update.NewStreamClock(f.store, f.namespace, f.Topic)
	return nil
}

// Teardown gives the store back.
func (f *dueFn) Teardown() error {
	if f.store == nil {
		return nil
	}
	return f.store.Close()
}

// CreateInitialRestriction covers all looks.
func (f *dueFn) CreateInitialRestriction([]byte) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: math.MaxInt64}
}

// SplitRestriction keeps it whole: the schedule is read in one place.
func (f *dueFn) SplitRestriction(_ []byte, r offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{r}
}

// RestrictionSize is one look.
func (f *dueFn) RestrictionSize([]byte, offsetrange.Restriction) float64 { return 1 }

// CreateTracker returns the tracker of a restriction.
func (f *dueFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}

// TruncateRestriction ends it where it stands.
func (f *dueFn) TruncateRestriction(rt *sdf.LockRTracker, _ []byte) offsetrange.Restriction {
	r := rt.GetRestriction().(offsetrange.Restriction)
	r.End = r.Start
	return r
}

// ProcessElement emits what is due now, and is to be called again after a while.
func (f *dueFn) ProcessElement(ctx context.Context, rt *sdf.LockRTracker, _ []byte, emit func(update.Due)) (sdf.ProcessContinuation, error) {
	look := rt.GetRestriction().(offsetrange.Restriction).Start
	if !rt.TryClaim(look) {
		return sdf.StopProcessing(), nil
	}
	if err := f.pause(ctx); err != nil {
		return sdf.StopProcessing(), err
	}
	clock, err := f.stream.Now(ctx)
	if err != nil {
		return sdf.StopProcessing(), err
	}
	wait := dueInterval
	if f.woken && clock == f.clock && time.Now().Before(f.again) { // what is due then was due before, and was found
		f.next = time.Now().Add(wait)
		return sdf.ResumeProcessingIn(wait), nil
	}
	f.clock, f.again = clock, time.Now().Add(dueRest)
	if !f.woken { // each bucket is met once, so that effects of an earlier life which were not sent are
		for bucket := range byte(update.DueBuckets) {
			emit(update.Due{Document: profile.Key{bucket}})
		}
		f.woken = true
	}
	for bucket := range byte(update.DueBuckets) {
		entries, err := update.DueEntries(ctx, f.store, f.namespace, bucket, clock, dueBatch)
		if err != nil {
			return sdf.StopProcessing(), err
		}
		if len(entries) == dueBatch {
			wait = 0
		}
		if len(entries) > 0 {
			f.again = time.Time{}
		}
		for _, due := range entries {
			emit(due)
		}
	}
	f.next = time.Now().Add(wait)
	return sdf.ResumeProcessingIn(wait), nil
}

// pause waits for the time of the next look: Flink takes delays below a second for none.
func (f *dueFn) pause(ctx context.Context) error {
	wait := time.Until(f.next)
	if wait <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

type advanceFn struct {
	Segment Segment
	Store   string // URL

	worker worker
	due    []update.Due
}

// Setup opens the store.
func (f *advanceFn) Setup(ctx context.Context) error { return f.worker.open(ctx, f.Segment, f.Store) }

// StartBundle settles the effects of the bundle before.
func (f *advanceFn) StartBundle(context.Context, func(beam.EventTime, update.Effect)) {
	f.worker.Settle()
	f.due = f.due[:0]
}

// ProcessElement gathers the bundle.
func (f *advanceFn) ProcessElement(_ context.Context, due update.Due, _ func(beam.EventTime, update.Effect)) {
	f.due = append(f.due, due)
}

// FinishBundle does what is due and emits the effects.
func (f *advanceFn) FinishBundle(ctx context.Context, emit func(beam.EventTime, update.Effect)) error {
	if len(f.due) == 0 {
		return nil
	}
	began := time.Now()
	result, err := f.worker.Advance(ctx, f.due)
	if err != nil {
		return err
	}
	observe(Applied{Result: result, Began: began, Committed: time.Now()})
	emitEffects(result.Effects, emit)
	return nil
}

// Teardown gives the store back.
func (f *advanceFn) Teardown() error { return f.worker.close() }
