package flink_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/braidhq/braid/pipelines/flink"
)

// asWorker makes the test binary a worker process.
const asWorker = "BRAID_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		var w flink.Worker
		flag.StringVar(&w.ID, "id", "", "")
		flag.StringVar(&w.Control, "control", "", "")
		flag.StringVar(&w.Provision, "provision", "", "")
		flag.Parse()
		if err := w.Run(context.Background(), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runner is a task manager as workers see it.
type runner struct {
	fnpb.UnimplementedBeamFnControlServer
	fnpb.UnimplementedProvisionServiceServer
	address  string
	came     chan *connection
	mu       sync.Mutex
	provided []string // IDs of workers that asked what the runner can do
}

// connection is a worker that has come.
type connection struct {
	id       string
	answered string        // the instruction it answered
	end      chan struct{} // close it to end the worker's job
	gone     chan struct{} // closed when the worker is gone
}

func startRunner(t *testing.T) *runner {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{address: listener.Addr().String(), came: make(chan *connection, 10)}
	server := grpc.NewServer()
	fnpb.RegisterBeamFnControlServer(server, r)
	fnpb.RegisterProvisionServiceServer(server, r)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return r
}

func workerID(ctx context.Context) string {
	values, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(values.Get("worker_id"), ",")
}

// GetProvisionInfo says that the runner can do nothing special.
func (r *runner) GetProvisionInfo(ctx context.Context, _ *fnpb.GetProvisionInfoRequest) (*fnpb.GetProvisionInfoResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.provided = append(r.provided, workerID(ctx))
	return &fnpb.GetProvisionInfoResponse{Info: &fnpb.ProvisionInfo{}}, nil
}

// Control has a worker answer one instruction and then wait.
func (r *runner) Control(stream fnpb.BeamFnControl_ControlServer) error {
	c := &connection{id: workerID(stream.Context()), end: make(chan struct{}), gone: make(chan struct{})}
	defer close(c.gone)
	if err := stream.Send(&fnpb.InstructionRequest{
		InstructionId: "first", Request: &fnpb.InstructionRequest_HarnessMonitoringInfos{HarnessMonitoringInfos: &fnpb.HarnessMonitoringInfosRequest{}},
	}); err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	c.answered = answer.GetInstructionId()
	r.came <- c
	select {
	case <-c.end:
		return status.Error(codes.Canceled, "Runner closed connection") // as Flink does
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

// patience is how long anything may take; it is far more than any needs.
const patience = time.Minute

func (r *runner) next(t *testing.T) *connection {
	t.Helper()
	select {
	case c := <-r.came:
		return c
	case <-time.After(patience):
		t.Fatal("no worker came")
		return nil
	}
}

func (c *connection) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.gone:
	case <-time.After(patience):
		t.Fatalf("worker %s is still there", c.id)
	}
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *syncBuffer) await(t *testing.T, pattern string) []string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(b.String()); found != nil {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s in\n%s", pattern, b.String())
		}
	}
}

