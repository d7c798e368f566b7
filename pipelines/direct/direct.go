// Package direct runs a Beam pipeline inside this process, as fast as a hand-written loop: no port, no gRPC, no copy of
// the program.
//
// This is how a pipeline becomes running code. FEATURES.md says which features of Beam run here.
//
// # Translate
//
// The Go SDK marshals the pipeline into the portable model: a graph of transforms and PCollections. What this runner cannot
// run is refused, before anything has run, with an error that names the step. The rest is rewritten into what the SDK's
// executor knows: a splittable DoFn becomes "pair with a restriction, split, process", a CombinePerKey "combine what a bundle
// holds, group, merge, extract", a Reshuffle and a Flatten become edges. Then the graph is cut into stages: a ParDo joins the
// stage of its producer, so that elements pass between the two as function calls. A stage begins where elements must be held:
// behind an Impulse, a GroupByKey, a Reshuffle or a Flatten, at a ParDo with side inputs, and at the split and the process
// step of a splittable DoFn. Each stage is one ProcessBundleDescriptor, the same message that a remote runner would send to
// a worker. All this is package program.
//
// # Stage
//
// The SDK turns a descriptor into an exec.Plan, the object that calls the DoFns. A stage owns a queue of encoded elements
// and gives bundles of them to its plans (stage.go, bundle.go). What a bundle emits is kept aside and enters the queues of
// the next stages, all at once, only after the bundle succeeded. A full queue holds its producers back. That cannot
// deadlock: the graph has no cycle and each stage has workers of its own, so the last stage can always go on.
//
// # Restriction
//
// Each restriction of a splittable DoFn has a goroutine and a plan of its own (restriction.go). It runs one bundle after
// another: process, commit the outputs, wait for the resume delay, process the residual. The plan stays with the restriction,
// so a DoFn fused behind a source sees the same partitions for as long as it lives.
//
// # Watermark
//
// Where something groups by key or reads a side input, the runner knows how far event time has come before and behind each
// node (watermark.go). What is queued or running holds it back: a block with the watermark that its stage had when it came, a
// residual with what the watermark estimator of its DoFn says. Pipelines without either pay nothing for this.
//
// # Grouping
//
// A GroupByKey is no stage but a table (grouping.go, package grouping), cut into shards with a lock each. Whoever commits a
// bundle puts its elements there. When the watermark has passed the end of a window, a goroutine takes the groups out
// and delivers them to the next stages. Past a bound on memory, values go to disk until then.
//
// # Side input
//
// The elements of a side input are kept by window (sideinput.go). Those of the main input wait in front of their stage until
// the watermark of the side input has passed the window that they see.
//
// # Retry
//
// A bundle that fails, by error or by panic, is run again with the same input by a fresh plan, after an exponential back-off
// (retry.go). Everything else goes on meanwhile. Nothing of the failed try is kept: no output, no metric, and none of its
// DoFn instances, which are torn down. So a DoFn whose StartBundle is called again knows that its previous bundle
// succeeded, including every FinishBundle downstream.
//
// # Drain
//
// A drain (drain.go) truncates the restrictions, finishes what is queued, and with that ends time: open windows fire.
//
// # What a DoFn may rely on
//
//   - Setup is called once per instance, Teardown at its end, also after a failure (even of Setup itself).
//   - FinishBundle of a DoFn runs before those downstream of it in the stage, and may emit to them.
//   - Across stages an element is delivered at least once to a bundle that succeeds exactly once. What a DoFn does to the
//     world outside must therefore be idempotent.
//   - When the job is cancelled, the context of ProcessElement ends. A bundle that ends after that never counts as
//     succeeded, though its FinishBundle may have been called with only a part of the input read.
//   - A source should yield (return a process continuation) after some milliseconds or records: its outputs become visible,
//     and a drain can reach it, only between bundles.
//   - Errors that implement Permanent() bool and return true end the job at once, or have the element set aside; others are retried.
package direct

