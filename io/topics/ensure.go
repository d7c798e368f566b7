package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Difference is one setting of an existing topic that is not as planned. Nothing changes it silently.
type Difference struct {
	Topic   string `json:"topic"`
	Setting string `json:"setting"` // "partitions", "replicas" or the name of a topic configuration
	Want    string `json:"want"`
	Have    string `json:"have"`
	Fix     string `json:"fix"` // what to do about it, or why to leave it
}

// String returns the difference as one sentence.
func (d Difference) String() string {
	return fmt.Sprintf("topic %s: %s is %s, planned is %s; %s", d.Topic, d.Setting, d.Have, d.Want, d.Fix)
}

// Report is what a look at the cluster found.
type Report struct {
	Created     []string     `json:"created,omitempty"` // by this call
	Missing     []string     `json:"missing,omitempty"` // and not created
	Differences []Difference `json:"differences,omitempty"`
}

// Compare reports which topics are missing or differ from the plan. It changes nothing.
func Compare(ctx context.Context, admin *kadm.Client, specs []Spec) (Report, error) {
	var report Report
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return report, fmt.Errorf("listing topics: %w", err)
	}
	var present []string
	for _, spec := range specs {
		detail, ok := details[spec.Name]
		switch {
		case !ok || errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
			report.Missing = append(report.Missing, spec.Name)
		case detail.Err != nil:
			return report, fmt.Errorf("topic %s: %w", spec.Name, detail.Err)
		default:
			present = append(present, spec.Name)
		}
	}
	if len(present) == 0 {
		return report, nil
	}
	configs, err := admin.DescribeTopicConfigs(ctx, present...)
	if err != nil {
		return report, fmt.Errorf("reading topic settings: %w", err)
	}
	for _, spec := range specs {
		if !slices.Contains(present, spec.Name) {
			continue
		}
		config, err := configs.On(spec.Name, nil)
		if err == nil {
			err = config.Err
		}
		if err != nil {
			return report, fmt.Errorf("settings of topic %s: %w", spec.Name, err)
		}
		report.Differences = append(report.Differences, differences(spec, details[spec.Name], config)...)
	}
	return report, nil
}

func differences(spec Spec, detail kadm.TopicDetail, config kadm.ResourceConfig) []Difference {
	var found []Difference
	if have := int32(len(detail.Partitions)); have != spec.Partitions {
		fix := "more partitions than planned do no harm; plan as many"
		if have < spec.Partitions {
			fix = "add them with your cluster's tools while nothing produces: keys move to other partitions"
			if spec.Kind == Epochs || spec.Kind == Config {
				fix = "create the topic again"
			}
		} else if spec.Kind == Epochs || spec.Kind == Config {
			fix = "it must have one, create it again"
		}
		found = append(found, Difference{spec.Name, "partitions", strconv.Itoa(int(spec.Partitions)), strconv.Itoa(int(have)), fix})
	}
	if have := detail.Partitions.NumReplicas(); spec.Replicas > 0 && have != int(spec.Replicas) {
		found = append(found, Difference{spec.Name, "replicas", strconv.Itoa(int(spec.Replicas)), strconv.Itoa(have), "reassign its partitions with your cluster's tools"})
	}
	have := map[string]string{}
	for _, c := range config.Configs {
		have[c.Key] = c.MaybeValue()
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Settings)) {
		if want := spec.Settings[name]; have[name] != want {
			value := have[name]
			if value == "" {
				value = "not set"
			}
			found = append(found, Difference{spec.Name, name, want, value, "change it with your cluster's tools, or leave it if it is meant so"})
		}
	}
	return found
}

// Ensure creates the topics that are missing and reports where existing ones differ from the plan; those it leaves alone. Several
// processes may do so at once.
func Ensure(ctx context.Context, admin *kadm.Client, specs []Spec) (Report, error) {
	report, err := Compare(ctx, admin, specs)
	if err != nil {
		return report, err
	}
	missing := report.Missing
	report.Missing = nil
	for _, spec := range specs {
		if !slices.Contains(missing, spec.Name) {
			continue
		}
		settings := make(map[string]*string, len(spec.Settings))
		for name, value := range spec.Settings {
			settings[name] = &value
		}
		_, err := admin.CreateTopic(ctx, spec.Partitions, spec.Replicas, settings, spec.Name)
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists): // another process was faster: it planned the same
		case err != nil:
			return report, fmt.Errorf("creating topic %s: %w", spec.Name, err)
		default:
			report.Created = append(report.Created, spec.Name)
		}
	}
	return report, nil
}
