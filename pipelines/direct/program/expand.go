package program

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"
)

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
				return &UnsupportedError{Step: tr.prog.Names[id], Feature: "Flatten of differently encoded inputs", Advice: useMatchingOut}
			}
		}
		tr.alias[only(t.GetOutputs())] = ins
		delete(tr.ts, id)
	}
	return nil
}

// hashable are the coders of keys that the SDK's executor can hash; to lift a combine with another key it panics.
var hashable = map[string]bool{
	"beam:coder:bytes:v1": true, "beam:coder:string_utf8:v1": true, "beam:coder:varint:v1": true, "beam:coder:row:v1": true,
	"beam:go:coder:custom:v1": true, "beam:coder:length_prefix:v1": true, // the SDK prefixes its own custom coders and nothing else
}

// liftCombines replaces each combining composite by four steps: combine what a bundle holds of a key, group, merge, extract.
// One with a key that cannot be hashed is left as it is: group, combine.
func (tr *translation) liftCombines() error {
	for _, id := range sortedKeys(tr.ts) {
		t, ok := tr.ts[id]
		if !ok || t.GetSpec().GetUrn() != graphx.URNCombinePerKey {
			continue
		}
		var pd pipepb.CombinePayload
		if err := proto.Unmarshal(t.GetSpec().GetPayload(), &pd); err != nil {
			return fmt.Errorf("direct: step %q: Combine payload: %w", stepName(id, t), err)
		}
		in, out := only(t.GetInputs()), only(t.GetOutputs())
		key := tr.comps.GetCoders()[tr.comps.GetPcollections()[in].GetCoderId()].GetComponentCoderIds()[0]
		if !hashable[tr.comps.GetCoders()[key].GetSpec().GetUrn()] {
			continue
		}
		accum := pd.GetAccumulatorCoderId()
		pair := tr.addCoder(id+"_accumulator", "beam:coder:kv:v1", key, accum)
		group := tr.addCoder(id+"_group", "beam:coder:kv:v1", key, tr.addCoder(id+"_accumulators", "beam:coder:iterable:v1", accum))
		tr.addPCollection(id+"_lifted", pair, in)
		tr.addPCollection(id+"_grouped", group, in)
		tr.addPCollection(id+"_merged", pair, in)
		var parts []string
		descendants(tr.ts, id, func(d string) { parts = append(parts, d) })
		for _, d := range parts {
			delete(tr.ts, d)
		}
		t.Subtransforms = nil
		tr.addStep(id, "_lift", urnPrecombine, in, id+"_lifted")
		tr.addStep(id, "_group", graphx.URNGBK, id+"_lifted", id+"_grouped")
		tr.addStep(id, "_merge", urnMerge, id+"_grouped", id+"_merged")
		tr.addStep(id, "_extract", urnExtract, id+"_merged", out)
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
			return fmt.Errorf("direct: step %q: %w", tr.prog.Names[id], err)
		}
		if len(pd.GetSideInputs()) > 0 {
			tr.first[id], tr.sides[id] = true, pd.GetSideInputs()
		}
		if pd.GetRestrictionCoderId() == "" {
			continue
		}
		dofn, err := graph.AsDoFn(fn, graph.MainUnknown)
		if err != nil {
			return fmt.Errorf("direct: step %q: %w", tr.prog.Names[id], err)
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
		t.Inputs["i0"] = id + "_sized"
		tr.first[pair], tr.first[id] = true, true
	}
	return nil
}

// addStep adds a transform with the DoFn of another one.
func (tr *translation) addStep(of, suffix, urn, in, out string) string {
	t := tr.ts[of]
	tr.ts[of+suffix] = &pipepb.PTransform{
		UniqueName:    stepName(of, t), // a part goes by the name of the whole
		EnvironmentId: t.GetEnvironmentId(),
		Spec:          &pipepb.FunctionSpec{Urn: urn, Payload: t.GetSpec().GetPayload()},
		Inputs:        map[string]string{"i0": in},
		Outputs:       map[string]string{"i0": out},
	}
	tr.prog.Names[of+suffix] = stepName(of, t)
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
