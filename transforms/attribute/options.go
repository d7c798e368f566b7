package attribute

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/strict"
)

// Bounds of options.
const (
	MinWindow = Duration(time.Minute)
	MaxWindow = Duration(400 * 24 * time.Hour)
	// MaxDays is how many local days a window may have.
	MaxDays = 31
	// MaxItems bounds Definition.MaxItems.
	MaxItems = 1000
	// MaxFields is how many fields the items of a list may have.
	MaxFields = 20
)

// zonePane is in what steps local days are cut: all time zones of today are a whole number of quarters of an hour apart.
const zonePane = 15 * time.Minute

var paneLengths = []time.Duration{time.Minute, 15 * time.Minute, time.Hour, 24 * time.Hour}

var units = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// ListField is one thing that a list tells of its items. In YAML the name is its key, and the aggregation alone or both stand behind it.
type ListField struct {
	Name string `yaml:"-" json:"-"`
	// Aggregate is last, first, sum, min, max or distinct.
	Aggregate string `yaml:"aggregate" json:"aggregate"`
	// Value is the path of the field in the event; default properties.NAME.
	Value Operand `yaml:"value,omitempty" json:"value,omitempty"`
}

func (f ListField) path() Operand {
	if f.Value == "" {
		return Operand("properties." + f.Name)
	}
	return f.Value
}

// Fields are the fields of a list, by ascending name.
type Fields []ListField

// UnmarshalStrict reads {quantity: sum, price: {aggregate: last, value: properties.unit_price}}.
func (f *Fields) UnmarshalStrict(v strict.Value) {
	if v.Kind() != strict.Map {
		v.Report("write for example: fields: {quantity: sum, price: last}", "a map of name to aggregation is needed, found %s", v.Kind())
		return
	}
	fields := map[string]ListField{}
	v.Decode(&fields)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field := fields[name]
		field.Name = name
		*f = append(*f, field)
	}
}

// MarshalJSON writes a map.
func (f Fields) MarshalJSON() ([]byte, error) {
	fields := map[string]ListField{}
	for _, field := range f {
		fields[field.Name] = field
	}
	return json.Marshal(fields)
}

// UnmarshalStrict reads an aggregation alone, or with a value.
func (f *ListField) UnmarshalStrict(v strict.Value) {
	if v.Kind() == strict.Map {
		type plain ListField
		v.Decode((*plain)(f))
		return
	}
	v.Decode(&f.Aggregate)
}

// spec returns what the accumulator is told, with defaults.
func (d Definition) spec() accumulator.Spec {
	s := accumulator.Spec{
		Session: time.Duration(d.Session), Window: time.Duration(d.Window), Pane: time.Duration(d.pane()), Days: d.Zone != "",
		Unit: units[d.Unit], Items: d.MaxItems,
	}
	if s.Items == 0 && d.Kind == "list" {
		s.Items = accumulator.DefaultItems
	}
	for _, f := range d.Fields {
		s.Fields = append(s.Fields, accumulator.Field{Name: f.Name, How: accumulator.Aggregations[f.Aggregate]})
	}
	return s
}

// pane returns the length of a pane, with its default.
func (d Definition) pane() Duration {
	switch {
	case d.Window == 0:
		return 0
	case d.Zone != "":
		return Duration(zonePane)
	case d.Pane != 0:
		return d.Pane
	case d.Window <= Duration(6*time.Hour):
		return Duration(time.Minute)
	case d.Window <= Duration(14*24*time.Hour):
		return Duration(time.Hour)
	}
	return Duration(24 * time.Hour)
}

// Describe says in a few words how events are summarized: "counter over 7d", "sessions with pauses of 30m", "derived".
func (d Definition) Describe() string {
	text := d.Kind
	if d.Session != 0 {
		text += " with pauses of " + d.Session.String()
	}
	switch {
	case d.Zone != "":
		text += " over " + d.Window.String() + " in " + d.Zone
	case d.Window != 0:
		text += " over " + d.Window.String()
	}
	return text
}

// kindsWith lists the kinds for which something holds.
func kindsWith(holds func(accumulator.Kind) bool) string {
	var names []string
	for _, k := range accumulator.Kinds() {
		if holds(k) {
			names = append(names, k.Name)
		}
	}
	if n := len(names); n > 1 {
		names = append(names[:n-2], names[n-2]+" and "+names[n-1])
	}
	return strings.Join(names, ", ")
}

