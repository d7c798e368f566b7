package condition_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/filter/condition"
	"github.com/braidhq/braid/transforms/strict"
)

func read(t *testing.T, yaml string) condition.Condition {
	t.Helper()
	var file struct {
		Where condition.Condition `yaml:"where"`
	}
	if err := strict.Decode("it.yaml", []byte("where: "+yaml+"\n"), &file, nil).Err(); err != nil {
		t.Fatal(err)
	}
	return file.Where
}

// Each operator says what it should, and comes back from the expression.
func TestOperators(t *testing.T) {
	const raw = `{"event_id":"e1","table":"orders","time":1767261600000,"identifiers":{"user_id":"7"},"properties":{
		"type":"product","total":12.5,"n":3,"note":null,"express":true,"sku-code":"X-1","tags":["a","b","b"],"at":"2025-12-01T00:00:00Z",
		"lines":[{"sku":"mat","quantity":2,"colors":["red"]},{"sku":"block","quantity":1,"colors":["blue","green"]}]},"context":{"page":{"url":"/cart"}}}`
	e, err := event.Decode(event.Record{Value: []byte(raw), Headers: []event.Header{{Key: "received", Value: []byte("1767261600000")}}}, event.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		yaml, cel string
		want      bool
	}{
		{`{field: properties.type, equal: product}`, `properties.type == "product"`, true},
		{`{field: properties.total, greater: 12}`, `properties.total > 12`, true},
		{`{field: properties.total, greater_equal: 12.5}`, `properties.total >= 12.5`, true},
		{`{field: properties.total, less: 12.5}`, `properties.total < 12.5`, false},
		{`{field: properties.total, less_equal: 12.5}`, `properties.total <= 12.5`, true},
		{`{field: properties.n, between: [1, 3]}`, `properties.n >= 1 && properties.n <= 3`, true},
		{`{field: properties.type, in: [page, product]}`, `properties.type in ["page", "product"]`, true},
		{`{field: context.page.url, contains: art}`, `context.page.url.contains("art")`, true},
		{`{field: context.page.url, starts_with: /c}`, `context.page.url.startsWith("/c")`, true},
		{`{field: context.page.url, ends_with: x}`, `context.page.url.endsWith("x")`, false},
		{`{field: context.page.url, regexp: "^/c.*t$"}`, `context.page.url.matches("^/c.*t$")`, true},
		{`{field: properties.express, equal: true}`, `properties.express == true`, true},
		{`{field: properties.note, is_null: true}`, `!has(properties.note) || properties.note == null`, true},
		{`{field: properties.absent.deeper, is_null: true}`, `!has(properties.absent) || !has(properties.absent.deeper) || properties.absent.deeper == null`, true},
		{`{field: properties.type, is_null: false}`, `!(!has(properties.type) || properties.type == null)`, true},
		{`{field: properties.sku-code, is_null: false}`, `!(!("sku-code" in properties) || properties["sku-code"] == null)`, true},
		{`{field: properties.sku-code, equal: X-1}`, `properties["sku-code"] == "X-1"`, true},
		{`{not: {field: properties.type, equal: product}}`, `!(properties.type == "product")`, false},
		{`{not: {field: properties.n, between: [1, 3]}}`, `!(properties.n >= 1 && properties.n <= 3)`, false},
		{`{field: properties.at, before: "2026-01-01T00:00:00Z"}`, `timestamp(properties.at) < timestamp("2026-01-01T00:00:00Z")`, true},
		{`{field: time, after: "2026-01-01T00:00:00Z"}`, `time > timestamp("2026-01-01T00:00:00Z")`, true},
		{`{field: properties.at, older_than: 30d}`, `time - timestamp(properties.at) > duration("720h0m0s")`, true},
		{`{field: properties.at, newer_than: 30d}`, `time - timestamp(properties.at) < duration("720h0m0s")`, false},
		{`{any_of: properties.tags, where: {field: item, equal: b}}`, `properties.tags.exists(item, item == "b")`, true},
		{`{all_of: properties.lines, where: {field: item.quantity, greater: 1}}`, `properties.lines.all(item, item.quantity > 1)`, false},
		{`{at_least: 2, of: properties.tags, where: {field: item, equal: b}}`, `properties.tags.filter(item, item == "b").size() >= 2`, true},
		{`{any_of: properties.lines, where: {all_of: item.colors, where: {field: item, in: [blue, green]}}}`,
			`properties.lines.exists(item, item.colors.all(item_, item_ in ["blue", "green"]))`, true},
		{`{all: [{field: properties.n, equal: 3}, {any: [{field: properties.n, equal: 4}, {field: properties.type, equal: product}]}]}`,
			`properties.n == 3 && (properties.n == 4 || properties.type == "product")`, true},
		{`{cel: 'properties.n * 2 == 6'}`, `properties.n * 2 == 6`, true},
	} {
		structure := read(t, c.yaml)
		got, err := structure.Expression()
		if err != nil || got != c.cel {
			t.Errorf("%s: %s, %v, want %s", c.yaml, got, err, c.cel)
			continue
		}
		p, err := filter.Compile(got)
		if err != nil {
			t.Errorf("%s: %v", c.yaml, err)
			continue
		}
		if matched, err := p.Match(&e); err != nil || matched != c.want {
			t.Errorf("%s: %v, %v, want %v", c.yaml, matched, err, c.want)
		}
		back, err := condition.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plain(t, structure), plain(t, back)); diff != "" {
			t.Errorf("%s comes back as (-want +got):\n%s", c.yaml, diff)
		}
	}
}

