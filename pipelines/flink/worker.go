package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Worker says for whom a worker process works: what a task manager tells the pool. Addresses are HOST:PORT.
type Worker struct {
	ID        string
	Control   string // where bundles come from
	Provision string // where to ask what the runner can do; empty: it can do nothing special
}

// Arguments are the flags by which the command of a pool tells its process for whom it works.
func (w Worker) Arguments() []string {
	return []string{"--id=" + w.ID, "--control=" + w.Control, "--provision=" + w.Provision}
}

// Validate reports what is missing.
func (w Worker) Validate() error {
	switch {
	case w.ID == "":
		return errors.New("flink: a worker without an ID")
	case w.Control == "":
		return fmt.Errorf("flink: worker %q lacks the address that bundles come from", w.ID)
	}
	return nil
}

// Run works until the task manager ends it, which is no error, or the lifeline ends, on which nothing is ever sent: the pool holds
// the other end, so a worker does not outlive it. It may be called once in a process.
func (w Worker) Run(ctx context.Context, lifeline io.Reader) error {
	if err := w.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(grpcx.WriteWorkerID(ctx, w.ID))
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		cancel(errPoolGone)
	}()
	options, err := w.provision(ctx)
	if err != nil {
		return fmt.Errorf("flink: worker %q: what the runner can do: %w", w.ID, err)
	}
	// The log of a worker goes where that of the pool does, rather than to the task manager as well.
	hooks.DisableHook(harness.DefaultRemoteLoggingHook)
	hooks.SerializeHooksToOptions()
	err = harness.MainWithOptions(ctx, "", w.Control, options)
	switch gone := context.Cause(ctx); {
	case err == nil:
		return nil
	case gone != nil:
		return fmt.Errorf("flink: worker %q: %w", w.ID, gone)
	case status.Code(err) == codes.Canceled: // by the task manager, when its job has ended
		return nil
	}
	return fmt.Errorf("flink: worker %q: %w", w.ID, err)
}

var errPoolGone = errors.New("the pool is gone")

func (w Worker) provision(ctx context.Context) (harness.Options, error) {
	if w.Provision == "" {
		return harness.Options{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	connection, err := grpc.NewClient(w.Provision, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.WaitForReady(true)))
	if err != nil {
		return harness.Options{}, err
	}
	defer connection.Close()
	answer, err := fnpb.NewProvisionServiceClient(connection).GetProvisionInfo(ctx, &fnpb.GetProvisionInfoRequest{})
	if err != nil {
		return harness.Options{}, err
	}
	return harness.Options{
		RunnerCapabilities: answer.GetInfo().GetRunnerCapabilities(), StatusEndpoint: answer.GetInfo().GetStatusEndpoint().GetUrl(),
	}, nil
}
