package deployment

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/braidhq/braid/transforms/strict"
)

// RunnerKind names what runs the pipelines.
type RunnerKind string

// RunnerDirect runs the pipelines in this process; it is the only one there is.
const RunnerDirect RunnerKind = "direct"

// Runner says what runs the pipelines. In YAML it is the word direct or a map with the options of direct.
type Runner struct {
	// Kind is RunnerDirect.
	Kind RunnerKind `yaml:"-" json:"-"`
	// Direct are the options of the runner in this process.
	Direct `yaml:"direct" json:"direct,omitzero" jsonschema:"description=Options of the runner in this process."`
}

// Direct are the options of the runner in this process.
type Direct struct {
	// Workers is the number of groups of partitions that are worked on side by side, 1 to 256; default that of the processors, at most 4.
	Workers int `yaml:"workers" json:"workers,omitempty" jsonschema:"minimum=1,maximum=256,description=Groups of partitions that are worked on side by side; by default as many as processors but at most 4."`
	// MaxRecords ends a bundle, 1 to 100000; default 300: of longer bundles more conflict.
	MaxRecords int `yaml:"max_records" json:"max_records,omitempty" jsonschema:"minimum=1,maximum=100000,default=300,description=Records after which a bundle ends."`
	// MaxDelay ends a bundle, 1ms to 1m; default 5ms.
	MaxDelay strict.Duration `yaml:"max_delay" json:"max_delay,omitzero" jsonschema:"default=5ms,description=Time after which a bundle ends; 1ms to 1m."`
}

func defaultRunner() Runner {
	return Runner{Kind: RunnerDirect, Direct: Direct{Workers: min(runtime.GOMAXPROCS(0), 4), MaxRecords: 300, MaxDelay: strict.Duration(5 * time.Millisecond)}}
}

const runnerHint = "runner: direct, or runner: {direct: {workers: 2}}; it runs the pipelines in this process"

// UnmarshalStrict reads the word or the map.
func (r *Runner) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Null:
	case strict.Text:
		if v.Text() != string(RunnerDirect) {
			v.Report(runnerHint, "unknown runner %q; this version has direct only", v.Text())
		}
	case strict.Map:
		named := map[string]ignored{}
		v.Decode(&named)
		for _, name := range slices.Sorted(maps.Keys(named)) {
			if name != string(RunnerDirect) {
				v.Report(runnerHint, "unknown runner %q; this version has direct only", name)
				return
			}
		}
		type fields Runner
		f := fields(*r)
		v.Decode(&f)
		*r = Runner(f)
	default:
		v.Report(runnerHint, "the word direct or a map is needed, found %s", v.Kind())
	}
}

// ignored takes any value, to look at names only.
type ignored struct{}

// UnmarshalStrict reads nothing.
func (*ignored) UnmarshalStrict(strict.Value) {}
