package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// submitTimeout is how long a job server may take for all steps of a submission; it may have to send its jars to the cluster.
const submitTimeout = 5 * time.Minute

// Job is a job that was handed to Flink.
type Job struct {
	// ID is the job server's name for it; Flink has another one, see Cluster.
	ID string

	connection *grpc.ClientConn
	client     jobpb.JobServiceClient
}

// Submit hands a pipeline to Flink and returns once the job server has taken it; Wait tells what becomes of it. Close the job when it
// is not looked at any more; it goes on.
func Submit(ctx context.Context, p *beam.Pipeline, options Options) (*Job, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	request, err := prepare(ctx, p, options)
	if err != nil {
		return nil, fmt.Errorf("flink: pipeline: %w", err)
	}
	connection, err := grpc.NewClient(options.JobServer, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.WaitForReady(true)))
	if err != nil {
		return nil, fmt.Errorf("flink: job server: %w", err)
	}
	j := &Job{connection: connection, client: jobpb.NewJobServiceClient(connection)}
	if err := j.submit(ctx, request, options); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return j, nil
}

// prepare is the request for a pipeline, without the options. Its environment has no artifacts: workers have the binary.
func prepare(ctx context.Context, p *beam.Pipeline, options Options) (*jobpb.PrepareJobRequest, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, err
	}
	environment, err := graphx.CreateEnvironment(ctx, graphx.URNEnvExternal, func(context.Context) string { return options.Pool })
	if err != nil {
		return nil, err
	}
	environment.Dependencies = nil
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err == nil {
		err = separate(pipeline)
	}
	if err != nil {
		return nil, err
	}
	return &jobpb.PrepareJobRequest{Pipeline: pipeline, JobName: options.Name}, nil
}

func (j *Job) submit(ctx context.Context, request *jobpb.PrepareJobRequest, options Options) error {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	known, err := j.client.DescribePipelineOptions(ctx, &jobpb.DescribePipelineOptionsRequest{})
	if err != nil {
		return fmt.Errorf("flink: the job server at %s does not answer: %w", options.JobServer, err)
	}
	names := make([]string, len(known.GetOptions()))
	for i, o := range known.GetOptions() {
		names[i] = o.GetName()
	}
	if request.PipelineOptions, err = options.message(names); err != nil {
		return err
	}
	prepared, err := j.client.Prepare(ctx, request)
	if err != nil {
		return fmt.Errorf("flink: the job server refuses the pipeline, or an option's value; its log says more: %w", err)
	}
	run, err := j.client.Run(ctx, &jobpb.RunJobRequest{
		PreparationId: prepared.GetPreparationId(), RetrievalToken: prepared.GetStagingSessionToken(),
	})
	if err != nil {
		return fmt.Errorf("flink: the job server cannot start the job; its log says more: %w", err)
	}
	j.ID = run.GetJobId()
	return nil
}

// State is the state of a job as the job server tells it. While Flink starts a job again, it says RUNNING.
func (j *Job) State(ctx context.Context) (string, error) {
	state, err := j.client.GetState(ctx, &jobpb.GetJobStateRequest{JobId: j.ID})
	if err != nil {
		return "", fmt.Errorf("flink: state of job %s: %w", j.ID, err)
	}
	return state.GetState().String(), nil
}

// ErrFailed is wrapped by the error of a job that Flink has given up.
var ErrFailed = errors.New("the job failed")

// Wait waits until the job has ended. The error is nil when it came to its end or was cancelled; otherwise it holds what the runner
// said last.
func (j *Job) Wait(ctx context.Context) error {
	messages, err := j.client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: j.ID})
	if err != nil {
		return fmt.Errorf("flink: messages of job %s: %w", j.ID, err)
	}
	failed, said := false, ""
	for {
		message, err := messages.Recv()
		switch {
		case err == nil:
		case failed && ctx.Err() == nil: // the stream ends with the job
			return fmt.Errorf("flink: job %s: %w: %s", j.ID, ErrFailed, said)
		case errors.Is(err, io.EOF):
			return fmt.Errorf("flink: job %s: the job server has nothing more to say", j.ID)
		default:
			return fmt.Errorf("flink: messages of job %s: %w", j.ID, err)
		}
		if m := message.GetMessageResponse(); m.GetImportance() >= jobpb.JobMessage_JOB_MESSAGE_ERROR {
			said = m.GetMessageText()
		}
		switch message.GetStateResponse().GetState() {
		case jobpb.JobState_DONE, jobpb.JobState_CANCELLED, jobpb.JobState_DRAINED:
			return nil
		case jobpb.JobState_FAILED:
			failed = true
		}
		if failed && said != "" {
			return fmt.Errorf("flink: job %s: %w: %s", j.ID, ErrFailed, said)
		}
	}
}

// Close ends the connection to the job server, not the job.
func (j *Job) Close() error { return j.connection.Close() }
