package node

import (
	"context"
	"fmt"
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
	}, func() float64 { return float64(len(n.failing())) }))
	return nil
}

func (n *Node) startJobs(ctx context.Context) error {
	file, err := n.segmentFile()
	if err != nil {
		return err
	}
	d := n.options.Deployment
	realtime := pipelines.RealtimeConfig{
		Segment: file, Name: n.options.Segment.Name, Kafka: n.client, Store: d.StoreURL(),
		Workers: d.Runner.Workers, MaxRecords: d.Runner.MaxRecords, MaxDelay: time.Duration(d.Runner.MaxDelay),
	}
	return n.startJob("realtime", func(s beam.Scope) { pipelines.Realtime(s, realtime) })
}

func (n *Node) startJob(name string, build func(beam.Scope)) error {
	p, s := beam.NewPipelineWithRoot()
	build(s)
	engine, err := direct.Start(context.Background(), p, direct.Options{OnFailure: func(f direct.Failure) {
		n.options.Logger.Warn("bundle failed, it will be tried again", "job", name, "step", f.Step, "attempts", f.Attempts,
			"since", f.Since, "next", f.Next, "error", f.Err)
	}})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n.jobs = append(n.jobs, job{name: name, engine: engine})
	return nil
}

func (n *Node) failing() []direct.Failure {
	var all []direct.Failure
	for _, j := range n.jobs {
		all = append(all, j.engine.Failing()...)
	}
	return all
}
