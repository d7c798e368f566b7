// Package topics knows every Kafka topic of a segment with its settings, in one place for the embedded broker and for a real cluster.
// In go a segment's name and a few sizes; out come the specifications, and with Ensure the topics themselves.
package topics

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what a topic carries; the same in every segment.
type Kind string

// The kinds of topics. Their records are described beside the code that writes them.
const (
	Events          Kind = "events"           // events and markers, by leading identifier
	Epochs          Kind = "epochs"           // where each epoch begins, by epoch (compacted)
	Config          Kind = "config"           // configurations by hash (compacted)
	Profiles        Kind = "profiles"         // changed profiles, by profile ID
	IdentityChanges Kind = "identity-changes" // merges, splits and moves, by profile ID
	AudienceChanges Kind = "audience-changes" // who entered and left which audience, by profile ID
	Activations     Kind = "activations"      // decided outbound actions, by profile ID
	Deliveries      Kind = "deliveries"       // attempts at activations, by activation ID
	Rejected        Kind = "rejected"         // events that could not be applied, with reason and position
)

// Kinds returns all kinds in the order in which data flows through them.
func Kinds() []Kind {
	return []Kind{Events, Epochs, Config, Profiles, IdentityChanges, AudienceChanges, Activations, Deliveries, Rejected}
}

var purposes = map[Kind]string{
	Events:          "events and markers, input of every pipeline",
	Epochs:          "positions at which epochs begin",
	Config:          "segment configurations by hash",
	Profiles:        "changed profiles",
	IdentityChanges: "merges, splits and moves of profiles",
	AudienceChanges: "who entered and left which audience",
	Activations:     "decided outbound actions",
	Deliveries:      "attempts at outbound actions",
	Rejected:        "events that could not be applied, replayable",
}

// Name returns the topic's name: "braid.SEGMENT.KIND".
func Name(segment string, kind Kind) string { return "braid." + segment + "." + string(kind) }

// Spec is one topic as it should be.
type Spec struct {
	Name       string            `json:"name"`
	Kind       Kind              `json:"kind"`
	Purpose    string            `json:"purpose"`
	Partitions int32             `json:"partitions"`
	Replicas   int16             `json:"replicas"` // -1: the cluster's default
	Settings   map[string]string `json:"settings"` // topic configuration, as Kafka names it
}

// Options are the sizes of a segment's topics.
type Options struct {
	// Partitions of the topics that grow with traffic. Default 4. Epochs and config always have one.
	Partitions int32
	// Replicas of each partition. Default -1: what the cluster does by default; the embedded broker has one.
	Replicas int16
	// RetentionBytes is how much of one topic is kept, over all its partitions. Default 4 GiB for events, 1 GiB for the others;
	// -1 keeps all. Plan less for the embedded broker, say 512 MiB: a start after a kill holds in memory what is kept.
	RetentionBytes int64
	// RetentionAge is how long records are kept. Default 7 days; -1 keeps them for ever. Rejected events stay four times as long.
	RetentionAge time.Duration
	// MaxRecordBytes is the largest batch a topic takes. Default 4 MiB: an event above 1 MiB still gets in, to be rejected with its reason.
	MaxRecordBytes int
}

// Limits of Options.
const (
	MaxPartitions  = 10_000
	minRecordBytes = 1 << 20
)

func (o Options) withDefaults() Options {
	if o.Partitions == 0 {
		o.Partitions = 4
	}
	if o.Replicas == 0 {
		o.Replicas = -1
	}
	if o.RetentionAge == 0 {
		o.RetentionAge = 7 * 24 * time.Hour
	}
	if o.MaxRecordBytes == 0 {
		o.MaxRecordBytes = 4 << 20
	}
	return o
}

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	switch {
	case o.Partitions < 0 || o.Partitions > MaxPartitions:
		return fmt.Errorf("topics: %d partitions, allowed are 1 to %d", o.Partitions, MaxPartitions)
	case o.Replicas < -1:
		return fmt.Errorf("topics: %d replicas", o.Replicas)
	case o.RetentionBytes < -1:
		return fmt.Errorf("topics: retention of %d bytes", o.RetentionBytes)
	case o.RetentionAge < -1 || o.RetentionAge > 0 && o.RetentionAge < time.Millisecond:
		return fmt.Errorf("topics: retention age %v", o.RetentionAge)
	case o.MaxRecordBytes != 0 && o.MaxRecordBytes < minRecordBytes:
		return fmt.Errorf("topics: records of at most %d bytes, an event alone may have %d", o.MaxRecordBytes, minRecordBytes)
	}
	return nil
}

// segmentName keeps the dot out: it separates the parts of a topic's name. Kafka takes "." and "_" for the same in metric names, and
// refuses topics that differ in nothing else.
var segmentName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Plan returns all topics of a segment, in the order of Kinds.
func Plan(segment string, options Options) ([]Spec, error) {
	if !segmentName.MatchString(segment) {
		return nil, fmt.Errorf("topics: segment name %q must begin with a letter and have at most 63 lower-case letters, digits, - and _", segment)
	}
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	specs := make([]Spec, 0, len(Kinds()))
	for _, kind := range Kinds() {
		spec := Spec{
			Name: Name(segment, kind), Kind: kind, Purpose: purposes[kind],
			Partitions: options.Partitions, Replicas: options.Replicas,
			Settings: map[string]string{
				"compression.type":  "producer", // as the producer compressed it: no work for the broker
				"max.message.bytes": strconv.Itoa(options.MaxRecordBytes),
			},
		}
		if kind == Epochs || kind == Config {
			spec.Partitions = 1
			spec.Settings["cleanup.policy"] = "compact"
			spec.Settings["segment.bytes"] = strconv.Itoa(1 << 20) // small, so that compaction gets at nearly all of it
		} else {
			retention(&spec, options)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

func retention(spec *Spec, options Options) {
	total := options.RetentionBytes
	if total == 0 {
		total = 1 << 30
		if spec.Kind == Events {
			total = 4 << 30
		}
	}
	age := options.RetentionAge
	if spec.Kind == Rejected && age > 0 {
		age *= 4
	}
	perPartition, ageMillis, segmentBytes := int64(-1), int64(-1), int64(64<<20)
	if total > 0 {
		perPartition = max(1, total/int64(spec.Partitions))
		segmentBytes = min(segmentBytes, max(1<<20, perPartition/8)) // whole segments go: keep them a small part of the whole
	}
	if age > 0 {
		ageMillis = age.Milliseconds()
	}
	spec.Settings["cleanup.policy"] = "delete"
	spec.Settings["retention.bytes"] = strconv.FormatInt(perPartition, 10)
	spec.Settings["retention.ms"] = strconv.FormatInt(ageMillis, 10)
	spec.Settings["segment.bytes"] = strconv.FormatInt(segmentBytes, 10)
}

// Find returns the specification of a kind.
func Find(specs []Spec, kind Kind) (Spec, error) {
	for _, spec := range specs {
		if spec.Kind == kind {
			return spec, nil
		}
	}
	return Spec{}, errors.New("topics: no topic of kind " + string(kind) + " in the plan")
}

// settingsText returns the settings as "name=value", sorted.
func (s Spec) settingsText() string {
	parts := make([]string, 0, len(s.Settings))
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		parts = append(parts, name+"="+s.Settings[name])
	}
	return strings.Join(parts, " ")
}
