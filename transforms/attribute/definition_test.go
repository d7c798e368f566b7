package attribute_test

import (
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/strict"
	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	type def = attribute.Definition
	for name, c := range map[string]struct {
		def  def
		want []string // field: part of the message; none: valid
	}{
		"counter":                    {def{Name: "a", Kind: "counter", Event: "e"}, nil},
		"counter of a constant":      {def{Name: "a", Kind: "counter", Event: "e", Value: "10"}, nil},
		"counter of a field":         {def{Name: "a", Kind: "counter", Event: "e", Value: "properties.points"}, nil},
		"counter with session":       {def{Name: "a", Kind: "counter", Event: "e", Session: minutes(30)}, nil},
		"nested field":               {def{Name: "a", Kind: "last", Event: "e", Value: `context.a.0.b\.c`}, nil},
		"name missing":               {def{Kind: "counter", Event: "e"}, []string{"name: cannot name"}},
		"name with a dash":           {def{Name: "a-b", Kind: "counter", Event: "e"}, []string{"name: cannot name"}},
		"name is a word of CEL":      {def{Name: "in", Kind: "counter", Event: "e"}, []string{"name: expression language"}},
		"event missing":              {def{Name: "a", Kind: "counter"}, []string{"event: missing"}},
		"kind missing":               {def{Name: "a", Event: "e"}, []string{"kind: missing"}},
		"kind unknown":               {def{Name: "a", Kind: "conter", Event: "e"}, []string{`kind: did you mean "counter"?`}},
		"value missing":              {def{Name: "a", Kind: "sum", Event: "e"}, []string{"value: needs a value"}},
		"value refused":              {def{Name: "a", Kind: "last_time", Event: "e", Value: "properties.x"}, []string{"value: takes no value"}},
		"value is a number":          {def{Name: "a", Kind: "sum", Event: "e", Value: "2"}, []string{"value: needs a field"}},
		"counter of a fraction":      {def{Name: "a", Kind: "counter", Event: "e", Value: "1.5"}, []string{"value: whole number"}},
		"counter of a negative":      {def{Name: "a", Kind: "counter", Event: "e", Value: "-1"}, []string{"value: use sum"}},
		"path without root":          {def{Name: "a", Kind: "sum", Event: "e", Value: "total"}, []string{"value: does not begin with"}},
		"path of a root only":        {def{Name: "a", Kind: "sum", Event: "e", Value: "properties"}, []string{"value: no single field"}},
		"path with an empty name":    {def{Name: "a", Kind: "sum", Event: "e", Value: "properties..x"}, []string{"value: empty name"}},
		"path with a dot at its end": {def{Name: "a", Kind: "sum", Event: "e", Value: "properties.x."}, []string{"value: empty name"}},
		"path ends with a backslash": {def{Name: "a", Kind: "sum", Event: "e", Value: `properties.x\`}, []string{"value: ends with"}},
		"path too long":              {def{Name: "a", Kind: "sum", Event: "e", Value: attribute.Operand("properties." + strings.Repeat("x", 300))}, []string{"value: at most 256"}},
		"session missing":            {def{Name: "a", Kind: "sessions", Event: "e"}, []string{"session: needs a session"}},
		"session refused":            {def{Name: "a", Kind: "sum", Event: "e", Value: "properties.x", Session: minutes(30)}, []string{"session: takes no session"}},
		"session too short":          {def{Name: "a", Kind: "sessions", Event: "e", Session: 1000}, []string{"session: not within"}},
		"session too long":           {def{Name: "a", Kind: "sessions", Event: "e", Session: minutes(31 * 24 * 60)}, []string{"session: not within"}},
		"session with microseconds":  {def{Name: "a", Kind: "sessions", Event: "e", Session: minutes(1) + 1000}, []string{"session: whole number of milliseconds"}},
		"several":                    {def{Kind: "sum"}, []string{"name: cannot name", "event: missing", "value: needs a value"}},
	} {
		t.Run(name, func(t *testing.T) {
			errs := c.def.Validate()
			if len(errs) != len(c.want) {
				t.Fatalf("errors = %v, want %q", errs, c.want)
			}
			for i, e := range errs {
				field, part, _ := strings.Cut(c.want[i], ": ")
				if e.Field != field || !strings.Contains(e.Error(), part) {
					t.Errorf("error = %v, want %q", e, c.want[i])
				}
			}
		})
	}
}

func TestYAML(t *testing.T) {
	var got map[string]attribute.Definition
	doc := strict.Decode("segment.yaml", []byte(`
views_this_session: {kind: counter, event: viewed, session: 30m}
points: {kind: counter, event: bought, value: 10}
last_category: {kind: single, event: viewed, value: properties.category, sensitive: true}
`), &got, nil)
	if err := doc.Err(); err != nil {
		t.Fatal(err)
	}
	want := map[string]attribute.Definition{
		"views_this_session": {Kind: "counter", Event: "viewed", Session: minutes(30)},
		"points":             {Kind: "counter", Event: "bought", Value: "10"},
		"last_category":      {Kind: "single", Event: "viewed", Value: "properties.category", Sensitive: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	doc = strict.Decode("segment.yaml", []byte("a: {kind: sum, event: e, value: [x]}\n"), &got, nil)
	if err := doc.Err(); err == nil || !strings.Contains(err.Error(), "a field or a number is needed") {
		t.Errorf("a list as a value: %v", err)
	}
}

func TestNewSetNamesEachWrongDefinition(t *testing.T) {
	_, err := attribute.NewSet([]attribute.Definition{
		{Name: "a", Kind: "counter", Event: "nothing"},
		{Name: "b", Kind: "sum", Event: "any"},
		{Name: "b", Kind: "counter", Event: "any"},
	}, referenceEvents, attribute.Limits{})
	want := []string{
		`attribute "a": event: there is no event definition "nothing"`,
		`attribute "b": value: kind sum needs a value (name a field, for example properties.total)`,
		`attribute "b": name: another attribute has this name`,
	}
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	many := make([]attribute.Definition, 201)
	if _, err := attribute.NewSet(many, referenceEvents, attribute.Limits{}); err == nil || !strings.Contains(err.Error(), "201 attributes, the limit is 200") {
		t.Errorf("201 definitions: %v", err)
	}
}
