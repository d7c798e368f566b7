package conformance_test

import (
	"errors"
	"flag"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/filter"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/periodic"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/top"
	"github.com/apache/beam/sdks/v2/go/test/integration/primitives"
	"go.uber.org/goleak"

	"github.com/braidhq/braid/pipelines/direct"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	// What ParDoPipelineOptions expects to find.
	for k, v := range map[string]string{"A": "123", "B": "456", "C": "789"} {
		beam.PipelineOptions.Set(k, v)
	}
	goleak.VerifyTestMain(m)
}

func init() {
	register.Function1x1(odd)
	register.Function2x1(less)
	register.Function1x2(parity)
}

func odd(v int) bool           { return v%2 == 1 }
func less(a, b int) bool       { return a < b }
func parity(v int) (bool, int) { return v%2 == 0, v }

// entry is a pipeline that checks its own results, and what is expected of it: nothing, or to be refused for a feature.
type entry struct {
	suite, name string
	build       func() *beam.Pipeline
	refused     string
	fails       string // its assertion must fail, with this in the error
}

func in(suite, refused string, builds ...func(beam.Scope)) (out []entry) {
	for _, f := range builds {
		out = append(out, entry{suite: suite, name: nameOf(f), refused: refused, build: func() *beam.Pipeline {
			p, s := beam.NewPipelineWithRoot()
			f(s)
			return p
		}})
	}
	return out
}

func whole(suite string, builds ...func() *beam.Pipeline) (out []entry) {
	for _, f := range builds {
		out = append(out, entry{suite: suite, name: nameOf(f), build: f})
	}
	return out
}

func one(suite, name string, build func(s beam.Scope)) entry {
	e := in(suite, "", build)[0]
	e.name = name
	return e
}

func failing(e entry, text string) entry {
	e.fails = text
	return e
}

