// Package node is one running Braid: broker, store, pipelines, marker controller and HTTP server, wired by a deployment.
//
// In go the two files, where things run and what is computed; out comes a Node that works until it is stopped or something breaks
// for good. By default everything is embedded in this process.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/extension"
	_ "github.com/braidhq/braid/io/catalogues" // opens catalogues
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/epochs"
	"github.com/braidhq/braid/io/kafkaio"
	_ "github.com/braidhq/braid/io/store/memory" // opens memory: stores
	_ "github.com/braidhq/braid/io/store/pebble" // opens pebble: stores
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/serving"
	"github.com/braidhq/braid/serving/task"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// Options say what a node runs.
type Options struct {
	Deployment *deployment.Config
	Segment    *segment.Segment
	Extensions extension.Set
	// Hold keeps the pipelines from starting until Release is called.
	Hold bool
	// Now is the process's clock: receive time of what ingest takes, time of markers and ticks. Default time.Now.
	Now func() time.Time
	// Logger receives what operators should know. Default slog.Default.
	Logger *slog.Logger
}

// Node is a running Braid.
type Node struct {
	options    Options
	client     kafkaio.Client
	events     string // topic
	broker     *embedded.Broker
	admin      *kgo.Client
	producer   *kgo.Client
	archive    clickhouseio.Client // the segment's database; without a URL: nothing is archived
	analyst    string              // URL for analysts, of an embedded server
	noTables   atomic.Bool         // ClickHouse was away at the start, and its tables have to wait
	snapshots  *snapshot.Directory // what batch runs found
	config     *update.Config      // with that
	controller *epochs.Controller
	tasks      *task.Board
	store      update.Store
	reader     *update.Reader
	mu         sync.Mutex // guards jobs
	jobs       []job
	server     *serving.Server
	figures    *Figures
	metrics    *prometheus.Registry
	cleanups   []func()

	stopping context.CancelFunc // ends the parts that are not pipelines
	lifetime context.Context    // that they have
	parts    *errgroup.Group
	stopped  chan struct{}
}

// job is a pipeline that runs.
type job struct {
	name   string
	engine *direct.Engine
	behind bool // answers do not wait for it: it may fail while the node is ready
}

