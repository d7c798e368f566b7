package flink_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/pipelines/flink"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms"
)

// known are the options of the fake job server.
var known = []string{
	"runner", "job_name", "app_name", "streaming", "experiments", "parallelism", "max_parallelism", "sdk_worker_parallelism",
	"number_of_execution_retries", "execution_retry_delay", "max_bundle_time_mills", "max_bundle_size", "checkpointing_interval",
	"checkpoint_timeout_millis", "finish_bundle_before_checkpointing", "state_backend",
}

// jobServer takes jobs and tells of them what the test says.
type jobServer struct {
	jobpb.UnimplementedJobServiceServer
	prepared *jobpb.PrepareJobRequest
	refuse   error
	messages []*jobpb.JobMessagesResponse
}

// DescribePipelineOptions lists the known options.
func (s *jobServer) DescribePipelineOptions(context.Context, *jobpb.DescribePipelineOptionsRequest) (*jobpb.DescribePipelineOptionsResponse, error) {
	answer := &jobpb.DescribePipelineOptionsResponse{}
	for _, name := range known {
		answer.Options = append(answer.Options, &jobpb.PipelineOptionDescriptor{Name: name})
	}
	return answer, nil
}

// Prepare keeps the request.
func (s *jobServer) Prepare(_ context.Context, request *jobpb.PrepareJobRequest) (*jobpb.PrepareJobResponse, error) {
	s.prepared = request
	return &jobpb.PrepareJobResponse{PreparationId: "p", StagingSessionToken: "t"}, s.refuse
}

// Run gives the job an ID.
func (s *jobServer) Run(_ context.Context, request *jobpb.RunJobRequest) (*jobpb.RunJobResponse, error) {
	return &jobpb.RunJobResponse{JobId: "job of " + request.GetPreparationId()}, nil
}

// GetState says that the job runs.
func (s *jobServer) GetState(context.Context, *jobpb.GetJobStateRequest) (*jobpb.JobStateEvent, error) {
	return &jobpb.JobStateEvent{State: jobpb.JobState_RUNNING}, nil
}

