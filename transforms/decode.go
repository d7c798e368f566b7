package transforms

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/update"
)

func init() {
	register.DoFn2x0[event.Record, func(*update.Input)](&decodeFn{})
	register.Emitter1[*update.Input]()
}

// Decode understands records: it takes a PCollection<event.Record> and returns a PCollection<*update.Input>, one for each. Markers
// and records that cannot be used come out as inputs as well, for progress has to move past them in the same transaction.
func Decode(s beam.Scope, segment Segment, records beam.PCollection) beam.PCollection {
	s = s.Scope("transforms.Decode")
	return beam.ParDo(s, &decodeFn{Segment: segment}, records)
}

type decodeFn struct {
	Segment Segment

	config *update.Config
}

// Setup compiles the segment.
func (f *decodeFn) Setup() (err error) {
	f.config, err = f.Segment.Config()
	return err
}

// ProcessElement prepares one record.
func (f *decodeFn) ProcessElement(r event.Record, emit func(*update.Input)) {
	emit(f.config.Prepare(r))
}
