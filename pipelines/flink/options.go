package flink

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/strict"
	"google.golang.org/protobuf/types/known/structpb"
)

// Options say where a job runs and how. RUNNING.md tells what was measured with which.
type Options struct {
	// JobServer is the address of Beam's job server, HOST:PORT.
	JobServer string
	// Pool is the address of the worker pool, HOST:PORT, as the task managers reach it. Each asks at this same address, so where
	// there are several machines, every one has a pool of its own on its loopback address.
	Pool string
	// Name is the job's name in Flink; default "braid".
	Name string
	// Parallelism is into how many subtasks each step is divided; default 1. It should be the number of partition groups.
	Parallelism int
	// MaxParallelism is the number of key groups of Flink, at least Parallelism; default Parallelism. Beam's older runners leak memory
	// in proportion to it whenever a source yields.
	MaxParallelism int
	// WorkersPerTaskManager is how many worker processes serve the subtasks of one task manager; default 1.
	WorkersPerTaskManager int
	// Checkpoints is the time between checkpoints; default 1s, negative: none. Without them there is less latency, but after the death
	// of a worker Flink may hang for ever.
	Checkpoints time.Duration
	// CheckpointTimeout ends a checkpoint that does not come about, and with that the try of the job: a job that hangs is started
	// again. Default 10s.
	CheckpointTimeout time.Duration
	// Restarts is how often the job is started again before it fails; default 1,000,000,000.
	Restarts int
	// RestartDelay is the pause before; default 200ms.
	RestartDelay time.Duration
	// BundleTime and BundleSize end a bundle of elements that come from other steps; defaults 20ms and 1,000. A source ends its
	// bundles itself.
	BundleTime time.Duration
	BundleSize int
	// More are options of Beam's Flink runner by their names, for example "state_backend": "rocksdb". Submit refuses a name that the
	// job server does not know.
	More map[string]string
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *int
		other int
	}{{&o.Parallelism, 1}, {&o.MaxParallelism, max(o.Parallelism, 1)}, {&o.WorkersPerTaskManager, 1}, {&o.Restarts, 1e9}, {&o.BundleSize, 1000}} {
		if *d.value == 0 {
			*d.value = d.other
		}
	}
	for _, d := range []struct {
		value *time.Duration
		other time.Duration
	}{
		{&o.Checkpoints, time.Second}, {&o.CheckpointTimeout, 10 * time.Second}, {&o.RestartDelay, 200 * time.Millisecond},
		{&o.BundleTime, 20 * time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.other
		}
	}
	if o.Name == "" {
		o.Name = "braid"
	}
	return o
}

// Validate reports every option that makes no sense.
func (o Options) Validate() error {
	o = o.withDefaults()
	var all []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Errorf("flink: "+format, args...))
		}
	}
	for name, address := range map[string]string{"job server": o.JobServer, "worker pool": o.Pool} {
		_, _, err := net.SplitHostPort(address)
		refuse(err != nil, "the address of the %s is HOST:PORT, not %q", name, address)
	}
	refuse(o.Parallelism < 1 || o.Parallelism > o.MaxParallelism || o.MaxParallelism > 1<<15,
		"a parallelism of %d and at most %d; 1 <= parallelism <= maximum <= 32768 is needed", o.Parallelism, o.MaxParallelism)
	refuse(o.WorkersPerTaskManager < 1, "%d workers for a task manager", o.WorkersPerTaskManager)
	refuse(o.Checkpoints > 0 && o.Checkpoints < 10*time.Millisecond, "a checkpoint every %v; Flink takes 10ms at least", o.Checkpoints)
	refuse(o.CheckpointTimeout < 10*time.Millisecond, "a checkpoint may take %v; Flink wants 10ms at least", o.CheckpointTimeout)
	refuse(o.Restarts < 0 || o.RestartDelay < 0, "%d restarts, %v apart", o.Restarts, o.RestartDelay)
	refuse(o.BundleTime < time.Millisecond || o.BundleSize < 1, "bundles of %v and %d elements", o.BundleTime, o.BundleSize)
	own := o.own()
	for _, name := range slices.Sorted(maps.Keys(o.More)) {
		_, taken := own[name]
		refuse(taken, "the option %s has a field of its own", name)
	}
	return errors.Join(all...)
}

// own gives the fields the names that Beam has for them. Beam reads numbers from texts.
func (o Options) own() map[string]*structpb.Value {
	text := structpb.NewStringValue
	number := func(n int) *structpb.Value { return text(strconv.Itoa(n)) }
	millis := func(d time.Duration) *structpb.Value { return text(strconv.FormatInt(d.Milliseconds(), 10)) }
	all := map[string]*structpb.Value{
		"runner": text("flink"), "job_name": text(o.Name), "app_name": text(o.Name), "streaming": structpb.NewBoolValue(true),
		"experiments": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{text("beam_fn_api")}}),
		"parallelism": number(o.Parallelism), "max_parallelism": number(o.MaxParallelism),
		"sdk_worker_parallelism":      number(o.WorkersPerTaskManager),
		"number_of_execution_retries": number(o.Restarts), "execution_retry_delay": millis(o.RestartDelay),
		"max_bundle_time_mills": millis(o.BundleTime), "max_bundle_size": number(o.BundleSize),
	}
	if o.Checkpoints > 0 {
		all["checkpointing_interval"] = millis(o.Checkpoints)
		all["checkpoint_timeout_millis"] = millis(o.CheckpointTimeout)
		all["finish_bundle_before_checkpointing"] = structpb.NewBoolValue(true) // else the first one may never come about
	}
	return all
}

// message is the form in which a job server takes options. Known are the names it has; it would ignore others without a word.
func (o Options) message(known []string) (*structpb.Struct, error) {
	all := o.own()
	for name, value := range o.More {
		all[name] = structpb.NewStringValue(value)
	}
	fields := make(map[string]*structpb.Value, len(all))
	var unknown []string
	for name, value := range all {
		fields["beam:option:"+name+":v1"] = value
		if !slices.Contains(known, name) {
			if hint := strict.Suggest(name, known); hint != "" {
				name += " (" + hint + ")"
			}
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, fmt.Errorf("flink: the job server has no option %s", strings.Join(unknown, ", "))
	}
	return &structpb.Struct{Fields: fields}, nil
}
