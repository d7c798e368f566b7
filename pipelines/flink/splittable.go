package flink

import (
	"fmt"
	"maps"
	"slices"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"
)

// separate gives the input of every splittable DoFn a coder of its own. Beam's runner names the coders of restrictions after the
// coder of the input alone, so that of two DoFns behind Impulses one would read the other's restrictions. It names the collections of
// restrictions after the input, which nothing here can make different: two splittable DoFns on one input are refused.
func separate(p *pipepb.Pipeline) error {
	reader := map[string]string{} // input -> the step that splits it
	c := p.GetComponents()
	for _, id := range slices.Sorted(maps.Keys(c.GetTransforms())) {
		step := c.GetTransforms()[id]
		if step.GetSpec().GetUrn() != "beam:transform:pardo:v1" {
			continue
		}
		var payload pipepb.ParDoPayload
		if err := proto.Unmarshal(step.GetSpec().GetPayload(), &payload); err != nil {
			return fmt.Errorf("%s: %w", step.GetUniqueName(), err)
		}
		if payload.GetRestrictionCoderId() == "" {
			continue
		}
		for name, input := range step.GetInputs() {
			if _, side := payload.GetSideInputs()[name]; side {
				continue
			}
			if other, taken := reader[input]; taken {
				return fmt.Errorf("%s and %s split the same collection, which Flink's runner confuses: put an Impulse of its own in front of each",
					other, step.GetUniqueName())
			}
			reader[input] = step.GetUniqueName()
			collection := c.GetPcollections()[input]
			own := collection.GetCoderId() + "/" + id
			c.Coders[own] = proto.Clone(c.GetCoders()[collection.GetCoderId()]).(*pipepb.Coder)
			collection.CoderId = own
		}
	}
	return nil
}