// validateOptions checks the fields that only some kinds have.
func (d Definition) validateOptions(k *accumulator.Kind) []*FieldError {
	var errs []*FieldError
	wrong := func(field, hint, format string, args ...any) {
		errs = append(errs, &FieldError{Field: field, Hint: hint, Message: fmt.Sprintf(format, args...)})
	}
	refuse := func(field string, set, has bool, which func(accumulator.Kind) bool) {
		if set && !has {
			wrong(field, "leave it out; it belongs to "+kindsWith(which), "kind %s takes no %s", d.Kind, field)
		}
	}
	refuse("window", d.Window != 0, k.Window != accumulator.Refused, func(k accumulator.Kind) bool { return k.Window != accumulator.Refused })
	refuse("unit", d.Unit != "", k.Unit != accumulator.Refused, func(k accumulator.Kind) bool { return k.Unit != accumulator.Refused })
	refuse("max_items", d.MaxItems != 0, k.Items, func(k accumulator.Kind) bool { return k.Items })
	for field, set := range map[string]bool{"id": d.ID != "", "fields": len(d.Fields) > 0, "delete_item": d.DeleteItem != "", "clear": d.Clear != ""} {
		refuse(field, set, k.List, func(k accumulator.Kind) bool { return k.List })
	}
	switch {
	case d.Window == 0 && k.Window == accumulator.Required:
		wrong("window", "for example window: 30d", "kind %s needs a window", d.Kind)
	case d.Window != 0 && (d.Window < MinWindow || d.Window > MaxWindow):
		wrong("window", "30d is usual", "%s is not within %s and %s", d.Window, MinWindow, MaxWindow)
	case d.Window != 0 && d.Session != 0 && k.Session == accumulator.Optional:
		wrong("window", "leave one of them out", "a session has no window")
	case d.Window == 0 && d.Pane != 0:
		wrong("pane", "leave it out", "there is no window")
	case d.Window == 0 && d.Zone != "":
		wrong("zone", "for example window: 1d, which is today", "there is no window")
	case d.Zone != "" && (d.Window%Duration(24*time.Hour) != 0 || d.Window > Duration(MaxDays*24*time.Hour)):
		wrong("window", "1d is today, 7d today and the six days before", "with a zone it is a whole number of days, at most %d, found %s", MaxDays, d.Window)
	case d.Zone != "" && d.Pane != 0:
		wrong("pane", "leave it out", "local days have panes of %s", Duration(zonePane))
	case d.Pane != 0 && !slices.Contains(paneLengths, time.Duration(d.Pane)):
		wrong("pane", "one of 1m, 15m, 1h and 1d", "%s cannot be the length of a pane", d.Pane)
	case d.Window != 0 && d.Window%d.pane() != 0:
		wrong("window", "", "%s is not a whole number of panes of %s", d.Window, d.pane())
	case d.Window != 0 && d.Window/d.pane() > accumulator.MaxPanes:
		wrong("pane", "take a longer one", "a window of %s has %d panes of %s, the limit is %d", d.Window, d.Window/d.pane(), d.Pane, accumulator.MaxPanes)
	}
	if _, known := units[d.Unit]; d.Unit != "" && !known {
		wrong("unit", "one of second, minute, hour and day", "unknown unit %q", d.Unit)
	}
	if d.MaxItems < 0 || d.MaxItems > MaxItems {
		wrong("max_items", "", "%d is not within 1 and %d", d.MaxItems, MaxItems)
	}
	if d.Zone != "" && !zoneIsAttribute(d.Zone) {
		if _, err := time.LoadLocation(d.Zone); err != nil {
			wrong("zone", "an IANA name such as Europe/Berlin, or an attribute that holds one", "unknown time zone %q", d.Zone)
		}
	}
	if k.List {
		errs = append(errs, d.validateList(k)...)
	}
	for field, set := range map[string]bool{"catalogue": d.Catalogue != "", "column": d.Column != ""} {
		refuse(field, set, k.Lookup, func(k accumulator.Kind) bool { return k.Lookup })
		if k.Lookup && !set {
			wrong(field, "for example {kind: lookup, catalogue: products, value: last_product, column: name}", "kind %s needs a %s", d.Kind, field)
		}
	}
	const fromHint = "the name of an import or a score, a point, and the name of a column, for example loyalty.tier"
	switch {
	case d.From == "" && k.Imported:
		wrong("from", fromHint, "kind %s needs to know where its values come from", d.Kind)
	case d.From != "" && !k.Imported:
		wrong("from", "leave it out; it belongs to "+kindsWith(func(k accumulator.Kind) bool { return k.Imported }), "kind %s takes no from", d.Kind)
	case k.Imported && !importedFrom.MatchString(d.From):
		wrong("from", fromHint, "%q names no column", d.From)
	}
	return errs
}

// ZoneAttribute returns the name of the attribute that holds the time zone, "" when none does.
func (d Definition) ZoneAttribute() string {
	if d.Zone == "" || !zoneIsAttribute(d.Zone) {
		return ""
	}
	return d.Zone
}

// zoneIsAttribute reports whether a zone names an attribute: time zones have a slash, or are UTC.
func zoneIsAttribute(zone string) bool { return attributeName.MatchString(zone) && zone != "UTC" }

func (d Definition) validateList(k *accumulator.Kind) []*FieldError {
	var errs []*FieldError
	wrong := func(field, hint, format string, args ...any) {
		errs = append(errs, &FieldError{Field: field, Hint: hint, Message: fmt.Sprintf(format, args...)})
	}
	if d.ID == "" {
		wrong("id", "for example id: properties.sku", "a list needs to know what tells its items apart")
	} else if message, hint := d.ID.check(k); message != "" {
		wrong("id", hint, "%s", message)
	}
	if len(d.Fields) > MaxFields {
		wrong("fields", "", "%d fields, the limit is %d", len(d.Fields), MaxFields)
	}
	for _, f := range d.Fields {
		field := "fields." + f.Name
		if !attributeName.MatchString(f.Name) || f.Name == "id" {
			wrong(field, "a letter, then letters, digits and _; id is taken", "%q cannot name a field", f.Name)
		}
		if _, known := accumulator.Aggregations[f.Aggregate]; !known {
			names := slices.Sorted(maps.Keys(accumulator.Aggregations))
			hint := strict.Suggest(f.Aggregate, names)
			if hint == "" {
				hint = "known are: " + strings.Join(names, ", ")
			}
			wrong(field, hint, "unknown aggregation %q", f.Aggregate)
		}
		if message, hint := f.path().check(k); message != "" {
			wrong(field, hint, "%s", message)
		}
	}
	for field, event := range map[string]string{"delete_item": d.DeleteItem, "clear": d.Clear} {
		if event != "" && (event == d.Event || field == "clear" && event == d.DeleteItem) {
			wrong(field, "", "one event definition cannot do two things to a list")
		}
	}
	return errs
}
