package deployment

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/braidhq/braid/transforms/strict"
)

// Schema returns the JSON Schema (draft 2020-12) of braid.yaml, made from the same types that Parse reads, so that editors complete
// and check. It knows shapes; what excludes what, only Parse checks.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Mapper: shapes}
	s := r.Reflect(&Config{})
	s.Title = "braid.yaml"
	s.Description = "Where Braid runs. Everything has a default: without this file all is embedded under ./braid-data."
	if s.Definitions == nil {
		s.Definitions = jsonschema.Definitions{}
	}
	for section, word := range map[string]string{"kafka": "embedded", "runner": string(RunnerDirect)} {
		p, _ := s.Properties.Get(section)
		s.Properties.Set(section, &jsonschema.Schema{
			Description: map[string]string{
				"kafka":  "The stream: embedded (a broker in this process), or a map with embedded or brokers.",
				"runner": "What runs the pipelines: direct, in this process.",
			}[section],
			OneOf: []*jsonschema.Schema{{Type: "string", Enum: []any{word}}, {Ref: p.Ref}, {Type: "null"}},
		})
	}
	if kafka, ok := s.Definitions["Kafka"]; ok {
		p, _ := kafka.Properties.Get("embedded")
		kafka.Properties.Set("embedded", &jsonschema.Schema{
			Description: "The broker in this process.", OneOf: []*jsonschema.Schema{{Ref: p.Ref}, {Type: "null"}},
		})
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema of braid.yaml: %w", err)
	}
	return append(b, '\n'), nil
}

const durationPattern = "[0-9]+(ms|s|m|h|d)"

// shapes gives the schema of types that look different in YAML than in Go.
func shapes(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[strict.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: "^" + durationPattern + "$"}
	case reflect.TypeFor[Age]():
		return &jsonschema.Schema{Type: "string", Pattern: "^(" + durationPattern + "|forever)$"}
	case reflect.TypeFor[Size]():
		return &jsonschema.Schema{Type: "string", Pattern: "^([0-9][0-9.]* ?[kKMGTP]?i?B|unlimited)$"}
	case reflect.TypeFor[strict.Secret]():
		return &jsonschema.Schema{Type: "string", Pattern: `^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`, Description: "A reference to an environment variable."}
	}
	return nil
}
