package direct

import (
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
)

// totals sums the user metrics of the bundles that succeeded. Its size is the number of metrics, however many bundles and
// plans there were.
type totals struct {
	mu            sync.Mutex
	counters      map[metrics.StepKey]int64
	distributions map[metrics.StepKey]metrics.DistributionValue
	gauges        map[metrics.StepKey]metrics.GaugeValue
}

// add adds the metrics of a bundle.
func (t *totals) add(store *metrics.Store, names map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counters == nil {
		t.counters = map[metrics.StepKey]int64{}
		t.distributions = map[metrics.StepKey]metrics.DistributionValue{}
		t.gauges = map[metrics.StepKey]metrics.GaugeValue{}
	}
	key := func(l metrics.Labels) metrics.StepKey {
		return metrics.StepKey{Step: names[l.Transform()], Name: l.Name(), Namespace: l.Namespace()}
	}
	// The error says that no function is set.
	_ = metrics.Extractor{
		SumInt64: func(l metrics.Labels, v int64) { t.counters[key(l)] += v },
		DistributionInt64: func(l metrics.Labels, count, sum, lo, hi int64) {
			k := key(l)
			d, ok := t.distributions[k]
			if ok {
				lo, hi = min(lo, d.Min), max(hi, d.Max)
			}
			t.distributions[k] = metrics.DistributionValue{Count: d.Count + count, Sum: d.Sum + sum, Min: lo, Max: hi}
		},
		GaugeInt64: func(l metrics.Labels, v int64, at time.Time) {
			if k := key(l); !at.Before(t.gauges[k].Timestamp) {
				t.gauges[k] = metrics.GaugeValue{Value: v, Timestamp: at}
			}
		},
	}.ExtractFrom(store)
}

// results returns a copy in the SDK's form.
func (t *totals) results() metrics.Results {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *metrics.NewResults(
		metrics.MergeCounters(nil, t.counters),
		metrics.MergeDistributions(nil, t.distributions),
		metrics.MergeGauges(nil, t.gauges),
		nil, nil)
}
