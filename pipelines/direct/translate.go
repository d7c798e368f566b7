package direct

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/pipelinex"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"
)

// URNs of the portable model that the SDK's executor knows but does not export.
const (
	urnSource   = "beam:runner:source:v1"
	urnSink     = "beam:runner:sink:v1"
	urnPair     = "beam:transform:sdf_pair_with_restriction:v1"
	urnSplit    = "beam:transform:sdf_split_and_size_restrictions:v1"
	urnProcess  = "beam:transform:sdf_process_sized_element_and_restrictions:v1"
	urnTruncate = "beam:transform:sdf_truncate_sized_restrictions:v1"

	sinkPrefix = "sink:" // transform ID of a sink: this, then its PCollection
)

// stageSpec is a group of fused transforms, as data.
type stageSpec struct {
	id         string
	steps      []string // full names of the fused steps, in data-flow order
	input      string   // PCollection that the first transform reads
	origins    []string // PCollections whose elements fill the queue: the input, seen through Reshuffle and Flatten
	transforms map[string]*pipepb.PTransform
	outputs    []string // PCollections that other stages read
	process    string   // ID of the process step of a splittable DoFn; empty in an ordinary stage
	yields     bool     // the splittable DoFn can return a process continuation

	descriptor *fnpb.ProcessBundleDescriptor
	truncate   *fnpb.ProcessBundleDescriptor // of a splittable DoFn: restriction in, restriction out
}

// program is a translated pipeline.
type program struct {
	stages   []*stageSpec
	impulses []string          // PCollections that hold the one empty element of an Impulse
	names    map[string]string // transform ID -> full name of its step
}

// translation is the state of translate.
type translation struct {
	comps  *pipepb.Components
	ts     map[string]*pipepb.PTransform // what is left to place
	alias  map[string][]string           // output of a Reshuffle or Flatten -> its inputs
	first  map[string]bool               // transforms that begin a stage
	yields map[string]bool               // process steps that can return a continuation
	prog   *program
}

// translate cuts a marshalled pipeline into stages. It changes p.
func translate(p *pipepb.Pipeline) (*program, error) {
	tr := &translation{
		comps:  p.GetComponents(),
		ts:     p.GetComponents().GetTransforms(),
		alias:  map[string][]string{},
		first:  map[string]bool{},
		yields: map[string]bool{},
		prog:   &program{names: map[string]string{}},
	}
	tr.takeReshuffles()
	if err := refuse(tr.comps); err != nil {
		return nil, err
	}
	maps.DeleteFunc(tr.ts, func(_ string, t *pipepb.PTransform) bool { return len(t.GetSubtransforms()) > 0 })
	for id, t := range tr.ts {
		tr.prog.names[id] = stepName(id, t)
	}
	if err := tr.takeFlattens(); err != nil {
		return nil, err
	}
	if err := tr.expandSplittable(); err != nil {
		return nil, err
	}
	tr.fuse()
	for _, s := range tr.prog.stages {
		if err := tr.describe(s); err != nil {
			return nil, err
		}
	}
	return tr.prog, nil
}

// takeReshuffles replaces each Reshuffle, with the grouping that the SDK puts inside it, by an edge.
func (tr *translation) takeReshuffles() {
	for _, id := range sortedKeys(tr.ts) {
		t, ok := tr.ts[id]
		if !ok || t.GetSpec().GetUrn() != graphx.URNReshuffle {
			continue
		}
		tr.alias[only(t.GetOutputs())] = []string{only(t.GetInputs())}
		var parts []string
		descendants(tr.ts, id, func(d string) { parts = append(parts, d) })
		for _, d := range append(parts, id) {
			delete(tr.ts, d)
		}
	}
}

// takeFlattens replaces each Flatten by edges. Its inputs fill one queue, so they must be encoded alike.
func (tr *translation) takeFlattens() error {
	for _, id := range sortedKeys(tr.ts) {
		t := tr.ts[id]
		if t.GetSpec().GetUrn() != graphx.URNFlatten {
			continue
		}
		var ins []string
		for _, k := range sortedKeys(t.GetInputs()) {
			ins = append(ins, t.GetInputs()[k])
		}
		for _, in := range ins {
			if tr.comps.GetPcollections()[in].GetCoderId() != tr.comps.GetPcollections()[ins[0]].GetCoderId() {
				return &UnsupportedError{Step: tr.prog.names[id], Feature: "Flatten of differently encoded inputs", Advice: useMatchingOut}
			}
		}
		tr.alias[only(t.GetOutputs())] = ins
		delete(tr.ts, id)
	}
	return nil
}

// origins sees a PCollection through Reshuffles and Flattens.
func (tr *translation) origins(pc string) []string {
	ins, ok := tr.alias[pc]
	if !ok {
		return []string{pc}
	}
	var out []string
	for _, in := range ins {
		out = append(out, tr.origins(in)...)
	}
	return out
}

