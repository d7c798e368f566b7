package program

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	v1pb "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx/v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/protox"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"
)

// UnsupportedError says that a step of the pipeline uses a feature that this runner does not run.
type UnsupportedError struct {
	// Step is the full name of the step, with its scopes.
	Step string
	// Feature is what the step uses, e.g. "GroupByKey".
	Feature string
	// Advice says what to do instead, usually which runner to use.
	Advice string
}

// Error names the step, the feature and the way out.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("direct: step %q uses %s, which the direct runner does not run; %s", e.Step, e.Feature, e.Advice)
}

const (
	useFlink       = "run this pipeline on Flink (--runner=flink)"
	actOnResume    = "no runner of the Go SDK runs it correctly, Flink neither: let the source act when its restriction is resumed"
	windowAfter    = "apply the window after the splittable DoFn, or run this pipeline on Flink (--runner=flink)"
	windowSide     = "give the side input fixed, sliding or global windows and the default trigger, or run this pipeline on Flink (--runner=flink)"
	noRetractions  = "accumulate or discard instead: no runner of the Go SDK retracts"
	useMatchingOut = "give all inputs the same coder, or run this pipeline on Flink (--runner=flink)"
)

// stepName is the name of a transform as its author knows it. Where the SDK expands one step into several, it names the
// parts by their IDs.
func stepName(id string, t *pipepb.PTransform) string {
	return strings.TrimSuffix(t.GetUniqueName(), "/"+id)
}

// refuse lists everything in the pipeline that this runner cannot run. Reshuffles have already been taken out.
func refuse(c *pipepb.Components) error {
	ts := c.GetTransforms()
	var errs []error
	reject := func(id, feature, advice string) {
		errs = append(errs, &UnsupportedError{Step: stepName(id, ts[id]), Feature: feature, Advice: advice})
	}
	for _, id := range sortedKeys(ts) {
		t := ts[id]
		if len(t.GetSubtransforms()) > 0 {
			continue
		}
		switch urn := t.GetSpec().GetUrn(); urn {
		case graphx.URNImpulse, graphx.URNFlatten, graphx.URNWindow, urnPrecombine, urnMerge, urnExtract:
		case graphx.URNGBK:
			refuseGrouping(windowingOf(c, only(t.GetInputs())), func(feature, advice string) { reject(id, feature, advice) })
		case graphx.URNParDo:
			pd, fn, err := decodeParDo(t)
			if err != nil {
				errs = append(errs, fmt.Errorf("direct: step %q: %w", stepName(id, t), err))
				continue
			}
			refuseParDo(c, t, pd, fn, func(feature, advice string) { reject(id, feature, advice) })
		default:
			reject(id, fmt.Sprintf("transform %q", urn), useFlink)
		}
	}
	return errors.Join(errs...)
}

// refuseParDo calls reject for every feature of a ParDo that is not supported.
func refuseParDo(c *pipepb.Components, t *pipepb.PTransform, pd *pipepb.ParDoPayload, fn *graph.Fn, reject func(feature, advice string)) {
	for _, local := range sortedKeys(pd.GetSideInputs()) {
		switch ws := windowingOf(c, t.GetInputs()[local]); {
		case ws.GetMergeStatus() == pipepb.MergeStatus_NEEDS_MERGE:
			reject("a side input in session windows", windowSide)
		case !defaultTrigger(ws):
			reject("a side input with a trigger other than the default one", windowSide)
		}
	}
	if len(pd.GetStateSpecs()) > 0 {
		reject("state", useFlink)
	}
	if len(pd.GetTimerFamilySpecs()) > 0 {
		reject("timers", useFlink)
	}
	if pd.GetRequiresTimeSortedInput() {
		reject("time-sorted input", useFlink)
	}
	if pd.GetRequiresStableInput() {
		reject("stable input", useFlink)
	}
	if fn == nil {
		return // a part of a CoGroupByKey
	}
	dofn, err := graph.AsDoFn(fn, graph.MainUnknown)
	if err != nil {
		return // a Combine that is not lifted: the only other function that a ParDo carries
	}
	// The payload knows only of finalizers in ProcessElement. The executor runs the callbacks of a plan's first bundle and
	// forgets those of the later ones.
	if _, ok := dofn.ProcessElementFn().BundleFinalization(); ok || pd.GetRequestsFinalization() {
		reject("bundle finalization", actOnResume)
	} else if f := dofn.StartBundleFn(); f != nil && finalizes(f.BundleFinalization()) {
		reject("bundle finalization", actOnResume)
	} else if f := dofn.FinishBundleFn(); f != nil && finalizes(f.BundleFinalization()) {
		reject("bundle finalization", actOnResume)
	}
	// The executor runs an element once per window when the DoFn looks at windows, and then drops the continuation that a
	// source returns: everything behind its first bundle would be lost.
	ws := windowingOf(c, t.GetInputs()["i0"])
	if pd.GetRestrictionCoderId() != "" && ws.GetWindowFn().GetUrn() == graphx.URNSlidingWindowsWindowFn {
		reject("a splittable DoFn behind sliding windows", windowAfter)
	}
}

// refuseGrouping calls reject for every feature of a GroupByKey that is not supported.
func refuseGrouping(ws *pipepb.WindowingStrategy, reject func(feature, advice string)) {
	switch urn := ws.GetWindowFn().GetUrn(); urn {
	case graphx.URNGlobalWindowsWindowFn, graphx.URNFixedWindowsWindowFn, graphx.URNSlidingWindowsWindowFn, graphx.URNSessionsWindowFn:
	default:
		reject(fmt.Sprintf("GroupByKey in windows of %q", urn), useFlink)
	}
	if !defaultTrigger(ws) {
		reject("GroupByKey with a trigger other than the default one", useFlink)
	}
	if ws.GetAccumulationMode() == pipepb.AccumulationMode_RETRACTING {
		reject("GroupByKey with retractions", noRetractions)
	}
}

func defaultTrigger(ws *pipepb.WindowingStrategy) bool {
	switch ws.GetTrigger().GetTrigger().(type) {
	case nil, *pipepb.Trigger_Default_:
		return true
	}
	return false
}

func windowingOf(c *pipepb.Components, pc string) *pipepb.WindowingStrategy {
	return c.GetWindowingStrategies()[c.GetPcollections()[pc].GetWindowingStrategyId()]
}

func finalizes(_ int, ok bool) bool { return ok }

// decodeParDo returns the payload of a ParDo and its function, nil if it is not a user's.
func decodeParDo(t *pipepb.PTransform) (*pipepb.ParDoPayload, *graph.Fn, error) {
	var pd pipepb.ParDoPayload
	if err := proto.Unmarshal(t.GetSpec().GetPayload(), &pd); err != nil {
		return nil, nil, fmt.Errorf("ParDo payload: %w", err)
	}
	var tp v1pb.TransformPayload
	if err := protox.DecodeBase64(string(pd.GetDoFn().GetPayload()), &tp); err != nil {
		return nil, nil, fmt.Errorf("DoFn payload: %w", err)
	}
	if tp.GetUrn() != graphx.URNDoFn {
		return &pd, nil, nil
	}
	_, fn, _, _, _, err := graphx.DecodeMultiEdge(tp.GetEdge())
	if err != nil {
		return nil, nil, fmt.Errorf("DoFn: %w", err)
	}
	return &pd, fn, nil
}

// descendants calls f for everything below a composite.
func descendants(ts map[string]*pipepb.PTransform, id string, f func(id string)) {
	for _, sub := range ts[id].GetSubtransforms() {
		descendants(ts, sub, f)
		f(sub)
	}
}
