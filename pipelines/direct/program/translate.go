package program

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/pipelinex"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"

	"github.com/braidhq/braid/pipelines/direct/element"
)

// translation is the state of translate.
type translation struct {
	comps  *pipepb.Components
	ts     map[string]*pipepb.PTransform // what is left to place
	alias  map[string][]string           // output of a Reshuffle or Flatten -> its inputs
	first  map[string]bool               // transforms that begin a stage
	yields map[string]bool               // process steps that can return a continuation
	sides  map[string]map[string]*pipepb.SideInput
	prog   *Program
}

// Translate cuts a marshalled pipeline into stages and groupings. It changes p. What the runner cannot run is an
// *UnsupportedError, possibly several, joined.
func Translate(p *pipepb.Pipeline) (*Program, error) {
	tr := &translation{
		comps:  p.GetComponents(),
		ts:     p.GetComponents().GetTransforms(),
		alias:  map[string][]string{},
		first:  map[string]bool{},
		yields: map[string]bool{},
		sides:  map[string]map[string]*pipepb.SideInput{},
		prog:   &Program{Names: map[string]string{}},
	}
	tr.takeReshuffles()
	if err := tr.liftCombines(); err != nil {
		return nil, err
	}
	if err := refuse(tr.comps); err != nil {
		return nil, err
	}
	maps.DeleteFunc(tr.ts, func(_ string, t *pipepb.PTransform) bool { return len(t.GetSubtransforms()) > 0 })
	for id, t := range tr.ts {
		tr.prog.Names[id] = stepName(id, t)
	}
	if err := tr.takeFlattens(); err != nil {
		return nil, err
	}
	if err := tr.expandSplittable(); err != nil {
		return nil, err
	}
	if err := tr.fuse(); err != nil {
		return nil, err
	}
	for _, n := range tr.prog.Nodes {
		if n.Stage != nil {
			if err := tr.describe(n.Stage); err != nil {
				return nil, err
			}
		}
	}
	return tr.prog, nil
}

// fuse places each transform into the stage that produces its input, or begins a stage with it. A GroupByKey stands alone.
func (tr *translation) fuse() error {
	producer := map[string]*Node{} // PCollection -> what produces it
	for _, id := range tr.order() {
		t := tr.ts[id]
		if t.GetSpec().GetUrn() == graphx.URNImpulse {
			tr.prog.Impulses = append(tr.prog.Impulses, only(t.GetOutputs()))
			continue
		}
		n := producer[t.GetInputs()["i0"]]
		switch {
		case t.GetSpec().GetUrn() == graphx.URNGBK:
			g, err := tr.grouping(id, t)
			if err != nil {
				return err
			}
			n = &Node{Grouping: g}
			tr.prog.Nodes = append(tr.prog.Nodes, n)
		case n == nil || n.Stage == nil || tr.first[id]:
			s, err := tr.begin(id, t)
			if err != nil {
				return err
			}
			n = &Node{Stage: s}
			tr.prog.Nodes = append(tr.prog.Nodes, n)
			fallthrough
		default:
			n.Stage.transforms[id] = t
			if name := tr.prog.Names[id]; !slices.Contains(n.Stage.Steps, name) {
				n.Stage.Steps = append(n.Stage.Steps, name)
			}
		}
		for _, o := range t.GetOutputs() {
			producer[o] = n
		}
	}
	for _, n := range tr.prog.Nodes {
		for _, o := range n.reads() {
			if p := producer[o]; p != nil && p.Stage != nil && !slices.Contains(p.Stage.Outputs, o) {
				p.Stage.Outputs = append(p.Stage.Outputs, o)
			}
		}
	}
	return nil
}

// order returns the transforms in data-flow order, also across the Reshuffles and Flattens that have been taken out.
func (tr *translation) order() []string {
	ts := map[string]*pipepb.PTransform{}
	for id, t := range tr.ts {
		c := &pipepb.PTransform{Inputs: map[string]string{}, Outputs: t.GetOutputs()}
		for _, in := range t.GetInputs() {
			for _, o := range tr.origins(in) {
				c.Inputs[fmt.Sprint(len(c.Inputs))] = o
			}
		}
		ts[id] = c
	}
	return pipelinex.TopologicalSort(ts, sortedKeys(ts))
}

