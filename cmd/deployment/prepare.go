package deployment

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/strict"
)

// Prepare says what the prepare job reads.
type Prepare struct {
	// Topics are raw topics, whose records become events; default none: no prepare job runs.
	Topics []Topic `yaml:"topics" json:"topics,omitempty" jsonschema:"minItems=1,uniqueItems=true,description=Raw topics\\, whose records become events by way of the binary's own transforms."`
}

// Topic is the name of a Kafka topic.
type Topic string

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (v *validator) checkPrepare() {
	if v.doc.Has("prepare.topics") && len(v.config.Prepare.Topics) == 0 && !v.doc.Failed("prepare.topics") {
		v.doc.Report("prepare.topics", "for example [raw.clicks], or leave it out", "no topic is named")
	}
	for i, topic := range v.config.Prepare.Topics {
		path := strict.Path("prepare.topics").Index(i)
		switch {
		case v.doc.Failed(path):
		case !topicName.MatchString(string(topic)) || topic == "." || topic == "..":
			v.doc.Report(path, "letters, digits, dot, - and _, at most 249", "%q is no name of a topic", topic)
		case slices.Contains(v.config.Prepare.Topics[:i], topic):
			v.doc.Report(path, "", "%q is there twice", topic)
		}
	}
}

// RawTopics returns the names of the topics that the prepare job reads.
func (c *Config) RawTopics() []string {
	names := make([]string, len(c.Prepare.Topics))
	for i, topic := range c.Prepare.Topics {
		names[i] = string(topic)
	}
	return names
}

// CheckPrepare reports what does not fit together between braid.yaml, the name of the segment and the names of the transforms that
// the binary adds: a raw topic that is one of the segment's own, which would go round in circles, and transforms without topics,
// which would never run.
func (c *Config) CheckPrepare(segment string, transforms []string) error {
	for _, topic := range c.Prepare.Topics {
		if kind, ok := strings.CutPrefix(string(topic), topics.Name(segment, "")); ok && slices.Contains(topics.Kinds(), topics.Kind(kind)) {
			return fmt.Errorf("%s: prepare.topics: %s is a topic of segment %s itself; name raw topics, whose records are to become events", File, topic, segment)
		}
	}
	if len(transforms) > 0 && len(c.Prepare.Topics) == 0 {
		return fmt.Errorf("%s: this binary has transforms (%s), but no topics to run them on; add 'prepare: {topics: [raw.clicks]}' with the topics "+
			"whose records they make events of", File, strings.Join(transforms, ", "))
	}
	return nil
}
