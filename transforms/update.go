package transforms

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	register.DoFn3x0[context.Context, *update.Input, func(beam.EventTime, update.Effect)](&updateFn{})
	register.Emitter2[beam.EventTime, update.Effect]()
}

// Update folds inputs into the documents of a store: it takes a PCollection<*update.Input> and returns a PCollection<update.Effect>.
// A bundle is one transaction, committed in FinishBundle. The effects must be sent within the same bundle: that the next one begins
// says that they were acknowledged.
func Update(s beam.Scope, segment Segment, store string, inputs beam.PCollection) beam.PCollection {
	s = s.Scope("transforms.Update")
	return beam.ParDo(s, &updateFn{Segment: segment, Store: store}, inputs)
}

type updateFn struct {
	Segment Segment
	Store   string // URL

	worker worker
	inputs []*update.Input
}

// Setup opens the store.
func (f *updateFn) Setup(ctx context.Context) error { return f.worker.open(ctx, f.Segment, f.Store) }

// StartBundle settles the effects of the bundle before: an instance is used again only after that succeeded.
func (f *updateFn) StartBundle(context.Context, func(beam.EventTime, update.Effect)) {
	f.worker.Settle()
	clear(f.inputs)
	f.inputs = f.inputs[:0]
}

// ProcessElement gathers the bundle.
func (f *updateFn) ProcessElement(_ context.Context, in *update.Input, _ func(beam.EventTime, update.Effect)) {
	f.inputs = append(f.inputs, in)
}

// FinishBundle applies the bundle and emits its effects.
func (f *updateFn) FinishBundle(ctx context.Context, emit func(beam.EventTime, update.Effect)) error {
	if len(f.inputs) == 0 {
		return nil
	}
	began := time.Now()
	result, err := f.worker.Apply(ctx, f.inputs)
	if err != nil {
		return err
	}
	observe(Applied{Inputs: f.inputs, Result: result, Began: began, Committed: time.Now()})
	emitEffects(result.Effects, emit)
	return nil
}

// Teardown gives the store back.
func (f *updateFn) Teardown() error { return f.worker.close() }

// worker is an update.Worker with the store it opened.
type worker struct {
	*update.Worker
	store update.Store
}

func (w *worker) open(ctx context.Context, segment Segment, url string) error {
	config, err := segment.Config()
	if err != nil {
		return err
	}
	if w.store, err = update.OpenStore(ctx, url); err != nil {
		return err
	}
	w.Worker = update.NewWorker(config, w.store)
	return nil
}

func (w *worker) close() error {
	if w.store == nil {
		return nil
	}
	return w.store.Close()
}

func emitEffects(effects []update.Effect, emit func(beam.EventTime, update.Effect)) {
	for _, e := range effects {
		emit(beam.EventTime(0), e)
	}
}