import (
	"context"
	"runtime"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"

	"github.com/braidhq/braid/pipelines/direct/program"
)

// Name is the name under which the runner is registered with Beam, for beam.Run and the --runner flag of beamx. A job that is run so
// tries a bundle four times.
const Name = "braid-direct"

// runAttempts is how often beam.Run tries a bundle: who calls it cannot look at a job that fails, so it ends, as with other runners.
const runAttempts = 4

func init() {
	beam.RegisterRunner(Name, func(ctx context.Context, p *beam.Pipeline) (beam.PipelineResult, error) {
		beam.PipelineOptions.LoadOptionsFromFlags(nil) // DoFns ask for them
		return Run(ctx, p, Options{MaxAttempts: runAttempts})
	})
}

// Options tune the runner. The zero value is usable.
type Options struct {
	// Workers is how many bundles an ordinary stage runs at once. Default: GOMAXPROCS.
	Workers int
	// Restrictions is how many restrictions of a splittable DoFn that never yields are open at once. Default: 64.
	// Restrictions of a DoFn that yields are all open from the start, since none of them need ever end.
	Restrictions int
	// QueueBytes is how many encoded bytes may wait in front of a stage before its producers are held back.
	// One bundle may exceed it. Default: 16 MiB.
	QueueBytes int

	// GroupingBytes is about how much memory all groupings together may take; what is more goes to disk. Default: 256 MiB.
	GroupingBytes int64
	// TempDir is where a directory for what does not fit into GroupingBytes is made, if need be. Default: the system's.
	TempDir string

	// Backoff is the wait before the first retry of a failed bundle; it grows by half each time, with a random part.
	// Default: 50 ms.
	Backoff time.Duration
	// MaxBackoff caps the wait between two tries of a bundle. Default: 5 s.
	MaxBackoff time.Duration
	// MaxAttempts is how often a bundle is tried before the job fails with a *BundleError. Default: 0, for ever.
	MaxAttempts int
	// SetAside, if set, is called with each element that its stage cannot process, from any goroutine, and the job goes on without
	// it instead of failing: a bundle that failed MaxAttempts times, or for good, is cut into halves until what fails is alone. The
	// call comes before the element is let go of, and again if the process ends in between. A source and what is fused behind
	// it has no elements of its own, so the job fails there.
	SetAside func(Poison)
	// OnFailure, if set, is called after each failed try of a bundle, from the goroutine that runs it.
	OnFailure func(Failure)
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Restrictions <= 0 {
		o.Restrictions = 64
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 16 << 20
	}
	if o.GroupingBytes <= 0 {
		o.GroupingBytes = 256 << 20
	}
	if o.Backoff <= 0 {
		o.Backoff = 50 * time.Millisecond
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = 5 * time.Second
	}
	return o
}

// UnsupportedError says that a step of the pipeline uses a feature that this runner does not run.
type UnsupportedError = program.UnsupportedError

// Result is what is left of a job that has ended. It implements beam.PipelineResult.
type Result struct {
	metrics metrics.Results
}

// Metrics returns the user metrics of all bundles that succeeded.
func (r *Result) Metrics() metrics.Results { return r.metrics }

// JobID returns the name of the runner: a job in this process needs no other.
func (r *Result) JobID() string { return Name }

// Run runs the pipeline until all its elements are processed, and returns its metrics.
//
// It returns an *UnsupportedError (possibly several, joined) before anything has run, a *BundleError when a bundle failed
// permanently or too often, or the cause of ctx when that ended first. To drain a pipeline whose source never ends, use Start.
func Run(ctx context.Context, p *beam.Pipeline, opts Options) (*Result, error) {
	e, err := Start(ctx, p, opts)
	if err != nil {
		return nil, err
	}
	err = e.Wait()
	return &Result{metrics: e.Metrics()}, err
}