// startPool starts a pool whose workers are this binary, and a client for it.
func startPool(t *testing.T) (*flink.Pool, fnpb.BeamFnExternalWorkerPoolClient, *syncBuffer) {
	t.Helper()
	t.Setenv(asWorker, "1")
	log := &syncBuffer{}
	pool, err := flink.StartPool(flink.PoolOptions{
		Listen: "127.0.0.1:0", Command: []string{os.Args[0]}, Output: log, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	client, err := grpc.NewClient(pool.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return pool, fnpb.NewBeamFnExternalWorkerPoolClient(client), log
}

func (r *runner) request(id string) *fnpb.StartWorkerRequest {
	at := &pipepb.ApiServiceDescriptor{Url: r.address}
	return &fnpb.StartWorkerRequest{WorkerId: id, ControlEndpoint: at, LoggingEndpoint: at, ProvisionEndpoint: at}
}

func start(t *testing.T, pool fnpb.BeamFnExternalWorkerPoolClient, request *fnpb.StartWorkerRequest) {
	t.Helper()
	answer, err := pool.StartWorker(t.Context(), request)
	if err != nil || answer.GetError() != "" {
		t.Fatalf("%v %s", err, answer.GetError())
	}
}

// A worker comes with its ID, asks what the runner can do and answers; one that is asked for again is replaced, one that is stopped is
// gone, and so are all when the pool ends.
func TestPool(t *testing.T) {
	r := startRunner(t)
	pool, client, log := startPool(t)
	start(t, client, r.request("1-1"))
	first := r.next(t)
	if first.id != "1-1" || first.answered != "first" {
		t.Errorf("worker %q answered %q", first.id, first.answered)
	}
	start(t, client, r.request("1-1"))
	first.wait(t)
	second := r.next(t)
	log.await(t, `msg="worker is replaced" id=1-1`)
	start(t, client, r.request("2-1"))
	third := r.next(t)
	for _, id := range []string{"1-1", "1-1", "never seen"} {
		if answer, err := client.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: id}); err != nil || answer.GetError() != "" {
			t.Errorf("%s: %v %s", id, err, answer.GetError())
		}
	}
	second.wait(t)
	select {
	case <-third.gone:
		t.Error("worker 2-1 is gone with the other")
	default:
	}
	pool.Close()
	third.wait(t)
	if err := pool.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := client.StartWorker(t.Context(), r.request("3-1")); err == nil {
		t.Error("a closed pool starts workers")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := []string{"1-1", "1-1", "2-1"}; fmt.Sprint(r.provided) != fmt.Sprint(want) {
		t.Errorf("%v asked what the runner can do, want %v", r.provided, want)
	}
}

// A worker that is killed is told from one whose job has ended, and another one can follow.
func TestWorkerEnds(t *testing.T) {
	r := startRunner(t)
	_, client, log := startPool(t)
	start(t, client, r.request("1-1"))
	first := r.next(t)
	id, err := strconv.Atoi(log.await(t, `msg="worker started" id=1-1 pid=(\d+)`)[1])
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(id)
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	first.wait(t)
	log.await(t, `level=WARN msg="worker died" id=1-1`)
	start(t, client, r.request("1-1"))
	second := r.next(t)
	close(second.end)
	log.await(t, `level=INFO msg="worker ended" id=1-1`)
}

// A worker does not outlive its pool, however that ended.
func TestLifeline(t *testing.T) {
	r := startRunner(t)
	c := exec.Command(os.Args[0], flink.Worker{ID: "7", Control: r.address}.Arguments()...)
	c.Env = append(os.Environ(), asWorker+"=1")
	log := &syncBuffer{}
	c.Stderr = log
	lifeline, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	connection := r.next(t)
	lifeline.Close()
	connection.wait(t)
	if err := c.Wait(); err == nil || !strings.Contains(log.String(), "the pool is gone") {
		t.Errorf("%v, %s", err, log)
	}
}

func TestPoolRefuses(t *testing.T) {
	for name, o := range map[string]flink.PoolOptions{
		"no command":      {Listen: "127.0.0.1:0"},
		"all interfaces":  {Listen: "0.0.0.0:0", Command: []string{"x"}},
		"no host":         {Listen: ":0", Command: []string{"x"}},
		"no port":         {Listen: "127.0.0.1", Command: []string{"x"}},
		"another address": {Listen: "example.com:50000", Command: []string{"x"}},
	} {
		if pool, err := flink.StartPool(o); err == nil {
			pool.Close()
			t.Errorf("%s: no error", name)
		}
	}
	pool, err := flink.StartPool(flink.PoolOptions{Listen: "0.0.0.0:0", BeyondLoopback: true, Command: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()

	r := startRunner(t)
	pool, client, _ := startPool(t)
	for name, request := range map[string]*fnpb.StartWorkerRequest{
		"no ID": r.request(""), "no address": {WorkerId: "1-1"},
	} {
		if answer, err := client.StartWorker(t.Context(), request); err != nil || answer.GetError() == "" {
			t.Errorf("%s: %v, %q", name, err, answer.GetError())
		}
	}
	pool.Close()

	pool, err = flink.StartPool(flink.PoolOptions{Listen: "127.0.0.1:0", Command: []string{"/nothing/of/that/name"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	connection, err := grpc.NewClient(pool.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if answer, err := fnpb.NewBeamFnExternalWorkerPoolClient(connection).StartWorker(t.Context(), r.request("1-1")); err != nil || answer.GetError() == "" {
		t.Errorf("a program that is not there: %v, %q", err, answer.GetError())
	}
}
