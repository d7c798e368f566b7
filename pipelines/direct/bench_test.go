package direct_test

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"

	"github.com/braidhq/braid/pipelines/direct"
)

func init() {
	register.DoFn2x0[int, func(int)](&passFn{})
	register.DoFn2x0[int, func(int)](&countFn{})
	register.DoFn1x0[int](&dropFn{})
}

type passFn struct{}

func (*passFn) ProcessElement(v int, emit func(int)) { emit(v) }

type dropFn struct{}

func (*dropFn) ProcessElement(int) {}

// countFn emits the numbers below its element.
type countFn struct{}

func (*countFn) ProcessElement(n int, emit func(int)) {
	for i := range n {
		emit(i)
	}
}

func bench(b *testing.B, build func(s beam.Scope)) {
	p, s := beam.NewPipelineWithRoot()
	build(s)
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := direct.Run(b.Context(), p, direct.Options{}); err != nil {
		b.Fatal(err)
	}
}

func stream(b *testing.B, perBundle int64, steps int) {
	bench(b, func(s beam.Scope) {
		c := beam.ParDo(s, &streamFn{Total: int64(b.N), PerBundle: perBundle}, beam.CreateList(s, []int{0}))
		for range steps {
			c = beam.ParDo(s, &passFn{}, c)
		}
		beam.ParDo0(s, &dropFn{}, c)
	})
}

// BenchmarkBundle is a bundle of one element through source, three DoFns and a sink.
func BenchmarkBundle(b *testing.B) { stream(b, 1, 3) }

// BenchmarkChain is an element through source, one DoFn and a sink, 2,000 to a bundle.
func BenchmarkChain(b *testing.B) { stream(b, 2000, 1) }

// BenchmarkChain5 is an element through source, five DoFns and a sink.
func BenchmarkChain5(b *testing.B) { stream(b, 2000, 5) }

// BenchmarkCreate is an element of a Create through one DoFn.
func BenchmarkCreate(b *testing.B) {
	list := ints(0, b.N)
	bench(b, func(s beam.Scope) { beam.ParDo0(s, &dropFn{}, beam.CreateList(s, list)) })
}

// BenchmarkReshuffle is an element through a queue: encoded, held, decoded.
func BenchmarkReshuffle(b *testing.B) {
	bench(b, func(s beam.Scope) {
		beam.ParDo0(s, &dropFn{}, beam.Reshuffle(s, beam.ParDo(s, &countFn{}, beam.CreateList(s, []int{b.N}))))
	})
}

// BenchmarkGroupByKey is an element through a grouping of 100 keys.
func BenchmarkGroupByKey(b *testing.B) {
	bench(b, func(s beam.Scope) {
		c := beam.ParDo(s, &keyFn{100}, beam.ParDo(s, &countFn{}, beam.CreateList(s, []int{b.N})))
		beam.ParDo0(s, &dropGroupFn{}, beam.GroupByKey(s, c))
	})
}

// BenchmarkCombinePerKey is an element through a lifted sum of 100 keys.
func BenchmarkCombinePerKey(b *testing.B) {
	bench(b, func(s beam.Scope) {
		c := beam.ParDo(s, &keyFn{100}, beam.ParDo(s, &countFn{}, beam.CreateList(s, []int{b.N})))
		beam.ParDo0(s, &dropPairFn{}, stats.SumPerKey(s, c))
	})
}

type dropGroupFn struct{}

func (*dropGroupFn) ProcessElement(_ int, values func(*int) bool) {
	for v := 0; values(&v); {
	}
}

type dropPairFn struct{}

func (*dropPairFn) ProcessElement(int, int) {}

func init() {
	register.DoFn2x0[int, func(*int) bool](&dropGroupFn{})
	register.DoFn2x0[int, int](&dropPairFn{})
}
