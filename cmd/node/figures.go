package node

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/braidhq/braid/transforms"
	"github.com/braidhq/braid/transforms/update"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidwall/gjson"
)

// Figures count what a node applied. They are exact: counted after each commit.
type Figures struct {
	mu      sync.Mutex
	counts  Counts
	latency *hdrhistogram.Histogram // of events, microseconds from broker append to commit

	histogram prometheus.Histogram
	applied   prometheus.Counter
	rejected  *prometheus.CounterVec
	refused   *prometheus.CounterVec
	changes   *prometheus.CounterVec
	other     *prometheus.CounterVec
	effects   *prometheus.CounterVec
	audiences *prometheus.CounterVec
	values    prometheus.Counter
	runs      *prometheus.CounterVec
	bundles   prometheus.Histogram
}

// Counts are figures at one moment, since the node started.
type Counts struct {
	Applied    int // events
	Duplicates int // senders' retries among them
	Rejected   int
	Skipped    int // records that had been applied before
	Markers    int
	Created    int // profiles
	Merged     int
	Moved      int
	Effects    int
	Conflicts  int
	Last       time.Time // of the last commit
}

// Latency is a distribution in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

const maxLatency = int64(time.Hour / time.Microsecond)

func newFigures(registry prometheus.Registerer) *Figures {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "braid", Name: name, Help: help}
	}
	f := &Figures{
		latency: hdrhistogram.New(1, maxLatency, 3),
		histogram: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "braid", Name: "event_latency_seconds", Help: "Time from the broker's append to the commit of the profile.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 60},
		}),
		applied:   prometheus.NewCounter(counter("events_applied_total", "Events applied to profiles.")),
		rejected:  prometheus.NewCounterVec(counter("events_rejected_total", "Records that could not be used, by reason."), []string{"reason"}),
		refused:   prometheus.NewCounterVec(counter("identifiers_refused_total", "Values that identify nobody, by reason."), []string{"reason"}),
		changes:   prometheus.NewCounterVec(counter("identity_changes_total", "Changes of who belongs together, by kind."), []string{"kind"}),
		other:     prometheus.NewCounterVec(counter("records_total", "Records by what became of them."), []string{"outcome"}),
		effects:   prometheus.NewCounterVec(counter("effects_total", "Effects handed to the broker, by topic."), []string{"topic"}),
		audiences: prometheus.NewCounterVec(counter("audience_changes_total", "People who entered and left audiences."), []string{"audience", "change"}),
		values:    prometheus.NewCounter(counter("values_refused_total", "Values that attributes could not take, such as texts that are too long.")),
		runs:      prometheus.NewCounterVec(counter("batch_runs_total", "Batch runs by how they ended: done or failed."), []string{"state"}),
		bundles: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "braid", Name: "bundle_seconds", Help: "Time from the end of gathering a bundle to its commit.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5},
		}),
	}
	registry.MustRegister(f.histogram, f.applied, f.rejected, f.refused, f.changes, f.other, f.effects, f.audiences, f.values, f.runs, f.bundles)
	return f
}

func (f *Figures) observe(a transforms.Applied) {
	r := a.Result
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Last = a.Committed
	f.counts.Skipped += r.Skipped
	f.counts.Conflicts += r.Conflicts
	f.counts.Effects += len(r.Effects)
	for _, e := range r.Effects {
		f.effects.WithLabelValues(e.Topic).Inc()
		if e.Topic == update.TopicAudienceChanges {
			f.audiences.WithLabelValues(gjson.GetBytes(e.Value, "audience").Str, gjson.GetBytes(e.Value, "change").Str).Inc()
		}
	}
	f.values.Add(float64(r.Violations))
	f.bundles.Observe(a.Committed.Sub(a.Began).Seconds())
	f.other.WithLabelValues("skipped").Add(float64(r.Skipped))
	f.other.WithLabelValues("duplicate").Add(float64(r.Duplicates))
	f.other.WithLabelValues("marker").Add(float64(r.Markers))
	if len(a.Inputs) == 0 {
		return
	}
	f.counts.Applied += r.Events
	f.counts.Duplicates += r.Duplicates
	f.counts.Markers += r.Markers
	f.applied.Add(float64(r.Events))
	for reason, n := range r.Rejected {
		f.counts.Rejected += n
		f.rejected.WithLabelValues(string(reason)).Add(float64(n))
	}
	for reason, n := range r.Refused {
		f.refused.WithLabelValues(string(reason)).Add(float64(n))
	}
	for kind, n := range r.Changes {
		f.changes.WithLabelValues(string(kind)).Add(float64(n))
	}
	f.counts.Created += r.Changes[update.ProfileCreated]
	f.counts.Merged += r.Changes[update.ProfilesMerged]
	f.counts.Moved += r.Changes[update.ProfilesMoved]
	if r.Events == 0 {
		return
	}
	committed := a.Committed.UnixMicro()
	for _, in := range a.Inputs {
		if in.Marker != nil || in.Rejected != nil {
			continue
		}
		micros := min(max(committed-in.Appended*1000, 1), maxLatency)
		_ = f.latency.RecordValue(micros) // within the bounds
		f.histogram.Observe(float64(micros) / 1e6)
	}
}

// Counts returns the figures so far.
func (f *Figures) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// Latency returns the distribution from broker append to profile commit so far.
func (f *Figures) Latency() Latency {
	f.mu.Lock()
	defer f.mu.Unlock()
	ms := func(micros int64) float64 { return float64(micros) / 1000 }
	return Latency{P50: ms(f.latency.ValueAtQuantile(50)), P99: ms(f.latency.ValueAtQuantile(99)), Max: ms(f.latency.Max())}
}

// ResetLatency begins the distribution anew.
func (f *Figures) ResetLatency() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency.Reset()
}
