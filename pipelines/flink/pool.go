package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"google.golang.org/grpc"
)

// PoolOptions say how a pool is reached and what it starts.
type PoolOptions struct {
	// Listen is the address of the pool, HOST:PORT; port 0 takes a free one; default 127.0.0.1:50000.
	Listen string
	// BeyondLoopback permits a Listen address that other machines reach. Whoever reaches the pool can have it start workers.
	BeyondLoopback bool
	// Command is the program that becomes a worker, and its first arguments; those of Worker.Arguments follow. Its standard input is
	// the lifeline of Worker.Run.
	Command []string
	// Output receives what workers write; default os.Stderr.
	Output io.Writer
	// Logger receives which workers come and go; default slog.Default.
	Logger *slog.Logger
}

// Pool starts worker processes for task managers.
type Pool struct {
	options  PoolOptions
	listener net.Listener
	server   *grpc.Server
	served   chan error

	mu      sync.Mutex
	workers map[string]*process // by worker ID; nil once the pool is closed
}

// process is a running worker.
type process struct {
	command  *exec.Cmd
	lifeline io.Closer
	ended    chan struct{}
}

// StartPool starts a pool; it works until Close.
func StartPool(options PoolOptions) (*Pool, error) {
	if options.Listen == "" {
		options.Listen = "127.0.0.1:50000"
	}
	if options.Output == nil {
		options.Output = os.Stderr
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if len(options.Command) == 0 {
		return nil, errors.New("flink: a pool needs the command that becomes a worker")
	}
	host, _, err := net.SplitHostPort(options.Listen)
	if err != nil {
		return nil, fmt.Errorf("flink: worker pool: %w", err)
	}
	if !options.BeyondLoopback && !loopback(host) {
		return nil, fmt.Errorf("flink: other machines reach a worker pool at %q and could start processes; use 127.0.0.1, or permit it on purpose", options.Listen)
	}
	p := &Pool{options: options, server: grpc.NewServer(), served: make(chan error, 1), workers: map[string]*process{}}
	if p.listener, err = net.Listen("tcp", options.Listen); err != nil {
		return nil, fmt.Errorf("flink: worker pool: %w", err)
	}
	fnpb.RegisterBeamFnExternalWorkerPoolServer(p.server, poolServer{pool: p})
	go func() { p.served <- p.server.Serve(p.listener) }()
	return p, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// Address returns where the pool is reached, HOST:PORT.
func (p *Pool) Address() string { return p.listener.Addr().String() }

// Wait returns why the pool cannot be reached any more; after Close that is nil.
func (p *Pool) Wait() error { return <-p.served }

// Close ends the pool and all its workers at once; what they were at, Flink does again elsewhere.
func (p *Pool) Close() {
	p.server.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		w.kill()
	}
	p.workers = nil
}

// poolServer is the pool as task managers see it.
type poolServer struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer
	pool *Pool
}

// StartWorker starts a worker, instead of the one that has its ID.
func (s poolServer) StartWorker(_ context.Context, request *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	w := Worker{
		ID: request.GetWorkerId(), Control: request.GetControlEndpoint().GetUrl(), Provision: request.GetProvisionEndpoint().GetUrl(),
	}
	if err := s.pool.start(w); err != nil {
		s.pool.options.Logger.Error("worker does not start", "id", w.ID, "error", err)
		return &fnpb.StartWorkerResponse{Error: err.Error()}, nil
	}
	return &fnpb.StartWorkerResponse{}, nil
}

// StopWorker ends a worker. One that is not there has ended.
func (s poolServer) StopWorker(_ context.Context, request *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	s.pool.stop(request.GetWorkerId())
	return &fnpb.StopWorkerResponse{}, nil
}

func (p *Pool) start(w Worker) error {
	if err := w.Validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers == nil {
		return errors.New("flink: the pool is closing")
	}
	if old := p.workers[w.ID]; old != nil {
		p.options.Logger.Warn("worker is replaced", "id", w.ID, "pid", old.command.Process.Pid)
		old.kill()
	}
	c := exec.Command(p.options.Command[0], append(p.options.Command[1:len(p.options.Command):len(p.options.Command)], w.Arguments()...)...)
	c.Stdout, c.Stderr = p.options.Output, p.options.Output
	lifeline, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	n := &process{command: c, lifeline: lifeline, ended: make(chan struct{})}
	p.workers[w.ID] = n
	p.options.Logger.Info("worker started", "id", w.ID, "pid", c.Process.Pid, "control", w.Control)
	go p.watch(w.ID, n)
	return nil
}

// watch waits for the end of a worker, which may have been nobody's wish.
func (p *Pool) watch(id string, n *process) {
	err := n.command.Wait()
	close(n.ended)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers[id] != n {
		return
	}
	delete(p.workers, id)
	if err != nil {
		p.options.Logger.Warn("worker died", "id", id, "pid", n.command.Process.Pid, "error", err)
	} else {
		p.options.Logger.Info("worker ended", "id", id, "pid", n.command.Process.Pid)
	}
}

func (p *Pool) stop(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.workers[id]; n != nil {
		delete(p.workers, id)
		n.kill()
		p.options.Logger.Info("worker stopped", "id", id, "pid", n.command.Process.Pid)
	}
}

// kill ends a process and waits until it is gone.
func (n *process) kill() {
	_ = n.command.Process.Kill() // it may have ended
	_ = n.lifeline.Close()
	<-n.ended
}
