// Package doctor finds out whether Braid can run here: in go the files as they were read, out come findings, one per thing looked at,
// each with what to do about it. It changes nothing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/segment"
)

// State is how well a thing is.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // it works, but look at it
	Fail State = "fail" // Braid cannot run like this
)

// Finding is what there is to say about one thing.
type Finding struct {
	Subject string `json:"subject"`
	State   State  `json:"state"`
	Text    string `json:"text"`
	Next    string `json:"next,omitempty"` // what to do
}

// Options are what is known already.
type Options struct {
	Version         string // of the binary
	DeploymentFile  string // empty: none is needed
	Deployment      *deployment.Config
	DeploymentError error
	SegmentFile     string
	Segment         *segment.Segment
	SegmentError    error
	// Compare compares the planned topics with those that are there; it must not create any when create is false.
	Compare func(ctx context.Context, c *deployment.Config, specs []topics.Spec, create bool) (topics.Report, error)
	// Logger receives what the things looked at log themselves. Default slog.Default.
	Logger *slog.Logger
}

// examination collects the findings.
type examination struct {
	Options
	findings []Finding
	running  bool // a node runs on the data directory
}

func (e *examination) say(subject string, state State, next, format string, args ...any) {
	e.findings = append(e.findings, Finding{Subject: subject, State: state, Text: fmt.Sprintf(format, args...), Next: next})
}

// Examine looks at everything and returns the findings in a fixed order.
func Examine(ctx context.Context, o Options) []Finding {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	e := &examination{Options: o}
	e.say("braid", OK, "", "%s, %s on %s/%s, %d processors", o.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	e.files()
	e.limits()
	if o.Deployment != nil {
		e.data()
		e.listen(ctx)
		e.kafka(ctx)
		e.store(ctx)
	}
	e.programs()
	return e.findings
}

// Failed reports whether any finding is a failure.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.State == Fail {
			return true
		}
	}
	return false
}

func (e *examination) files() {
	switch {
	case e.SegmentError != nil:
		e.say("segment.yaml", Fail, "put it right, then 'braid validate'", "%v", e.SegmentError)
	default:
		e.say("segment.yaml", OK, "", "%s: segment %s", e.SegmentFile, e.Segment.Name)
	}
	switch {
	case e.DeploymentError != nil:
		e.say("braid.yaml", Fail, "put it right, then 'braid validate'", "%v", e.DeploymentError)
	case e.DeploymentFile == "":
		e.say("braid.yaml", OK, "", "there is none: everything is embedded under %s", e.Deployment.Data)
	default:
		e.say("braid.yaml", OK, "", "%s", e.DeploymentFile)
	}
}

func (e *examination) kafka(ctx context.Context) {
	c := e.Deployment
	if c.Kafka.Embedded != nil && c.Kafka.Embedded.Port != 0 && !e.running {
		e.port("kafka port", fmt.Sprintf("127.0.0.1:%d", c.Kafka.Embedded.Port), "stop what has it, or choose another kafka.embedded.port")
	}
	if e.Segment == nil {
		return
	}
	specs, err := topics.Plan(e.Segment.Name, c.TopicOptions())
	if err != nil {
		e.say("topics", Fail, "", "%v", err)
		return
	}
	report, err := e.Compare(ctx, c, specs, false)
	where := "embedded broker"
	if c.Kafka.Embedded == nil {
		where = fmt.Sprintf("brokers %v", c.Kafka.Brokers)
	}
	if err != nil {
		next := "check kafka.brokers, tls and sasl in braid.yaml, and that the cluster is up"
		if c.Kafka.Embedded != nil {
			next = "see what the data directory says above"
		}
		e.say("kafka", Fail, next, "%s: %v", where, err)
		return
	}
	e.say("kafka", OK, "", "%s", where)
	switch {
	case len(report.Differences) > 0:
		e.say("topics", Warn, "see 'braid topics'", "%d settings differ from the plan, the first: %v", len(report.Differences), report.Differences[0])
	case len(report.Missing) == len(specs):
		e.say("topics", OK, "", "none yet; 'braid run' makes them")
	case len(report.Missing) > 0:
		e.say("topics", Warn, "braid topics --create", "missing: %v", report.Missing)
	default:
		e.say("topics", OK, "", "all %d as planned", len(specs))
	}
}

// unwrapped returns the innermost error, whose text is the shortest.
func unwrapped(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