// expandSplittable replaces each splittable DoFn by three transforms: pair each element with its restriction, split that,
// and process each part. The first has a stage of its own, so that an error in it reaches the runner as a value: through
// the emitter of a fused DoFn it would arrive as the text of a panic. The last begins a stage, for its input is what a
// bundle resumes from.
func (tr *translation) expandSplittable() error {
	for _, id := range sortedKeys(tr.ts) {
		t := tr.ts[id]
		if t.GetSpec().GetUrn() != graphx.URNParDo {
			continue
		}
		pd, fn, err := decodeParDo(t)
		if err != nil {
			return fmt.Errorf("direct: step %q: %w", tr.prog.names[id], err)
		}
		if pd.GetRestrictionCoderId() == "" {
			continue
		}
		dofn, err := graph.AsDoFn(fn, graph.MainUnknown)
		if err != nil {
			return fmt.Errorf("direct: step %q: %w", tr.prog.names[id], err)
		}
		_, tr.yields[id] = dofn.ProcessElementFn().ProcessContinuation()

		in := t.GetInputs()["i0"]
		element := tr.comps.GetPcollections()[in].GetCoderId()
		paired := tr.addCoder(id+"_paired", "beam:coder:kv:v1", element, pd.GetRestrictionCoderId())
		size := tr.addCoder(id+"_size", "beam:coder:double:v1")
		sized := tr.addCoder(id+"_sized", "beam:coder:kv:v1", paired, size)
		tr.addPCollection(id+"_paired", paired, in)
		tr.addPCollection(id+"_sized", sized, in)

		pair := tr.addStep(id, "_pair", urnPair, in, id+"_paired")
		tr.addStep(id, "_split", urnSplit, id+"_paired", id+"_sized")
		t.Spec.Urn = urnProcess
		t.Inputs = map[string]string{"i0": id + "_sized"}
		tr.first[pair], tr.first[id] = true, true
	}
	return nil
}

// addStep adds a transform with the DoFn of another one.
func (tr *translation) addStep(of, suffix, urn, in, out string) string {
	t := tr.ts[of]
	tr.ts[of+suffix] = &pipepb.PTransform{
		UniqueName:    t.GetUniqueName() + suffix,
		EnvironmentId: t.GetEnvironmentId(),
		Spec:          &pipepb.FunctionSpec{Urn: urn, Payload: t.GetSpec().GetPayload()},
		Inputs:        map[string]string{"i0": in},
		Outputs:       map[string]string{"i0": out},
	}
	tr.prog.names[of+suffix] = tr.prog.names[of]
	return of + suffix
}

func (tr *translation) addCoder(id, urn string, components ...string) string {
	tr.comps.Coders["c_"+id] = &pipepb.Coder{Spec: &pipepb.FunctionSpec{Urn: urn}, ComponentCoderIds: components}
	return "c_" + id
}

func (tr *translation) addPCollection(id, coder, like string) {
	l := tr.comps.GetPcollections()[like]
	tr.comps.Pcollections[id] = &pipepb.PCollection{
		UniqueName: id, CoderId: coder, IsBounded: l.GetIsBounded(), WindowingStrategyId: l.GetWindowingStrategyId(),
	}
}

// fuse places each transform into the stage that produces its input, or begins a stage with it.
func (tr *translation) fuse() {
	producer := map[string]*stageSpec{} // PCollection -> stage
	for _, id := range pipelinex.TopologicalSort(tr.ts, sortedKeys(tr.ts)) {
		t := tr.ts[id]
		if t.GetSpec().GetUrn() == graphx.URNImpulse {
			tr.prog.impulses = append(tr.prog.impulses, only(t.GetOutputs()))
			continue
		}
		in := t.GetInputs()["i0"]
		s := producer[in]
		if s == nil || tr.first[id] {
			s = &stageSpec{id: id, input: in, origins: tr.origins(in), transforms: map[string]*pipepb.PTransform{}}
			if t.GetSpec().GetUrn() == urnProcess {
				s.process, s.yields = id, tr.yields[id]
			}
			tr.prog.stages = append(tr.prog.stages, s)
		}
		s.transforms[id] = t
		if name := tr.prog.names[id]; !slices.Contains(s.steps, name) {
			s.steps = append(s.steps, name)
		}
		for _, o := range t.GetOutputs() {
			producer[o] = s
		}
	}
	for _, s := range tr.prog.stages {
		for _, o := range s.origins {
			if p := producer[o]; p != nil && !slices.Contains(p.outputs, o) {
				p.outputs = append(p.outputs, o)
			}
		}
	}
}

// describe writes what the SDK's executor needs to run the stage: its transforms between a source and sinks.
func (tr *translation) describe(s *stageSpec) error {
	source, err := tr.port(urnSource, s.origins[0])
	if err != nil {
		return err
	}
	source.Outputs = map[string]string{"i0": s.input}
	ts := maps.Clone(s.transforms)
	ts["source"] = source
	for _, o := range s.outputs {
		sink, err := tr.port(urnSink, o)
		if err != nil {
			return err
		}
		sink.Inputs = map[string]string{"i0": o}
		ts[sinkPrefix+o] = sink
	}
	s.descriptor = tr.descriptor(s.id, ts)
	if s.process == "" {
		return nil
	}
	sink, err := tr.port(urnSink, s.origins[0])
	if err != nil {
		return err
	}
	out := s.process + "_truncated"
	tr.addPCollection(out, tr.comps.GetPcollections()[s.input].GetCoderId(), s.input)
	sink.Inputs = map[string]string{"i0": out}
	s.truncate = tr.descriptor(out, map[string]*pipepb.PTransform{
		"source": source,
		out: {
			UniqueName: out,
			Spec:       &pipepb.FunctionSpec{Urn: urnTruncate, Payload: s.transforms[s.process].GetSpec().GetPayload()},
			Inputs:     map[string]string{"i0": s.input},
			Outputs:    map[string]string{"i0": out},
		},
		sinkPrefix + out: sink,
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