func plain(t interface{ Fatal(...any) }, c condition.Condition) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// Any expression has a structure that means the same, whatever of it no operator says.
func TestExpressionsThatSayMore(t *testing.T) {
	for expression, want := range map[string]string{
		`double(properties.total) > 0.0`:                       `{"cel":"double(properties.total) > 0.0"}`,
		`a || properties.n != 3`:                               `{"any":[{"cel":"a"},{"not":{"field":"properties.n","equal":3}}]}`,
		`properties.x.exists(i, i == 1)`:                       `{"cel":"properties.x.exists(i, i == 1)"}`,
		`properties.x.exists(item, item == properties.y)`:      `{"any_of":"properties.x","where":{"cel":"item == properties.y"}}`,
		`time - received > duration("1h") && table == "x"`:     `{"all":[{"field":"received","older_than":"1h"},{"field":"table","equal":"x"}]}`,
		`properties.n >= -1 && properties.n <= 2.5 && c`:       `{"all":[{"field":"properties.n","between":[-1,2.5]},{"cel":"c"}]}`,
		`properties["a.b"] == 'it\'s "so"'`:                    `{"field":"properties.a\\.b","equal":"it's \"so\""}`,
		`properties.lines.exists(item, properties.n == 1)`:     `{"any_of":"properties.lines","where":{"field":"properties.n","equal":1}}`,
		`has(properties.n) ? properties.n > 1 : false`:         `{"cel":"has(properties.n) ? (properties.n > 1) : false"}`,
		`properties.l.filter(item, item == 1).size() >= 0`:     `{"cel":"properties.l.filter(item, item == 1).size() >= 0"}`,
		`timestamp(properties.at) < timestamp("yesterday")`:    `{"cel":"timestamp(properties.at) < timestamp(\"yesterday\")"}`,
		`!(properties.a == 1 && !has(context.b)) || context.c`: `{"any":[{"not":{"all":[{"field":"properties.a","equal":1},{"not":{"cel":"has(context.b)"}}]}},{"cel":"context.c"}]}`,
	} {
		c, err := condition.Parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := plain(t, c); got != want {
			t.Errorf("%s is %s, want %s", expression, got, want)
		}
	}
	if _, err := condition.Parse("properties.x =="); err == nil {
		t.Error("half an expression has a structure")
	}
}

var (
	fields   = rapid.SampledFrom([]string{"properties.a", "properties.b.c", "context.a-b", `identifiers.x\.y`, "table"})
	literals = rapid.OneOf(rapid.Map(rapid.StringN(0, 4, -1), condition.Text), rapid.Map(rapid.Int64Range(-5, 5), condition.Integer),
		rapid.Map(rapid.Float64Range(-3, 3), condition.Double), rapid.Map(rapid.Bool(), condition.Bool))
	words = rapid.StringMatching(`[a-z"\\/ ]{0,4}`)
)

