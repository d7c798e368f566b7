package direct

import (
	"errors"
	"strings"
	"testing"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"

	"github.com/braidhq/braid/pipelines/direct/program"
)

// TestNewPlanDoesNotPanic: the executor panics on a transform that it does not know. No pipeline gets that far, so this test
// looks inside.
func TestNewPlanDoesNotPanic(t *testing.T) {
	port, err := proto.Marshal(&fnpb.RemoteGrpcPort{CoderId: "windowed"})
	if err != nil {
		t.Fatal(err)
	}
	coder := func(urn string, parts ...string) *pipepb.Coder {
		return &pipepb.Coder{Spec: &pipepb.FunctionSpec{Urn: urn}, ComponentCoderIds: parts}
	}
	_, err = newPlan(&fnpb.ProcessBundleDescriptor{
		Transforms: map[string]*pipepb.PTransform{
			"source": {Spec: &pipepb.FunctionSpec{Urn: program.URNSource, Payload: port}, Outputs: map[string]string{"i0": "n1"}},
			"odd":    {Spec: &pipepb.FunctionSpec{Urn: "example:unknown:v1"}, Inputs: map[string]string{"i0": "n1"}},
		},
		Pcollections: map[string]*pipepb.PCollection{"n1": {CoderId: "bytes", WindowingStrategyId: "w"}},
		Coders: map[string]*pipepb.Coder{
			"bytes": coder("beam:coder:bytes:v1"), "window": coder("beam:coder:global_window:v1"),
			"windowed": coder("beam:coder:windowed_value:v1", "bytes", "window"),
		},
		WindowingStrategies: map[string]*pipepb.WindowingStrategy{"w": {WindowCoderId: "window"}},
	})
	if err == nil || !strings.Contains(err.Error(), "example:unknown:v1") {
		t.Errorf("error %v, want one that names the transform", err)
	}
}

// TestOriginOfOtherErrors: errors that are not a DoFn's pass through.
func TestOriginOfOtherErrors(t *testing.T) {
	plain := errors.New("plain")
	if id, cause := origin(plain); id != "" || cause != plain {
		t.Errorf("origin is %q, %v", id, cause)
	}
}