// GetMessageStream sends the messages.
func (s *jobServer) GetMessageStream(_ *jobpb.JobMessagesRequest, stream jobpb.JobService_GetMessageStreamServer) error {
	for _, m := range s.messages {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func startJobServer(t *testing.T) (*jobServer, flink.Options) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, server := &jobServer{}, grpc.NewServer()
	jobpb.RegisterJobServiceServer(server, s)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return s, flink.Options{JobServer: listener.Addr().String(), Pool: "127.0.0.1:50000"}
}

// realtime is the pipeline that matters.
func realtime() *beam.Pipeline {
	p, s := beam.NewPipelineWithRoot()
	pipelines.Realtime(s, pipelines.RealtimeConfig{
		Segment: transforms.Segment{File: "segment.yaml", Text: string(shop.Segment)}, Name: "retail",
		Kafka: kafkaio.Client{Brokers: []string{"127.0.0.1:9092"}}, Store: "memory:none",
	})
	return p
}

// The job server gets the pipeline with all steps in an environment that names the pool and needs no files, and the options as Beam
// spells them.
func TestSubmit(t *testing.T) {
	s, o := startJobServer(t)
	o.Name, o.Parallelism, o.Checkpoints, o.More = "shop", 4, 1500*time.Millisecond, map[string]string{"state_backend": "rocksdb"}
	job, err := flink.Submit(t.Context(), realtime(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer job.Close()
	if state, err := job.State(t.Context()); err != nil || state != "RUNNING" || job.ID != "job of p" {
		t.Errorf("job %q is %s, %v", job.ID, state, err)
	}
	want := map[string]any{
		"runner": "flink", "job_name": "shop", "app_name": "shop", "streaming": true, "experiments": []any{"beam_fn_api"},
		"parallelism": "4", "max_parallelism": "4", "sdk_worker_parallelism": "1", "number_of_execution_retries": "1000000000",
		"execution_retry_delay": "200", "max_bundle_time_mills": "20", "max_bundle_size": "1000", "checkpointing_interval": "1500",
		"checkpoint_timeout_millis": "10000", "finish_bundle_before_checkpointing": true, "state_backend": "rocksdb",
	}
	got := map[string]any{}
	for name, value := range s.prepared.GetPipelineOptions().AsMap() {
		got[strings.TrimSuffix(strings.TrimPrefix(name, "beam:option:"), ":v1")] = value
	}
	if diff := cmp.Diff(want, got); diff != "" || s.prepared.GetJobName() != "shop" {
		t.Errorf("job %q: %s", s.prepared.GetJobName(), diff)
	}
	environments := s.prepared.GetPipeline().GetComponents().GetEnvironments()
	for _, e := range environments {
		var payload pipepb.ExternalPayload
		if err := proto.Unmarshal(e.GetPayload(), &payload); err != nil {
			t.Fatal(err)
		}
		if e.GetUrn() != "beam:env:external:v1" || payload.GetEndpoint().GetUrl() != o.Pool || len(e.GetDependencies()) > 0 {
			t.Errorf("environment %v", e)
		}
	}
	if len(environments) != 1 {
		t.Errorf("%d environments", len(environments))
	}
}

// No two splittable DoFns have inputs with the same coder, though all of them begin with an Impulse.
func TestSubmitSeparatesSources(t *testing.T) {
	s, o := startJobServer(t)
	job, err := flink.Submit(t.Context(), realtime(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer job.Close()
	c := s.prepared.GetPipeline().GetComponents()
	coders := map[string]string{}
	for _, step := range c.GetTransforms() {
		var payload pipepb.ParDoPayload
		if step.GetSpec().GetUrn() != "beam:transform:pardo:v1" || proto.Unmarshal(step.GetSpec().GetPayload(), &payload) != nil || payload.GetRestrictionCoderId() == "" {
			continue
		}
		coder := c.GetPcollections()[slices.Collect(maps.Values(step.GetInputs()))[0]].GetCoderId()
		if other := coders[coder]; other != "" {
			t.Errorf("%s and %s share the coder %s", other, step.GetUniqueName(), coder)
		}
		if urn := c.GetCoders()[coder].GetSpec().GetUrn(); urn != "beam:coder:bytes:v1" {
			t.Errorf("%s reads %q", step.GetUniqueName(), urn)
		}
		coders[coder] = step.GetUniqueName()
	}
	if len(coders) != 2 {
		t.Errorf("%d sources: %v", len(coders), coders)
	}

	p, root := beam.NewPipelineWithRoot()
	impulse := beam.Impulse(root)
	beam.ParDo(root, &countFn{}, impulse)
	beam.ParDo(root, &countFn{}, impulse)
	if _, err := flink.Submit(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "split the same collection") {
		t.Errorf("two sources on one Impulse: %v", err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	s, good := startJobServer(t)
	for _, c := range []struct {
		name, want string
		change     func(*flink.Options)
	}{
		{"misspelt", `no option state_backand (did you mean "state_backend"?)`, func(o *flink.Options) { o.More = map[string]string{"state_backand": "rocksdb"} }},
		{"unheard of", "no option colour", func(o *flink.Options) { o.More = map[string]string{"colour": "blue"} }},
		{"has a field", "parallelism has a field", func(o *flink.Options) { o.More = map[string]string{"parallelism": "3"} }},
		{"no job server", "address of the job server", func(o *flink.Options) { o.JobServer = "" }},
		{"no pool", "address of the worker pool", func(o *flink.Options) { o.Pool = "127.0.0.1" }},
		{"parallelism", "a parallelism of 5 and at most 3", func(o *flink.Options) { o.Parallelism, o.MaxParallelism = 5, 3 }},
		{"key groups", "at most 40000", func(o *flink.Options) { o.MaxParallelism = 40_000 }},
		{"workers", "-1 workers", func(o *flink.Options) { o.WorkersPerTaskManager = -1 }},
		{"checkpoints", "10ms at least", func(o *flink.Options) { o.Checkpoints = time.Millisecond }},
		{"time for checkpoints", "10ms at least", func(o *flink.Options) { o.CheckpointTimeout = -time.Second }},
		{"restarts", "-1 restarts", func(o *flink.Options) { o.Restarts = -1 }},
		{"bundles", "bundles of 10µs", func(o *flink.Options) { o.BundleTime = 10 * time.Microsecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			if _, err := flink.Submit(t.Context(), realtime(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if s.prepared != nil {
				t.Error("the job server heard of it")
			}
		})
	}
	s.refuse = errors.New("number format")
	if _, err := flink.Submit(t.Context(), realtime(), good); err == nil || !strings.Contains(err.Error(), "number format") {
		t.Errorf("error %v", err)
	}
}

func TestNoCheckpoints(t *testing.T) {
	s, o := startJobServer(t)
	o.Checkpoints = -1
	job, err := flink.Submit(t.Context(), realtime(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer job.Close()
	for name := range s.prepared.GetPipelineOptions().GetFields() {
		if strings.Contains(name, "checkpoint") {
			t.Errorf("option %s", name)
		}
	}
}

func TestWait(t *testing.T) {
	state := func(s jobpb.JobState_Enum) *jobpb.JobMessagesResponse {
		return &jobpb.JobMessagesResponse{Response: &jobpb.JobMessagesResponse_StateResponse{StateResponse: &jobpb.JobStateEvent{State: s}}}
	}
	said := func(text string, i jobpb.JobMessage_MessageImportance) *jobpb.JobMessagesResponse {
		return &jobpb.JobMessagesResponse{Response: &jobpb.JobMessagesResponse_MessageResponse{MessageResponse: &jobpb.JobMessage{MessageText: text, Importance: i}}}
	}
	running, failed := state(jobpb.JobState_RUNNING), state(jobpb.JobState_FAILED)
	for _, c := range []struct {
		name     string
		messages []*jobpb.JobMessagesResponse
		want     string // of the error
		failed   bool
	}{
		{"done", []*jobpb.JobMessagesResponse{running, state(jobpb.JobState_DONE)}, "", false},
		{"cancelled", []*jobpb.JobMessagesResponse{running, said("a slip", jobpb.JobMessage_JOB_MESSAGE_ERROR), state(jobpb.JobState_CANCELLED)}, "", false},
		{"why, then failed", []*jobpb.JobMessagesResponse{running, said("a reason", jobpb.JobMessage_JOB_MESSAGE_ERROR), failed}, "a reason", true},
		{"failed, then why", []*jobpb.JobMessagesResponse{running, failed, said("hm", jobpb.JobMessage_JOB_MESSAGE_BASIC), said("a reason", jobpb.JobMessage_JOB_MESSAGE_ERROR)}, "a reason", true},
		{"failed, nobody knows why", []*jobpb.JobMessagesResponse{running, failed}, "the job failed", true},
		{"no end", []*jobpb.JobMessagesResponse{running}, "nothing more to say", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, o := startJobServer(t)
			s.messages = c.messages
			job, err := flink.Submit(t.Context(), realtime(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer job.Close()
			err = job.Wait(t.Context())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || errors.Is(err, flink.ErrFailed) != c.failed {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
