package bench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
)

// Report is what was measured. Sizes are in bytes, times in seconds unless the name says otherwise.
type Report struct {
	Machine Machine  `json:"machine"`
	Backlog *Backlog `json:"backlog,omitempty"`
	Paced   *Paced   `json:"paced,omitempty"`
	Bare    *Backlog `json:"bare,omitempty"`
	// Ratio is how fast the pipeline is as a part of the hand-written loop's speed.
	Ratio  float64 `json:"ratio,omitempty"`
	Passed bool    `json:"passed"`
}

// Machine is where it was measured.
type Machine struct {
	OS    string  `json:"os"`
	Arch  string  `json:"arch"`
	Cores int     `json:"cores"` // that the process may use
	CPU   string  `json:"cpu,omitempty"`
	Go    string  `json:"go"`
	Load  float64 `json:"load,omitempty"` // runnable processes before the run, by the system's average over a minute
}

// ThisMachine returns where this process runs.
func ThisMachine() Machine {
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), CPU: cpuName(), Go: runtime.Version(), Load: loadAverage(),
	}
}

// Backlog is how fast a backlog was worked off.
type Backlog struct {
	Events          int     `json:"events"`
	People          int     `json:"people"`
	Profiles        int     `json:"profiles"`
	Effects         int     `json:"effects"`   // records sent to other topics
	Conflicts       int     `json:"conflicts"` // bundles run again, because another worker changed what they had read
	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
	CPUSeconds      float64 `json:"cpu_seconds"`           // of the whole process: broker, pipelines, store
	CPUMicros       float64 `json:"cpu_micros_per_event"`  // the same per event
	RSSPeak         int64   `json:"rss_peak,omitempty"`    // while it was worked off
	RSSAfter        int64   `json:"rss_after,omitempty"`   // with garbage collected and given back
	HeapAfter       int64   `json:"heap_after"`            // live objects then
	StoreBytes      int64   `json:"store_bytes,omitempty"` // on disk
}

// Paced is how a steady load was served.
type Paced struct {
	Rate     int     `json:"rate"` // events per second
	Seconds  float64 `json:"seconds"`
	Events   int     `json:"events"`
	Profiles int     `json:"profiles"`
	// LatencyMS is from the producer's call, the record's timestamp, to the commit of the profile; IntendedMS from the moment at which the
	// schedule wanted the event sent, however late that was done.
	LatencyMS  Latency `json:"latency_ms"`
	IntendedMS Latency `json:"intended_ms"`
	CPU        float64 `json:"cpu"` // cores in use
	// Samples are taken at the start, every 10 s and at the end. Growth is the slope of the resident set over the second half of them;
	// what is unexplained is the same without the broker's index.
	Samples           []Sample `json:"samples"`
	RSSPeak           int64    `json:"rss_peak,omitempty"`
	GrowthPerMinute   float64  `json:"growth_per_minute"`
	UnexplainedGrowth float64  `json:"unexplained_growth_per_minute"`
}

// Latency is a distribution in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Sample is the memory in use at a moment.
type Sample struct {
	Second float64 `json:"second"`
	RSS    int64   `json:"rss,omitempty"`
	Heap   int64   `json:"heap"`  // bytes in heap spans in use
	Index  int64   `json:"index"` // what the embedded broker keeps in memory about its batches, by estimate
}

const mib = 1 << 20

// print writes the report as a table.
func (r *Report) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	m := r.Machine
	fmt.Fprintf(w, "\nmachine\t%s\n", strings.TrimSuffix(fmt.Sprintf("%d cores, %s/%s, %s, %s", m.Cores, m.OS, m.Arch, m.Go, m.CPU), ", "))
	if b := r.Backlog; b != nil {
		b.print(w, "backlog")
	}
	if p := r.Paced; p != nil {
		p.print(w)
	}
	if b := r.Bare; b != nil {
		b.print(w, "by hand")
		fmt.Fprintf(w, "\tthe pipeline runs at %.0f%% of its speed\n", 100*r.Ratio)
	}
	return w.Flush()
}

func (b *Backlog) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%s\t%d events of %d people in %.1f s\t%.0f events/s\n", name, b.Events, b.People, b.Seconds, b.EventsPerSecond)
	fmt.Fprintf(w, "\tprocessor\t%.0f us per event\n", b.CPUMicros)
	fmt.Fprintf(w, "\tprofiles, all as they must be\t%d\n", b.Profiles)
	fmt.Fprintf(w, "\teffects, and bundles run again\t%d  %d\n", b.Effects, b.Conflicts)
	fmt.Fprintf(w, "\tresident memory, peak and after\t%d MiB, %d MiB\n", b.RSSPeak/mib, b.RSSAfter/mib)
	fmt.Fprintf(w, "\tstore on disk\t%d MiB\n", b.StoreBytes/mib)
}

func (p *Paced) print(w io.Writer) {
	fmt.Fprintf(w, "paced\t%d events/s for %.0f s\t%.2f cores\n", p.Rate, p.Seconds, p.CPU)
	for _, l := range []struct {
		name string
		Latency
	}{{"from append to commit", p.LatencyMS}, {"from the intended time to commit", p.IntendedMS}} {
		fmt.Fprintf(w, "\t%s, p50 p99 max\t%.1f ms  %.1f ms  %.1f ms\n", l.name, l.P50, l.P99, l.Max)
	}
	fmt.Fprintf(w, "\tprofiles, all as they must be\t%d\n", p.Profiles)
	if n := len(p.Samples); n > 0 {
		a, z := p.Samples[0], p.Samples[n-1]
		fmt.Fprintf(w, "\tresident memory, start end peak\t%d MiB  %d MiB  %d MiB\n", a.RSS/mib, z.RSS/mib, p.RSSPeak/mib)
		fmt.Fprintf(w, "\theap, start and end\t%d MiB  %d MiB\n", a.Heap/mib, z.Heap/mib)
		fmt.Fprintf(w, "\tbroker's index, start and end\t%d MiB  %d MiB\n", a.Index/mib, z.Index/mib)
		fmt.Fprintf(w, "\tgrowth per minute, and without the index\t%.1f MiB  %.1f MiB\n", p.GrowthPerMinute/mib, p.UnexplainedGrowth/mib)
	}
}
