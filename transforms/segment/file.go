package segment

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/catalogue"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/imports"
	"github.com/braidhq/braid/transforms/strict"
)

// File is segment.yaml as it is written.
type File struct {
	// Segment is the name of the parent segment and its namespace everywhere; required, immutable after the first deployment.
	Segment string `yaml:"segment" json:"segment" jsonschema:"required,pattern=^[a-z][a-z0-9_-]{0\\,62}$,description=Name of the parent segment and its namespace everywhere. Immutable after the first deployment."`
	// ProfileKey is the stitching key that tells persons apart, looks profiles up and joins with batch; required, immutable.
	ProfileKey string `yaml:"profile_key" json:"profile_key" jsonschema:"required,description=Stitching key that tells persons apart and looks profiles up; one of keys. It is an attribute of its own name. Immutable after the first deployment."`
	// Limits are raised here only; default DefaultLimits.
	Limits Limits `yaml:"limits" json:"limits,omitzero" jsonschema:"description=Limits that guard the system. The defaults are what the documentation promises; raise them on purpose."`
	// Keys are the stitching keys, most identifying first; required.
	Keys []identity.KeyRule `yaml:"keys" json:"keys" jsonschema:"required,minItems=1,description=Stitching keys\\, most identifying first."`
	// Tables are the event tables by name; required.
	Tables map[string]Table `yaml:"tables" json:"tables" jsonschema:"required,minProperties=1,description=Event tables by name."`
	// Events are the event definitions by name; default none.
	Events map[string]filter.Definition `yaml:"events" json:"events,omitempty" jsonschema:"description=Event definitions by name: the only thing attributes refer to."`
	// Attributes are the real-time attributes by name; default none.
	Attributes map[string]attribute.Definition `yaml:"attributes" json:"attributes,omitempty" jsonschema:"description=Real-time attributes by name."`
	// Catalogues are what lookups ask, by name; default none.
	Catalogues map[string]catalogue.Definition `yaml:"catalogues" json:"catalogues,omitempty" jsonschema:"description=What is known about things rather than people\\, such as products\\, by name: attributes of kind lookup ask it."`
	// Batch is what batch runs bring; default nothing but what events add up to.
	Batch imports.Batch `yaml:"batch" json:"batch,omitzero" jsonschema:"description=What batch runs bring: tables of your own\\, and scores."`
	// Audiences are conditions by name; default none.
	Audiences map[string]string `yaml:"audiences" json:"audiences,omitempty" jsonschema:"description=Audiences by name: whoever the condition holds for is in it. A condition is an expression (CEL) over attributes\\, identifiers and audiences."`
}

// Table is one event table.
type Table struct {
	// Keys says in which field of an event each stitching key is found: a map of key to field, or a list of keys whose fields have
	// the same names; default: every stitching key under its own name. A field is looked up in identifiers, properties and context.
	Keys KeyMap `yaml:"keys" json:"keys,omitzero"`
}

// KeyMap maps stitching keys to fields of events. In YAML it is a map, in which nothing as field means the name of the key, or a
// list of keys.
type KeyMap struct {
	Fields map[string]string // key to field; nil when the file says nothing
	list   []string          // keys as they stood in a list
}

// UnmarshalStrict reads either form.
func (m *KeyMap) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Null:
		return
	case strict.Map:
		fields := map[string]*string{}
		v.Decode(&fields)
		m.Fields = map[string]string{}
		for key, field := range fields {
			m.Fields[key] = key
			if field != nil {
				m.Fields[key] = *field
			}
		}
	case strict.List:
		v.Decode(&m.list)
		m.Fields = map[string]string{}
		for _, key := range m.list {
			m.Fields[key] = key
		}
	default:
		v.Report("like {email: user_email} or [email]", "a map of stitching key to field, or a list of stitching keys is needed, found %s", v.Kind())
	}
}

// IsZero reports whether the file says nothing.
func (m KeyMap) IsZero() bool { return m.Fields == nil }

// MarshalJSON writes the map.
func (m KeyMap) MarshalJSON() ([]byte, error) { return json.Marshal(m.Fields) }

// withDefaults returns a copy with every default filled in.
func (f File) withDefaults() File {
	f.Keys = slices.Clone(f.Keys)
	names := map[string]string{}
	for i := range f.Keys {
		k := &f.Keys[i]
		names[k.Name] = k.Name
		if k.Normalize.Form == "" {
			k.Normalize.Form = identity.Trim
		}
		if k.Junk == "" {
			k.Junk = identity.RefuseJunk
		}
		if k.Policy == "" {
			k.Policy = identity.KeepFirst
		}
	}
	f.Tables = maps.Clone(f.Tables)
	for name, t := range f.Tables {
		t.Keys.list = nil
		if t.Keys.Fields == nil {
			t.Keys.Fields = names
		}
		f.Tables[name] = t
	}
	f.Events = maps.Clone(f.Events)
	for name, d := range f.Events {
		d.Name = name
		f.Events[name] = d
	}
	f.Attributes = maps.Clone(f.Attributes)
	for name, d := range f.Attributes {
		d.Name = name
		f.Attributes[name] = d
	}
	return f
}
