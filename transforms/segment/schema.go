package segment

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/filter/condition"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/strict"
)

// Schema returns the JSON Schema (draft 2020-12) of segment.yaml, made from the same types that Parse reads, so that editors
// complete and check. It knows shapes and names; what refers to what, only Parse checks.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Mapper: shapes, Namer: typeName}
	s := r.Reflect(&File{})
	s.Title = "segment.yaml"
	s.Description = "What a parent segment of Braid computes."
	for _, section := range []string{"tables", "events", "attributes"} {
		p, _ := s.Properties.Get(section)
		p.PropertyNames = &jsonschema.Schema{Pattern: plainName.String()}
	}
	tables, _ := s.Properties.Get("tables")
	tables.AdditionalProperties = &jsonschema.Schema{OneOf: []*jsonschema.Schema{tables.AdditionalProperties, {Type: "null"}}}
	if rule, ok := s.Definitions["KeyRule"]; ok {
		name, _ := rule.Properties.Get("name")
		name.Pattern = plainName.String()
	}
	conditions := r.Reflect(&condition.Condition{})
	conditions.Version = ""
	s.Definitions["Condition"] = &jsonschema.Schema{
		Type: "object", Description: "One thing that must hold of an event: all, any or not of others, an operator about a field, something about the items of a list, or cel.",
		Properties: conditions.Properties, AdditionalProperties: jsonschema.FalseSchema,
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema of segment.yaml: %w", err)
	}
	return append(b, '\n'), nil
}

// typeName tells the cores' definitions apart, whose types have the same name.
func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[filter.Definition]():
		return "Event"
	case reflect.TypeFor[attribute.Definition]():
		return "Attribute"
	}
	return t.Name()
}

// shapes gives the schema of types that look different in YAML than in Go.
func shapes(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[strict.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: "^[0-9]+(ms|s|m|h|d)$"}
	case reflect.TypeFor[identity.Normalization]():
		phone := jsonschema.NewProperties()
		phone.Set("phone", &jsonschema.Schema{Type: "string", Pattern: "^[A-Z]{2}$"})
		return &jsonschema.Schema{
			Description: "How values are made comparable. phone gives the international form; {phone: US} takes numbers without a country code for American ones.",
			Default:     string(identity.Trim),
			OneOf: []*jsonschema.Schema{
				{Type: "string", Enum: []any{"none", "trim", "lower", "email", "phone"}},
				{Type: "object", Properties: phone, Required: []string{"phone"}, AdditionalProperties: jsonschema.FalseSchema},
			},
		}
	case reflect.TypeFor[filter.Where]():
		return &jsonschema.Schema{
			Description: "Which events of the table count: a CEL expression over properties, context, identifiers, time, received, table and event_id, or a structure. Without it every event of the table does.",
			OneOf:       []*jsonschema.Schema{{Type: "string"}, {Ref: "#/$defs/Condition"}},
		}
	case reflect.TypeFor[condition.Literal]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
	case reflect.TypeFor[attribute.Fields]():
		how := &jsonschema.Schema{Type: "string", Enum: []any{"last", "first", "sum", "min", "max", "distinct"}}
		both := jsonschema.NewProperties()
		both.Set("aggregate", how)
		both.Set("value", &jsonschema.Schema{Type: "string"})
		return &jsonschema.Schema{
			Type: "object", Description: "What a list tells of its items: name and aggregation. The field is properties.NAME, or what value says.",
			AdditionalProperties: &jsonschema.Schema{OneOf: []*jsonschema.Schema{
				how, {Type: "object", Properties: both, Required: []string{"aggregate"}, AdditionalProperties: jsonschema.FalseSchema},
			}},
		}
	case reflect.TypeFor[KeyMap]():
		text := &jsonschema.Schema{Type: "string", MinLength: new(uint64(1))}
		return &jsonschema.Schema{
			Description: "Field in which each stitching key is found: a map of key to field, or a list of keys whose fields have the same names. Without it: every key under its own name.",
			OneOf: []*jsonschema.Schema{
				{Type: "object", MinProperties: new(uint64(1)), AdditionalProperties: &jsonschema.Schema{OneOf: []*jsonschema.Schema{text, {Type: "null"}}}},
				{Type: "array", MinItems: new(uint64(1)), UniqueItems: true, Items: text},
			},
		}
	}
	return nil
}