func draw(t *rapid.T, depth int, field *rapid.Generator[string]) condition.Condition {
	c := condition.Condition{}
	kinds := 13
	if depth > 0 {
		kinds = 18
	}
	kind := rapid.IntRange(0, kinds-1).Draw(t, "kind")
	if kind < 13 {
		c.Field = field.Draw(t, "field")
	}
	literal := func() *condition.Literal { l := literals.Draw(t, "literal"); return &l }
	word := func() *string { s := words.Draw(t, "word"); return &s }
	some := func() (all []condition.Condition) {
		for range rapid.IntRange(2, 3).Draw(t, "n") {
			all = append(all, draw(t, depth-1, field))
		}
		return all
	}
	item := func() *condition.Condition {
		c := draw(t, depth-1, rapid.OneOf(rapid.SampledFrom([]string{"item", "item.q"}), fields))
		return &c
	}
	switch kind {
	case 0:
		c.Equal = literal()
	case 1:
		c.Greater = literal()
	case 2:
		c.GreaterEqual = literal()
	case 3:
		c.Less = literal()
	case 4:
		c.LessEqual = literal()
	case 5:
		c.Between = []condition.Literal{*literal(), *literal()}
	case 6:
		c.In = rapid.SliceOfN(literals, 1, 3).Draw(t, "in")
	case 7:
		c.Contains = word()
	case 8:
		c.StartsWith = word()
	case 9:
		c.EndsWith = word()
	case 10:
		b := rapid.Bool().Draw(t, "null")
		c.IsNull = &b
		if c.Field == "table" || c.Field == "item" {
			c.Field = "properties.a"
		}
	case 11:
		c.Before = "2026-01-01T00:00:00Z"
	case 12:
		c.OlderThan = strict.Duration(time.Duration(rapid.IntRange(1, 1000).Draw(t, "hours")) * time.Hour)
	case 13:
		c.All = some()
	case 14:
		c.Any = some()
	case 15:
		not := draw(t, depth-1, field)
		c.Not = &not
	case 16:
		c.AnyOf, c.Where = "properties.list", item()
	case 17:
		c.Of, c.AtLeast, c.Where = "properties.list", rapid.IntRange(1, 3).Draw(t, "least"), item()
	}
	return c
}

// A structure's expression compiles, and its structure has the same expression again.
func TestThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t, 2, fields)
		expression, err := c.Expression()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := filter.Compile(expression); err != nil && !strings.Contains(err.Error(), "no matching overload") { // 1 < true
			t.Fatalf("%s: %v", expression, err)
		}
		back, err := condition.Parse(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		again, err := back.Expression()
		if err != nil {
			t.Fatalf("%s: %s: %v", expression, plain(t, back), err)
		}
		twice, err := condition.Parse(again)
		if err != nil || plain(t, twice) != plain(t, back) {
			t.Fatalf("%s\n%s\n%s\n%v", plain(t, c), plain(t, back), plain(t, twice), err)
		}
		if strings.Contains(plain(t, back), `"cel"`) {
			t.Fatalf("%s is %s", expression, plain(t, back))
		}
	})
}

func TestMistakes(t *testing.T) {
	for yaml, want := range map[string]string{
		`{}`:                            "says nothing",
		`{equal: 1}`:                    "needs a field",
		`{field: total, equal: 1}`:      "does not begin with",
		`{field: properties, equal: 1}`: "is no field",
		`{field: properties.x, equal: 1, less: 2}`:                     "equal and less cannot stand in one condition",
		`{field: properties.x, between: [1]}`:                          "between: two bounds",
		`{field: properties.x, regexp: "["}`:                           "regexp: error parsing",
		`{field: properties.x, before: tomorrow}`:                      "no moment",
		`{any_of: properties.x}`:                                       "what must hold for the items is missing",
		`{of: properties.x, where: {cel: "true"}}`:                     "at_least is missing",
		`{all: [{field: properties.x, equal: 1}, {any: [{less: 2}]}]}`: "all[1].any[0]: less needs a field",
		`{field: item.x, equal: 1}`:                                    "does not begin with",
	} {
		if _, err := read(t, yaml).Expression(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
}
