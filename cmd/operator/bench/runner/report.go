package runner

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/braidhq/braid/cmd/operator/bench"
)

// Report is what was measured.
type Report struct {
	Machine bench.Machine `json:"machine"`
	// LatencyMS is per rate (records per second, as text) and runner.
	LatencyMS map[string]map[string]bench.Latency `json:"latency_ms"`
	Backlog   Backlog                             `json:"backlog"`
	Micro     Micro                               `json:"micro"`
	// IdlePercent is of a core, per runner, with its consumer and producer, while nothing comes.
	IdlePercent map[string]float64 `json:"idle_percent"`
}

// Backlog is how fast a backlog was worked off: records per second, the median of the rounds.
type Backlog struct {
	Bare            float64 `json:"bare"`
	Direct          float64 `json:"direct"`
	Prism           float64 `json:"prism,omitempty"`
	DirectOverPrism float64 `json:"direct_over_prism,omitempty"`
	DirectOverBare  float64 `json:"direct_over_bare"`
}

// Micro is what single things take on the direct runner, in microseconds.
type Micro struct {
	Bundle        float64 `json:"bundle_us"`          // of one element, through a source, three DoFns and a sink
	GroupByKey    float64 `json:"group_by_key_us"`    // per element
	CombinePerKey float64 `json:"combine_per_key_us"` // per element
}

func (b *Backlog) set(speeds map[string][]float64) {
	median := func(name string) float64 {
		all := slices.Sorted(slices.Values(speeds[name]))
		if len(all) == 0 {
			return 0
		}
		return all[len(all)/2]
	}
	b.Bare, b.Direct, b.Prism = median(Bare), median(DirectOne), median(Prism)
	if b.Prism > 0 {
		b.DirectOverPrism = b.Direct / b.Prism
	}
	if b.Bare > 0 {
		b.DirectOverBare = b.Direct / b.Bare
	}
}

func (r *Report) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "\nbacklog, records/s\tbare %.0f\tdirect %.0f\t%.2f of bare", r.Backlog.Bare, r.Backlog.Direct, r.Backlog.DirectOverBare)
	if r.Backlog.Prism > 0 {
		fmt.Fprintf(w, "\tprism %.0f\tdirect is %.1f times prism", r.Backlog.Prism, r.Backlog.DirectOverPrism)
	}
	fmt.Fprintf(w, "\none bundle of one element\t%.1f us\n", r.Micro.Bundle)
	fmt.Fprintf(w, "an element through GroupByKey, CombinePerKey\t%.2f us\t%.2f us\n", r.Micro.GroupByKey, r.Micro.CombinePerKey)
	return w.Flush()
}