// Start brings a node up. The context bounds the start only; Stop ends the node.
func Start(ctx context.Context, options Options) (_ *Node, err error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	n := &Node{
		options: options, events: topics.Name(options.Segment.Name, topics.Events), metrics: prometheus.NewRegistry(),
		stopped: make(chan struct{}), tasks: task.NewBoard(),
	}
	defer func() {
		if err != nil {
			n.free()
		}
	}()
	for _, step := range []func(context.Context) error{
		n.checkPrepare, n.startBroker, n.openSnapshots, n.openStore, n.ensureTopics, n.checkStream, n.alignOffsets, n.openArchive, n.startFigures, n.startParts, n.startUnheld, n.publish,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *Node) cleanup(f func()) { n.cleanups = append(n.cleanups, f) }

func (n *Node) free() {
	for i := len(n.cleanups) - 1; i >= 0; i-- {
		n.cleanups[i]()
	}
	n.cleanups = nil
}

func (n *Node) startBroker(ctx context.Context) error {
	d := n.options.Deployment
	lock, err := embedded.LockDirectory(d.Data)
	if err != nil {
		return err
	}
	n.cleanup(func() { lock.Release() })
	n.client = d.Client()
	if d.Kafka.Embedded != nil {
		if n.broker, err = embedded.StartBroker(ctx, d.Broker(n.options.Logger)); err != nil {
			return err
		}
		n.cleanup(func() { n.broker.Close() })
		n.client = d.Client(n.broker.Addresses()...)
	}
	options, err := n.client.Options()
	if err != nil {
		return err
	}
	options = append(options, kgo.MetadataMinAge(50*time.Millisecond), kgo.DisableClientMetrics()) // it soon sees the topics that it made
	if n.admin, err = kgo.NewClient(options...); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	n.cleanup(n.admin.Close)
	return nil
}

func (n *Node) ensureTopics(ctx context.Context) error {
	specs, err := topics.Plan(n.options.Segment.Name, n.options.Deployment.TopicOptions())
	if err != nil {
		return err
	}
	report, err := topics.Ensure(ctx, kadm.NewClient(n.admin), specs)
	if err != nil {
		return err
	}
	for _, d := range report.Differences {
		n.options.Logger.Warn("topic differs from what it should be", "difference", fmt.Sprint(d))
	}
	return n.ensureRaw(ctx, specs)
}

// ensureRaw makes sure that the raw topics are there. In the embedded broker they are created like the topic of events; in a cluster
// they belong to others, who decide on their settings.
func (n *Node) ensureRaw(ctx context.Context, specs []topics.Spec) error {
	d := n.options.Deployment
	if len(d.Prepare.Topics) == 0 {
		return nil
	}
	raw, err := topics.Find(specs, topics.Events)
	if err != nil {
		return err
	}
	raw.Purpose = "raw records, input of the prepare job"
	var all []topics.Spec
	for _, raw.Name = range d.RawTopics() {
		all = append(all, raw)
	}
	admin := kadm.NewClient(n.admin)
	if d.Kafka.Embedded != nil {
		_, err := topics.Ensure(ctx, admin, all)
		return err
	}
	report, err := topics.Compare(ctx, admin, all)
	if err == nil && len(report.Missing) > 0 {
		err = fmt.Errorf("raw topics are missing: %s; create them, or take them out of prepare.topics in braid.yaml", strings.Join(report.Missing, ", "))
	}
	return err
}

// checkPrepare refuses a deployment whose prepare job cannot work.
func (n *Node) checkPrepare(context.Context) error {
	return n.options.Deployment.CheckPrepare(n.options.Segment.Name, n.options.Extensions.TransformNames())
}

func (n *Node) openStore(ctx context.Context) error {
	store, err := update.OpenStore(ctx, n.options.Deployment.StoreURL())
	if err != nil {
		return err
	}
	n.cleanup(func() { store.Close() })
	n.store = store
	n.reader = update.NewReader(n.config, store)
	return n.claim(ctx)
}

// startParts starts what runs beside the pipelines: the marker controller and the HTTP server.
func (n *Node) startParts(ctx context.Context) error {
	options, err := n.client.Options()
	if err != nil {
		return err
	}
	controller, err := epochs.New(n.epochsConfig(), options...)
	if err != nil {
		return err
	}
	n.controller = controller
	n.cleanup(controller.Close)
	if err := controller.Step(ctx); err != nil {
		return err
	}
	if err := n.wake(ctx, controller); err != nil {
		return err
	}
	if err := n.startServer(options); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	n.stopping = cancel
	n.parts, running = errgroup.WithContext(running)
	n.lifetime = running
	n.parts.Go(func() error { return controller.Run(running) })
	n.parts.Go(func() error { return n.server.Serve(running) })
	n.parts.Go(func() error { return n.schedule(running) })
	n.cleanup(func() {
		cancel()
		n.parts.Wait()
	})
	return nil
}

func (n *Node) startUnheld(ctx context.Context) error {
	if n.options.Hold {
		return nil
	}
	return n.startJobs(ctx)
}

// Release starts the pipelines of a node that was started with Hold. It is called once, before Wait.
func (n *Node) Release(ctx context.Context) error { return n.startJobs(ctx) }

// publish leaves word in the data directory where the node can be reached.
func (n *Node) publish(context.Context) error {
	withdraw, err := n.options.Deployment.Publish(deployment.Endpoints{
		Process: os.Getpid(), Segment: n.options.Segment.Name, HTTP: n.server.Address(), Kafka: n.client.Brokers, ClickHouse: n.analyst,
	})
	if err != nil {
		return err
	}
	n.cleanup(func() { withdraw() })
	return nil
}

// segmentFile is the segment as the pipelines carry it.
func (n *Node) segmentFile() (transforms.Segment, error) {
	text, err := n.options.Segment.Canonical()
	return transforms.Segment{File: "segment.yaml", Text: string(text), Snapshots: snapshot.URL(n.options.Deployment.SnapshotsDir())}, err
}

// Wait returns when the node has ended: nil after Stop, else what broke for good.
func (n *Node) Wait() error {
	jobs := n.running()
	failed := make(chan error, len(jobs))
	for _, j := range jobs {
		go func() {
			err := j.engine.Wait()
			switch {
			case err == nil || errors.Is(err, direct.ErrCancelled):
			case j.behind:
				n.options.Logger.Error("a job has ended, the others go on without it", "job", j.name, "error", n.advise(err))
			default:
				failed <- fmt.Errorf("%s: %w", j.name, n.advise(err))
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-n.stopped:
		return nil
	}
}

// Stop ends the node: ingest first, then the pipelines after the bundles under way, then the rest. When ctx ends before that, what
// still runs is cut off; nothing is lost by it, for what was not committed is done again.
func (n *Node) Stop(ctx context.Context) error {
	var errs []error
	n.stopping()
	n.tasks.Close()
	errs = append(errs, n.parts.Wait())
	for _, j := range n.running() {
		if err := j.engine.Drain(ctx); err != nil && !errors.Is(err, direct.ErrCancelled) {
			j.engine.Cancel()
			errs = append(errs, fmt.Errorf("%s: %w", j.name, err))
		}
	}
	close(n.stopped)
	n.free()
	return errors.Join(errs...)
}

// Address returns where the HTTP server listens, HOST:PORT.
func (n *Node) Address() string { return n.server.Address() }

// Kafka returns how to reach the broker.
func (n *Node) Kafka() kafkaio.Client { return n.client }

// Reader returns the reader of the node's profiles.
func (n *Node) Reader() *update.Reader { return n.reader }

// Figures returns what the node counts.
func (n *Node) Figures() *Figures { return n.figures }

// Events returns the name of the topic of events.
func (n *Node) Events() string { return n.events }
