package flink_test

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/rtrackers/offsetrange"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn3x0[*sdf.LockRTracker, []byte, func(int64)](&countFn{})
	register.Emitter1[int64]()
}

// countFn is a small source.
type countFn struct{}

// CreateInitialRestriction covers ten numbers.
func (*countFn) CreateInitialRestriction([]byte) offsetrange.Restriction {
	return offsetrange.Restriction{Start: 0, End: 10}
}

// SplitRestriction keeps it whole.
func (*countFn) SplitRestriction(_ []byte, r offsetrange.Restriction) []offsetrange.Restriction {
	return []offsetrange.Restriction{r}
}

// RestrictionSize is the numbers left.
func (*countFn) RestrictionSize(_ []byte, r offsetrange.Restriction) float64 { return r.Size() }

// CreateTracker returns the tracker of a restriction.
func (*countFn) CreateTracker(r offsetrange.Restriction) *sdf.LockRTracker {
	return sdf.NewLockRTracker(offsetrange.NewTracker(r))
}

// ProcessElement counts.
func (*countFn) ProcessElement(rt *sdf.LockRTracker, _ []byte, emit func(int64)) {
	for i := int64(0); rt.TryClaim(i); i++ {
		emit(i)
	}
}
