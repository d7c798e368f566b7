package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/pipelines"
	"github.com/braidhq/braid/pipelines/direct"
	"github.com/braidhq/braid/transforms"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

func epochsTopic(segment string) string { return topics.Name(segment, topics.Epochs) }

func (n *Node) startFigures(context.Context) error {
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.figures = newFigures(n.metrics)
	n.cleanup(transforms.Observe(n.figures.observe))
	n.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "braid", Name: "bundles_failing", Help: "Bundles whose last try failed and that will be tried again.",
	}, func() float64 { return float64(len(n.failing())) }), gauges{n}, buildInfo())
	return nil
}

func (n *Node) startJobs(context.Context) error {
	file, err := n.segmentFile()
	if err != nil {
		return err
	}
	d := n.options.Deployment
	realtime := pipelines.RealtimeConfig{
		Segment: file, Name: n.options.Segment.Name, Kafka: n.client, Store: d.StoreURL(),
		Workers: d.Runner.Workers, MaxRecords: d.Runner.MaxRecords, MaxDelay: time.Duration(d.Runner.MaxDelay),
	}
	if err := n.startJob(job{name: "realtime"}, func(s beam.Scope) { pipelines.Realtime(s, realtime) }); err != nil {
		return err
	}
	if err := n.startArchive(file); err != nil || len(d.Prepare.Topics) == 0 {
		return err
	}
	prepare := pipelines.PrepareConfig{Segment: file, Name: n.options.Segment.Name, Kafka: n.client, Topics: d.RawTopics()}
	for _, t := range n.options.Extensions.Transforms {
		prepare.Transforms = append(prepare.Transforms, pipelines.Transform{Name: t.Name, Apply: t.Func})
	}
	return n.startJob(job{name: "prepare"}, func(s beam.Scope) { pipelines.Prepare(s, prepare) })
}

func (n *Node) startJob(j job, build func(beam.Scope)) (err error) {
	p, s := beam.NewPipelineWithRoot()
	build(s)
	j.engine, err = direct.Start(context.Background(), p, direct.Options{OnFailure: func(f direct.Failure) {
		if permanent(f.Err) {
			n.options.Logger.Error("bundle failed for good", "job", j.name, "step", f.Step, "error", n.advise(f.Err))
			return
		}
		n.options.Logger.Warn("bundle failed, it will be tried again", "job", j.name, "step", f.Step, "attempts", f.Attempts,
			"since", f.Since, "next", f.Next, "error", n.advise(f.Err))
	}})
	if err != nil {
		return fmt.Errorf("%s: %w", j.name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.jobs = append(n.jobs, j)
	return nil
}

// running returns the jobs that were started.
func (n *Node) running() []job {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.jobs)
}

func (n *Node) failing() []direct.Failure {
	var all []direct.Failure
	for _, j := range n.running() {
		all = append(all, j.engine.Failing()...)
	}
	return all
}
