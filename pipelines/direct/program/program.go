// Package program turns a marshalled Beam pipeline into what the direct runner runs: stages and groupings.
//
// In goes the portable model, a graph of transforms and PCollections. Translate refuses what the runner cannot run (refuse.go),
// rewrites the rest into what the SDK's executor knows (expand.go), and cuts it into nodes (translate.go): stages, each a
// group of fused transforms with the ProcessBundleDescriptor that the executor wants for it, and groupings, one per
// GroupByKey, in data-flow order. Nothing here runs anything.
package program

import (
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"

	"github.com/braidhq/braid/pipelines/direct/element"
)

// URNs of the portable model that the SDK's executor knows but does not export.
const (
	// URNSource is a transform that reads the input of a bundle.
	URNSource = "beam:runner:source:v1"

	urnSink       = "beam:runner:sink:v1"
	urnPair       = "beam:transform:sdf_pair_with_restriction:v1"
	urnSplit      = "beam:transform:sdf_split_and_size_restrictions:v1"
	urnProcess    = "beam:transform:sdf_process_sized_element_and_restrictions:v1"
	urnTruncate   = "beam:transform:sdf_truncate_sized_restrictions:v1"
	urnPrecombine = "beam:transform:combine_per_key_precombine:v1"
	urnMerge      = "beam:transform:combine_per_key_merge_accumulators:v1"
	urnExtract    = "beam:transform:combine_per_key_extract_outputs:v1"
)

// SinkPrefix begins the transform ID of a sink; the ID of its PCollection follows.
const SinkPrefix = "sink:"

// Program is a translated pipeline.
type Program struct {
	Nodes    []*Node           // in data-flow order
	Impulses []string          // PCollections that hold the one empty element of an Impulse
	Names    map[string]string // transform ID -> full name of its step
}

// Node is either a stage or a grouping.
type Node struct {
	Stage    *Stage
	Grouping *Grouping
}

// reads lists the PCollections that a node reads, seen through Reshuffle and Flatten.
func (n *Node) reads() []string {
	if n.Grouping != nil {
		return n.Grouping.Origins
	}
	out := n.Stage.Origins
	for _, s := range n.Stage.Sides {
		out = append(out[:len(out):len(out)], s.Origins...)
	}
	return out
}

// Stage is a group of fused transforms.
type Stage struct {
	ID      string
	Steps   []string // full names of the fused steps, in data-flow order
	Origins []string // PCollections whose elements fill the queue: the input, seen through Reshuffle and Flatten
	Outputs []string // PCollections that other nodes read
	Process string   // ID of the process step of a splittable DoFn; empty in an ordinary stage
	Yields  bool     // the splittable DoFn can return a process continuation
	Sides   []Side   // side inputs of its first step

	Elements  *element.Reader // of the input of an ordinary stage; may be nil if there are no side inputs
	Windowing Windowing       // of the input, if there are side inputs

	Descriptor *fnpb.ProcessBundleDescriptor
	Truncate   *fnpb.ProcessBundleDescriptor // of a splittable DoFn: restriction in, restriction out

	input      string // PCollection that the first transform reads
	transforms map[string]*pipepb.PTransform
}

// Side is a side input.
type Side struct {
	Transform, Local string   // whose it is, and its name there
	Origins          []string // PCollections whose elements are in it
	Multimap         bool     // read by key
	Elements         *element.Reader
	Windowing        Windowing
}

// Grouping is a GroupByKey.
type Grouping struct {
	Step      string // full name
	Origins   []string
	Output    string // PCollection of the groups
	Elements  *element.Reader
	Windowing Windowing
}

// Windowing is how a PCollection is windowed.
type Windowing struct {
	Kind         string        // URN of the window function
	Size, Period time.Duration // of fixed and sliding windows
	Lateness     int64         // milliseconds
	Accumulating bool
}

// Merging reports whether windows that overlap become one.
func (w Windowing) Merging() bool { return w.Kind == graphx.URNSessionsWindowFn }

func newWindowing(ws *pipepb.WindowingStrategy) (Windowing, error) {
	w := Windowing{
		Kind: ws.GetWindowFn().GetUrn(), Lateness: ws.GetAllowedLateness(),
		Accumulating: ws.GetAccumulationMode() == pipepb.AccumulationMode_ACCUMULATING,
	}
	switch w.Kind {
	case graphx.URNFixedWindowsWindowFn:
		var p pipepb.FixedWindowsPayload
		if err := proto.Unmarshal(ws.GetWindowFn().GetPayload(), &p); err != nil {
			return w, fmt.Errorf("fixed windows: %w", err)
		}
		w.Size, w.Period = p.GetSize().AsDuration(), p.GetSize().AsDuration()
	case graphx.URNSlidingWindowsWindowFn:
		var p pipepb.SlidingWindowsPayload
		if err := proto.Unmarshal(ws.GetWindowFn().GetPayload(), &p); err != nil {
			return w, fmt.Errorf("sliding windows: %w", err)
		}
		w.Size, w.Period = p.GetSize().AsDuration(), p.GetPeriod().AsDuration()
	}
	return w, nil
}

// SideWindow returns the window of a side input that an element in a window of the main input sees: the earliest that holds
// the last moment of that window, as the SDK's executor computes it.
func (w Windowing) SideWindow(main element.Window) element.Window {
	t := main.Max()
	switch w.Kind {
	case graphx.URNFixedWindowsWindowFn:
		start := t - (t.Add(w.Size) % mtime.FromDuration(w.Size))
		return element.Window{Start: start, End: mtime.Min(start.Add(w.Size), element.Global.End)}
	case graphx.URNSlidingWindowsWindowFn:
		period := mtime.FromDuration(w.Period)
		start := t - t%period
		for start-period > t.Subtract(w.Size) {
			start -= period
		}
		return element.Window{Start: start, End: start.Add(w.Size)}
	default:
		return element.Global
	}
}
