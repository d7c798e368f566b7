package segment

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/audience"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/strict"
)

var (
	segmentName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	plainName   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}$`)
	// expressionNames cannot name an attribute: expressions over profiles and events know them as something else.
	expressionNames = []string{"properties", "context", "identifiers", "time", "received", "table", "event_id", "profile_id", "now", "audiences"}
)

// validator checks a decoded file and points each mistake to its place.
type validator struct {
	doc       *strict.Document
	file      *File
	events    *filter.Set
	audiences *audience.Set
}

func (v *validator) validate() {
	v.checkLimits()
	v.checkSegment()
	v.checkKeys()
	v.checkTables()
	v.checkEvents()
	v.checkAttributes()
	v.checkAudiences()
	v.checkBatch()
	v.checkCatalogues()
}

// limit reports a section that holds more than the limit of that name allows.
func (v *validator) limit(path strict.Path, n int, what string, most int, name string) {
	if n > most && !v.doc.Failed(strict.Path("limits").Key(name)) {
		v.doc.ReportKey(path, "limits."+name+" raises it", "%d %s, the limit is %d", n, what, most)
	}
}

func (v *validator) checkLimits() {
	for _, b := range v.file.Limits.bounds() {
		path := strict.Path("limits").Key(b.name)
		if (b.value < 1 || b.value > b.max) && !v.doc.Failed(path) {
			v.doc.Report(path, "", "%d is not within 1 and %d", b.value, b.max)
		}
	}
}

func (v *validator) checkSegment() {
	const nameRule = "a lower-case letter, then lower-case letters, digits, _ and -, at most 63"
	switch name := v.file.Segment; {
	case v.doc.Failed("segment"):
	case name == "":
		v.doc.Report("segment", nameRule, "the name of the segment is missing")
	case !segmentName.MatchString(name):
		v.doc.Report("segment", nameRule, "%q cannot name a segment", name)
	}
	keys := v.keyNames()
	switch key := v.file.ProfileKey; {
	case v.doc.Failed("profile_key"):
	case key == "":
		v.doc.Report("profile_key", "name the stitching key that tells persons apart, for example customer_id", "the profile key is missing")
	case len(keys) > 0 && !slices.Contains(keys, key) && !v.doc.Failed("keys"):
		v.doc.Report("profile_key", strict.Suggest(key, keys), "%q is not one of keys", key)
	}
}

func (v *validator) keyNames() []string {
	var names []string
	for _, k := range v.file.Keys {
		names = append(names, k.Name)
	}
	return names
}

func (v *validator) checkKeys() {
	if len(v.file.Keys) == 0 && !v.doc.Failed("keys") {
		v.doc.ReportKey("keys", "for example: keys: [{name: customer_id}]", "a segment needs at least one stitching key")
	}
	v.limit("keys", len(v.file.Keys), "stitching keys", v.file.Limits.StitchingKeys, "stitching_keys")
	first := map[string]string{}
	for i, k := range v.file.Keys {
		path := strict.Path("keys").Index(i)
		if !v.doc.Failed(path) {
			for _, e := range k.Validate() {
				v.doc.Report(path.Key(e.Field), "", "%s", e.Message)
			}
		}
		if k.Name == "" {
			continue
		}
		v.checkName(path.Key("name"), k.Name, "a stitching key", v.doc.Report)
		if other, ok := first[strings.ToLower(k.Name)]; ok {
			if other == k.Name {
				v.doc.Report(path.Key("name"), "", "stitching key %q is listed twice", k.Name)
			} else {
				v.doc.Report(path.Key("name"), "", "%q differs from %q only in case", k.Name, other)
			}
		}
		first[strings.ToLower(k.Name)] = k.Name
	}
}

// checkName reports a name that could not stand in expressions, topics and columns.
func (v *validator) checkName(path strict.Path, name, what string, report func(strict.Path, string, string, ...any)) {
	if !plainName.MatchString(name) {
		report(path, "a letter, then letters, digits and _, at most 64", "%q cannot name %s", name, what)
	}
}

// checkNames checks the names of a section.
func (v *validator) checkNames(section strict.Path, names []string, what string) {
	first := map[string]string{}
	for _, name := range names {
		v.checkName(section.Key(name), name, what, v.doc.ReportKey)
		if other, ok := first[strings.ToLower(name)]; ok {
			v.doc.ReportKey(section.Key(name), "", "%q differs from %q only in case", name, other)
		}
		first[strings.ToLower(name)] = name
	}
}

func (v *validator) checkTables() {
	names := slices.Sorted(maps.Keys(v.file.Tables))
	if len(names) == 0 && !v.doc.Failed("tables") {
		v.doc.ReportKey("tables", "for example: tables: {page_view: {}}", "a segment needs at least one event table")
	}
	v.limit("tables", len(names), "event tables", v.file.Limits.EventTables, "event_tables")
	v.checkNames("tables", names, "an event table")
	for _, name := range names {
		v.checkKeyMap(strict.Path("tables").Key(name).Key("keys"), v.file.Tables[name].Keys)
	}
}

func (v *validator) checkKeyMap(path strict.Path, m KeyMap) {
	if m.IsZero() || v.doc.Failed(path) {
		return
	}
	known := v.keyNames()
	unknown := func(report func(strict.Path, string, string, ...any), at strict.Path, key string) {
		if !slices.Contains(known, key) {
			report(at, strict.Suggest(key, known), "there is no stitching key %q", key)
		}
	}
	if len(m.Fields) == 0 {
		v.doc.Report(path, "leave keys out to look for all of them", "without a key no event of the table belongs to anybody")
	}
	for i, key := range m.list {
		unknown(v.doc.Report, path.Index(i), key)
		if slices.Contains(m.list[:i], key) {
			v.doc.Report(path.Index(i), "", "stitching key %q is listed twice", key)
		}
	}
	if m.list != nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m.Fields)) {
		unknown(v.doc.ReportKey, path.Key(key), key)
		if field := m.Fields[key]; field == "" || len(field) > 256 {
			v.doc.Report(path.Key(key), "", "the name of a field has 1 to 256 bytes")
		}
	}
}

func (v *validator) checkEvents() {
	names := slices.Sorted(maps.Keys(v.file.Events))
	v.checkNames("events", names, "an event definition")
	tables := slices.Sorted(maps.Keys(v.file.Tables))
	characters := 0
	definitions := make([]filter.Definition, 0, len(names))
	for _, name := range names {
		path := strict.Path("events").Key(name)
		d := v.file.Events[name]
		d.Name = name
		definitions = append(definitions, d)
		characters += utf8.RuneCountInString(string(d.Where))
		switch {
		case v.doc.Failed(path.Key("table")):
		case d.Table == "":
			v.doc.ReportKey(path, "for example {table: page_view}", "the table of the event definition is missing")
		case !slices.Contains(tables, d.Table):
			v.doc.Report(path.Key("table"), strict.Suggest(d.Table, tables), "there is no event table %q", d.Table)
		}
	}
	v.limit("events", characters, "characters in all filters together", v.file.Limits.FilterCharacters, "filter_characters")
	set, err := filter.NewSet(definitions)
	v.events = set
	for _, err := range split(err) {
		var d *filter.DefinitionError
		var problems filter.Errors
		if !errors.As(err, &d) || !errors.As(d.Err, &problems) {
			v.doc.Report("events", "", "%v", err)
			continue
		}
		for _, p := range problems {
			v.doc.ReportIn(strict.Path("events").Key(d.Name).Key("where"), p.Line, p.Column, p.Hint, "%s", p.Message)
		}
	}
}

func (v *validator) checkAudiences() {
	names := slices.Sorted(maps.Keys(v.file.Audiences))
	v.limit("audiences", len(names), "audiences", v.file.Limits.Audiences, "audiences")
	var definitions []audience.Definition
	for _, name := range names {
		definitions = append(definitions, audience.Definition{Name: name, When: v.file.Audiences[name]})
	}
	var wrong []*audience.DefinitionError
	v.audiences, wrong = audience.NewSet(definitions, slices.Sorted(maps.Keys(v.file.Attributes)))
	for _, e := range wrong {
		if v.doc.Failed(strict.Path("audiences").Key(e.Name)) {
			continue
		}
		v.doc.ReportIn(strict.Path("audiences").Key(e.Name), max(e.Line, 1), max(e.Column, 1), e.Hint, "%s", e.Message)
	}
}

// split undoes errors.Join.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func (v *validator) checkAttributes() {
	names := slices.Sorted(maps.Keys(v.file.Attributes))
	v.limit("attributes", len(names), "attributes", v.file.Limits.Attributes, "attributes")
	events := slices.Sorted(maps.Keys(v.file.Events))
	first := map[string]string{}
	var all []attribute.Definition
	for _, name := range names {
		path := strict.Path("attributes").Key(name)
		d := v.file.Attributes[name]
		d.Name = name
		switch other, clash := first[strings.ToLower(name)]; {
		case name == v.file.ProfileKey:
			v.doc.ReportKey(path, "choose another name", "the profile key is an attribute of this name already")
		case slices.Contains(expressionNames, name):
			v.doc.ReportKey(path, "choose another name", "expressions know %q as something else", name)
		case clash:
			v.doc.ReportKey(path, "", "%q differs from %q only in case", name, other)
		}
		first[strings.ToLower(name)] = name
		all = append(all, d)
		for _, ref := range [...]struct{ field, event string }{{"event", d.Event}, {"delete_item", d.DeleteItem}, {"clear", d.Clear}} {
			if ref.event != "" && !slices.Contains(events, ref.event) {
				v.doc.Report(path.Key(ref.field), strict.Suggest(ref.event, events), "there is no event definition %q", ref.event)
			}
		}
		if zone := d.ZoneAttribute(); zone != "" {
			switch other, known := v.file.Attributes[zone]; {
			case !known:
				v.doc.Report(path.Key("zone"), strict.Suggest(zone, names), "%q is neither a time zone nor an attribute", zone)
			case other.Zone != "":
				v.doc.Report(path.Key("zone"), "", "attribute %q has a zone itself", zone)
			}
		}
		for _, e := range d.Validate() {
			at := path
			for field := range strings.SplitSeq(e.Field, ".") {
				at = at.Key(field)
			}
			switch {
			case e.Field == "name" || !v.doc.Has(at):
				v.doc.ReportKey(path, e.Hint, "%s", e.Message)
			case !v.doc.Failed(at):
				v.doc.Report(at, e.Hint, "%s", e.Message)
			}
		}
	}
	for _, e := range attribute.CheckDerived(all) {
		v.doc.ReportIn(strict.Path("attributes").Key(e.Name).Key(e.Err.Field), max(e.Line, 1), max(e.Column, 1), e.Err.Hint, "%s", e.Err.Message)
	}
}
