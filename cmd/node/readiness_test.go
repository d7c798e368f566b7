package node_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/extension"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/transforms/event"
)

func init() {
	register.Function2x1(moody)
	register.Emitter1[event.Draft]()
}

// mood is the error of the transform moody, when it is set.
var mood atomic.Pointer[error]

// moody passes drafts on, or fails.
func moody(d event.Draft, emit func(event.Draft)) error {
	if err := mood.Load(); err != nil {
		return *err
	}
	emit(d)
	return nil
}

type permanent struct{}

func (permanent) Error() string   { return "never again" }
func (permanent) Permanent() bool { return true }

// withRaw adds a raw topic, and moody to read it.
func withRaw(o node.Options) node.Options {
	o.Deployment.Prepare.Topics = []deployment.Topic{"raw.visits"}
	o.Extensions.Transforms = []extension.Transform{{Name: "moody", Func: func(s beam.Scope, drafts beam.PCollection) beam.PCollection {
		return beam.ParDo(s, moody, drafts)
	}}}
	return o
}

const rawVisit = `{"event_id":"raw-1","table":"page_view","identifiers":{"user_id":"7"}}`

func TestNotReadyWhileABundleFails(t *testing.T) {
	trouble := errors.New("no mood for this")
	mood.Store(&trouble)
	defer mood.Store(nil)
	n := run(t, withRaw(options(t)))
	ready(t, n, "pipelines", "ok")
	produce(t, n, "raw.visits", rawVisit)
	ready(t, n, "pipelines", "moody")
	ready(t, n, "pipelines", "no mood for this")
	metric(t, n, "braid_bundles_failing", "1")
	metric(t, n, `braid_lag_records{partition="*",topic="raw.visits"}`, "1")
	mood.Store(nil)
	ready(t, n, "pipelines", "ok")
	get(t, n, "/v1/profiles/customer_id/7", 1) // and nothing is lost
}

func TestNotReadyAfterAPipelineEndedForGood(t *testing.T) {
	var trouble error = permanent{}
	mood.Store(&trouble)
	defer mood.Store(nil)
	n := run(t, withRaw(options(t)))
	produce(t, n, "raw.visits", rawVisit)
	if err := n.Wait(); err == nil || !strings.Contains(err.Error(), "prepare: ") || !strings.Contains(err.Error(), "never again") {
		t.Error(err)
	}
	ready(t, n, "pipelines", "prepare has ended")
}

func TestNotReadyBeforePipelinesRun(t *testing.T) {
	o := options(t)
	o.Hold = true
	n := run(t, o)
	ready(t, n, "pipelines", "not started yet")
	if err := n.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready(t, n, "pipelines", "ok")
}

func TestNotReadyWithoutStore(t *testing.T) {
	o := options(t)
	o.Deployment.Store = "flaky:"
	n := run(t, o)
	ready(t, n, "store", "ok")
	trouble := errors.New("the disk is away")
	storeTrouble.Store(&trouble)
	defer storeTrouble.Store(nil)
	ready(t, n, "store", "the disk is away")
	storeTrouble.Store(nil)
	ready(t, n, "store", "ok")
}

func TestNotReadyWithoutBroker(t *testing.T) {
	c, brokers := cluster(t)
	o := options(t)
	o.Deployment.Kafka.Embedded, o.Deployment.Kafka.Brokers = nil, brokers
	n := run(t, o)
	ready(t, n, "broker", "ok")
	c.Close()
	ready(t, n, "broker", "")
	if status, text := ask(t, n, "/metrics"); status != 200 || strings.Contains(text, "braid_lag_records{") {
		t.Errorf("%d, the lag is told without a broker", status)
	}
}

// What cannot work is refused at the start.
func TestStartRefuses(t *testing.T) {
	_, brokers := cluster(t, "raw.visits")
	for name, test := range map[string]struct {
		change func(*node.Options)
		want   string
	}{
		"transforms without topics": {func(o *node.Options) { o.Deployment.Prepare.Topics = nil }, "add 'prepare: {topics:"},
		"the segment's own topic":   {func(o *node.Options) { o.Deployment.Prepare.Topics[0] = "braid.retail.events" }, "prepare.topics"},
		"topics of a cluster that are not there": {func(o *node.Options) {
			o.Deployment.Kafka.Embedded, o.Deployment.Kafka.Brokers = nil, brokers
			o.Deployment.Prepare.Topics = append(o.Deployment.Prepare.Topics, "raw.b", "raw.c")
		}, "raw topics are missing: raw.b, raw.c; create them"},
	} {
		t.Run(name, func(t *testing.T) {
			o := withRaw(options(t))
			test.change(&o)
			n, err := node.Start(context.Background(), o)
			if err == nil {
				stop(t, n)
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Error(err)
			}
		})
	}
}