// begin begins a stage with a transform.
func (tr *translation) begin(id string, t *pipepb.PTransform) (*Stage, error) {
	in := t.GetInputs()["i0"]
	s := &Stage{ID: id, Origins: tr.origins(in), input: in, transforms: map[string]*pipepb.PTransform{}}
	if t.GetSpec().GetUrn() == urnProcess {
		s.Process, s.Yields = id, tr.yields[id]
	}
	var err error
	for _, local := range sortedKeys(tr.sides[id]) {
		side := Side{Transform: id, Local: local, Origins: tr.origins(t.GetInputs()[local])}
		side.Multimap = tr.sides[id][local].GetAccessPattern().GetUrn() == graphx.URNMultimapSideInput
		if side.Elements, side.Windowing, err = tr.collection(t.GetInputs()[local]); err != nil {
			return nil, fmt.Errorf("direct: step %q: side input: %w", tr.prog.Names[id], err)
		}
		s.Sides = append(s.Sides, side)
	}
	if len(s.Sides) > 0 {
		if s.Elements, s.Windowing, err = tr.collection(in); err != nil {
			return nil, fmt.Errorf("direct: step %q: %w", tr.prog.Names[id], err)
		}
	}
	if s.Elements == nil && s.Process == "" {
		s.Elements, _, _ = tr.collection(in) // without it nothing can be set aside
	}
	return s, nil
}

// grouping describes a GroupByKey.
func (tr *translation) grouping(id string, t *pipepb.PTransform) (*Grouping, error) {
	in := only(t.GetInputs())
	g := &Grouping{Step: tr.prog.Names[id], Origins: tr.origins(in), Output: only(t.GetOutputs())}
	var err error
	if g.Elements, g.Windowing, err = tr.collection(in); err != nil {
		return nil, fmt.Errorf("direct: step %q: %w", g.Step, err)
	}
	return g, nil
}

// collection returns how to read the elements of a PCollection, and how it is windowed.
func (tr *translation) collection(pc string) (*element.Reader, Windowing, error) {
	c := tr.comps.GetPcollections()[pc]
	ws := tr.comps.GetWindowingStrategies()[c.GetWindowingStrategyId()]
	windowing, err := newWindowing(ws)
	if err != nil {
		return nil, Windowing{}, err
	}
	um := graphx.NewCoderUnmarshaller(tr.comps.GetCoders())
	windows, err := um.WindowCoder(ws.GetWindowCoderId())
	if err != nil {
		return nil, Windowing{}, fmt.Errorf("window coder: %w", err)
	}
	elements, err := um.Coder(c.GetCoderId())
	if err != nil {
		return nil, Windowing{}, fmt.Errorf("coder: %w", err)
	}
	r, err := element.NewReader(elements, windows)
	return r, windowing, err
}

// describe writes what the SDK's executor needs to run the stage: its transforms between a source and sinks.
func (tr *translation) describe(s *Stage) error {
	source, err := tr.port(URNSource, s.Origins[0])
	if err != nil {
		return err
	}
	source.Outputs = map[string]string{"i0": s.input}
	ts := maps.Clone(s.transforms)
	ts["source"] = source
	for _, o := range s.Outputs {
		sink, err := tr.port(urnSink, o)
		if err != nil {
			return err
		}
		sink.Inputs = map[string]string{"i0": o}
		ts[SinkPrefix+o] = sink
	}
	s.Descriptor = tr.descriptor(s.ID, ts)
	if s.Process == "" {
		return nil
	}
	sink, err := tr.port(urnSink, s.Origins[0])
	if err != nil {
		return err
	}
	out := s.Process + "_truncated"
	tr.addPCollection(out, tr.comps.GetPcollections()[s.input].GetCoderId(), s.input)
	sink.Inputs = map[string]string{"i0": out}
	s.Truncate = tr.descriptor(out, map[string]*pipepb.PTransform{
		"source": source,
		out: {
			UniqueName: out,
			Spec:       &pipepb.FunctionSpec{Urn: urnTruncate, Payload: s.transforms[s.Process].GetSpec().GetPayload()},
			Inputs:     map[string]string{"i0": s.input},
			Outputs:    map[string]string{"i0": out},
		},
		SinkPrefix + out: sink,
	})
	return nil
}

func (tr *translation) descriptor(id string, ts map[string]*pipepb.PTransform) *fnpb.ProcessBundleDescriptor {
	return &fnpb.ProcessBundleDescriptor{
		Id: id, Transforms: ts, Pcollections: tr.comps.Pcollections, Coders: tr.comps.Coders, WindowingStrategies: tr.comps.WindowingStrategies,
	}
}

// port makes a source or sink of a PCollection's elements, encoded with their windows.
func (tr *translation) port(urn, pc string) (*pipepb.PTransform, error) {
	c := tr.comps.GetPcollections()[pc]
	coder := tr.addCoder("windowed_"+pc, "beam:coder:windowed_value:v1",
		c.GetCoderId(), tr.comps.GetWindowingStrategies()[c.GetWindowingStrategyId()].GetWindowCoderId())
	payload, err := proto.Marshal(&fnpb.RemoteGrpcPort{CoderId: coder})
	if err != nil {
		return nil, fmt.Errorf("direct: port of %q: %w", pc, err)
	}
	return &pipepb.PTransform{UniqueName: urn, Spec: &pipepb.FunctionSpec{Urn: urn, Payload: payload}}, nil
}

// only returns the value of a map with one entry.
func only(m map[string]string) string {
	for _, v := range m {
		return v
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