func nameOf(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

func numbers(s beam.Scope) beam.PCollection { return beam.Create(s, 1, 2, 3, 4, 5) }

func entries() []entry {
	const prims = "test/integration/primitives"
	var out []entry
	add := func(es ...entry) { out = append(out, es...) }
	add(in(prims, "", primitives.Checkpoints, primitives.CoGBK, primitives.GBKShortRead, primitives.Reshuffle, primitives.ReshuffleKV,
		primitives.Flatten, primitives.FlattenDup, primitives.WindowSums_GBK, primitives.WindowSums_Lifted, primitives.ValidateWindowedSideInputs)...)
	add(whole(prims, primitives.ParDoMultiOutput, primitives.ParDoSideInput, primitives.ParDoKVSideInput, primitives.ParDoMultiMapSideInput,
		primitives.ParDoPipelineOptions)...)
	add(in(prims, "bundle finalization", primitives.ParDoProcessElementBundleFinalizer, primitives.ParDoFinishBundleFinalizer, primitives.ParDoFinalizerInAll)...)
	add(in(prims, "state", primitives.ValueStateParDo, primitives.ValueStateParDoWindowed, primitives.ValueStateParDoClear, primitives.BagStateParDo,
		primitives.BagStateParDoClear, primitives.BagStateBlindWriteParDo, primitives.CombiningStateParDo, primitives.MapStateParDo,
		primitives.MapStateParDoClear, primitives.SetStateParDo, primitives.SetStateParDoClear, primitives.OrderedListStateParDo)...)
	add(in(prims, "timers", primitives.TimersEventTimeBounded, primitives.TimersEventTimeUnbounded, primitives.TimersEventTime_WithOutputTimestamp,
		primitives.TimersEventTime_WithNoOutputTimestamp, primitives.TimersProcessingTime_Bounded, primitives.TimersProcessingTime_Unbounded)...)
	add(in(prims, "beam:transform:teststream:v1", primitives.TestStreamStrings, primitives.TestStreamByteSliceSequence, primitives.TestStreamInt64Sequence,
		primitives.TestStreamTwoInt64Sequences, primitives.TestStreamFloat64Sequence, primitives.TestStreamTwoFloat64Sequences,
		primitives.TestStreamBoolSequence, primitives.TestStreamTwoBoolSequences, primitives.TestStreamTwoUserTypeSequences,
		primitives.TestStreamInt16Sequence, primitives.TestStreamSimple, primitives.TestStreamSimple_InfinityDefault, primitives.TestStreamToGBK,
		primitives.TestStreamTimersEventTime, primitives.TimersProcessingTimeTestStream_Infinity, primitives.Panes, primitives.TriggerDefault, primitives.TriggerAlways, primitives.TriggerElementCount,
		primitives.TriggerAfterProcessingTimeNotTriggered, primitives.TriggerAfterProcessingTime, primitives.TriggerRepeat,
		primitives.TriggerAfterEndOfWindow, primitives.TriggerAfterAll, primitives.TriggerAfterEach, primitives.TriggerAfterAny,
		primitives.TriggerAfterSynchronizedProcessingTime, primitives.TriggerNever, primitives.TriggerOrFinally)...)

	const asserts = "testing/passert"
	add(one(asserts, "Equals", func(s beam.Scope) { passert.Equals(s, numbers(s), 5, 4, 3, 2, 1) }),
		failing(one(asserts, "Equals, unequal", func(s beam.Scope) { passert.Equals(s, numbers(s), 1, 2, 3, 4, 6) }), "6"),
		one(asserts, "EqualsList", func(s beam.Scope) { passert.EqualsList(s, numbers(s), []int{1, 2, 3, 4, 5}) }),
		one(asserts, "EqualsFloat", func(s beam.Scope) {
			passert.EqualsFloat(s, beam.Create(s, 1.0, 2.0), beam.Create(s, 1.001, 1.999), 0.01)
		}),
		one(asserts, "AllWithinBounds", func(s beam.Scope) { passert.AllWithinBounds(s, beam.Create(s, 1.0, 2.0), 0, 3) }),
		one(asserts, "Count", func(s beam.Scope) { passert.Count(s, numbers(s), "numbers", 5) }),
		failing(one(asserts, "Count, wrong", func(s beam.Scope) { passert.Count(s, numbers(s), "numbers", 6) }), "numbers"),
		one(asserts, "Sum", func(s beam.Scope) { passert.Sum(s, numbers(s), "numbers", 5, 15) }),
		one(asserts, "Empty", func(s beam.Scope) { passert.Empty(s, beam.CreateList(s, []int{})) }),
		failing(one(asserts, "Empty, of something", func(s beam.Scope) { passert.Empty(s, numbers(s)) }), "want empty collection"),
		one(asserts, "NonEmpty", func(s beam.Scope) { passert.NonEmpty(s, numbers(s)) }),
		failing(one(asserts, "NonEmpty, of nothing", func(s beam.Scope) { passert.NonEmpty(s, beam.CreateList(s, []int{})) }), "empty"),
		one(asserts, "True", func(s beam.Scope) { passert.True(s, beam.Create(s, 1, 3), odd) }),
		one(asserts, "False", func(s beam.Scope) { passert.False(s, beam.Create(s, 2, 4), odd) }))

	add(one("transforms/filter", "Include", func(s beam.Scope) { passert.Equals(s, filter.Include(s, numbers(s), odd), 1, 3, 5) }),
		one("transforms/filter", "Exclude", func(s beam.Scope) { passert.Equals(s, filter.Exclude(s, numbers(s), odd), 2, 4) }),
		one("transforms/filter", "Distinct", func(s beam.Scope) { passert.Equals(s, filter.Distinct(s, beam.Create(s, 1, 2, 1, 2)), 1, 2) }))
	keyed := func(s beam.Scope) beam.PCollection { return beam.ParDo(s, parity, numbers(s)) }
	values := func(s beam.Scope, c beam.PCollection) beam.PCollection { return beam.DropKey(s, c) }
	add(one("transforms/stats", "Sum", func(s beam.Scope) { passert.Equals(s, stats.Sum(s, numbers(s)), 15) }),
		one("transforms/stats", "SumPerKey", func(s beam.Scope) { passert.Equals(s, values(s, stats.SumPerKey(s, keyed(s))), 6, 9) }),
		one("transforms/stats", "Mean", func(s beam.Scope) { passert.Equals(s, stats.Mean(s, numbers(s)), 3.0) }),
		one("transforms/stats", "MeanPerKey", func(s beam.Scope) { passert.Equals(s, values(s, stats.MeanPerKey(s, keyed(s))), 3.0, 3.0) }),
		one("transforms/stats", "Min", func(s beam.Scope) { passert.Equals(s, stats.Min(s, numbers(s)), 1) }),
		one("transforms/stats", "MinPerKey", func(s beam.Scope) { passert.Equals(s, values(s, stats.MinPerKey(s, keyed(s))), 1, 2) }),
		one("transforms/stats", "Max", func(s beam.Scope) { passert.Equals(s, stats.Max(s, numbers(s)), 5) }),
		one("transforms/stats", "MaxPerKey", func(s beam.Scope) { passert.Equals(s, values(s, stats.MaxPerKey(s, keyed(s))), 4, 5) }),
		one("transforms/stats", "Count", func(s beam.Scope) {
			passert.Equals(s, values(s, stats.Count(s, beam.Create(s, 7, 7, 8))), 1, 2)
		}),
		one("transforms/stats", "CountElms", func(s beam.Scope) { passert.Equals(s, stats.CountElms(s, numbers(s)), 5) }),
		one("transforms/stats", "ApproximateQuantiles", func(s beam.Scope) {
			passert.NonEmpty(s, stats.ApproximateQuantiles(s, numbers(s), less, stats.Opts{K: 200, NumQuantiles: 3}))
		}))
	add(one("transforms/top", "Largest", func(s beam.Scope) { passert.Equals(s, top.Largest(s, numbers(s), 2, less), []int{5, 4}) }),
		one("transforms/top", "Smallest", func(s beam.Scope) { passert.Equals(s, top.Smallest(s, numbers(s), 2, less), []int{1, 2}) }),
		one("transforms/top", "LargestPerKey", func(s beam.Scope) {
			passert.Equals(s, values(s, top.LargestPerKey(s, keyed(s), 1, less)), []int{5}, []int{4})
		}),
		one("transforms/top", "SmallestPerKey", func(s beam.Scope) {
			passert.Equals(s, values(s, top.SmallestPerKey(s, keyed(s), 1, less)), []int{1}, []int{2})
		}))
	add(one("transforms/periodic", "Impulse", func(s beam.Scope) {
		from := time.Unix(1_000_000, 0)
		c := periodic.Impulse(s, from, from.Add(5*time.Second), time.Second, false)
		passert.Count(s, c, "ticks", 5)
	}))
	return out
}

// TestConformance runs what can be imported of the SDK's suites on the direct runner. Module testing/peers runs the SDK's own test files,
// beside Prism.
func TestConformance(t *testing.T) {
	for _, e := range entries() {
		t.Run(e.suite+"/"+e.name, func(t *testing.T) {
			_, err := direct.Run(t.Context(), e.build(), direct.Options{MaxAttempts: 1})
			var u *direct.UnsupportedError
			switch {
			case e.refused != "":
				if !errors.As(err, &u) || !strings.Contains(err.Error(), e.refused) || u.Advice == "" {
					t.Fatalf("error %v, want a refusal for %q with advice", err, e.refused)
				}
			case e.fails != "":
				if err == nil || errors.As(err, &u) || !strings.Contains(err.Error(), e.fails) {
					t.Fatalf("error %v, want the failed assertion", err)
				}
			case err != nil:
				t.Fatal(err)
			}
		})
	}
}
