package ingest

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics() metrics {
	return metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "braid_ingest_events_total",
			Help: "Events received over HTTP, by table and by result: accepted, or the code of the refusal.",
		}, []string{"table", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "braid_ingest_request_seconds",
			Help:    "Duration of ingest requests up to the broker's acknowledgement, by HTTP status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, []string{"status"}),
	}
}

func (m metrics) register(to prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.events, m.seconds} {
		if err := to.Register(c); err != nil {
			return fmt.Errorf("ingest: %w", err)
		}
	}
	return nil
}

func (m metrics) count(table string, results []Result) {
	counts := map[string]int{}
	for _, r := range results {
		code := "accepted"
		if r.Error != nil {
			code = r.Error.Code
		}
		counts[code]++
	}
	for code, n := range counts {
		m.events.WithLabelValues(table, code).Add(float64(n))
	}
}
