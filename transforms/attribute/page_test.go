package attribute_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of README.md anew")

// The tables of the page are those of the code.
func TestPage(t *testing.T) {
	const file = "README.md"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := page
	for name, table := range map[string]string{"kinds": kindsTable(t), "options": optionsTable(), "sizes": sizesTable(t)} {
		between := regexp.MustCompile(`(?s)(<!-- ` + name + `, from the code -->\n).*?(<!-- end -->)`)
		if !between.Match(want) {
			t.Fatalf("the page has no place for the table of %s", name)
		}
		want = between.ReplaceAll(want, []byte("${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}"))
	}
	if *rewrite && !bytes.Equal(page, want) {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(page), "\n"), strings.Split(string(want), "\n")); diff != "" {
		t.Errorf("run go test ./transforms/attribute -run TestPage -rewrite (-page +code):\n%s", diff)
	}
}

func kindsTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| kind | value | session | window | also | answers |\n|---|---|---|---|---|---|\n")
	need := func(n accumulator.Need) string { return [...]string{"", "optional", "required"}[n] }
	for _, k := range accumulator.Kinds() {
		if k.Name == longestKind.Name { // of a test
			continue
		}
		if k.About == "" {
			t.Errorf("kind %s does not say what it is about", k.Name)
		}
		var also []string
		for name, has := range map[string]bool{"unit": k.Unit != accumulator.Refused, "max_items": k.Items, "id, fields, delete_item, clear": k.List} {
			if has {
				also = append(also, name)
			}
		}
		slices.Sort(also)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.Name, need(k.Value), need(k.Session), need(k.Window), strings.Join(also, ", "), k.About)
	}
	return b.String()
}

var described = regexp.MustCompile(`description=(.*)$`)

func optionsTable() string {
	var b strings.Builder
	b.WriteString("| option | |\n|---|---|\n")
	for f := range reflect.TypeFor[attribute.Definition]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || name == "kind" {
			continue
		}
		about := "What a list tells of its items: `{quantity: sum, price: last}`, or where the field has another name `{price: {aggregate: last, value: properties.unit_price}}`. " +
			"The aggregations are last, first, sum, min, max and distinct."
		if m := described.FindStringSubmatch(f.Tag.Get("jsonschema")); m != nil {
			about = strings.ReplaceAll(m[1], `\,`, ",")
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, about)
	}
	return b.String()
}

func sizesTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| attribute | bytes |\n|---|---|\n")
	for _, d := range referenceDefinitions {
		options := ""
		for _, o := range []struct {
			name string
			set  bool
			text any
		}{{"session", d.Session != 0, d.Session}, {"window", d.Window != 0, d.Window}, {"zone", d.Zone != "", d.Zone}} {
			if o.set {
				options += fmt.Sprintf(", %s: %s", o.name, o.text)
			}
		}
		states := benchmarkStates(t, d)
		fmt.Fprintf(&b, "| `kind: %s%s` | %d |\n", d.Kind, options, len(states.Append(nil))-1)
	}
	return b.String()
}

func benchmarkStates(t testing.TB, d attribute.Definition) attribute.States {
	d.Event = "any"
	var states attribute.States
	set := newSet(t, d)
	for i := 0; i < 200; i += 2 {
		states = add(t, set, states, benchmarkEvent(i))
	}
	return states
}

// Twenty attributes such as a shop has take less than a kilobyte per person.
func TestTwentyAttributesAreSmall(t *testing.T) {
	day := minutes(24 * 60)
	definitions := []attribute.Definition{
		{Kind: "counter"}, {Kind: "counter", Session: minutes(30)}, {Kind: "counter", Window: day}, {Kind: "counter", Window: 30 * day},
		{Kind: "sum", Value: "properties.nested.total"}, {Kind: "sum", Value: "properties.nested.total", Window: 30 * day},
		{Kind: "average", Value: "properties.nested.total"}, {Kind: "max", Value: "properties.nested.total"},
		{Kind: "first", Value: "context.referrer"}, {Kind: "last", Value: "properties.label"}, {Kind: "last", Value: "context.page.url"},
		{Kind: "last", Value: "context.device"}, {Kind: "most_frequent", Value: "properties.label"}, {Kind: "distinct", Value: "properties.label"},
		{Kind: "first_time"}, {Kind: "last_time"}, {Kind: "since_last"}, {Kind: "session_start", Session: minutes(30)},
		{Kind: "sessions", Session: minutes(30)},
		{Kind: "list", Event: "bought", ID: "properties.label", Fields: attribute.Fields{{Name: "total", Aggregate: "last", Value: "properties.nested.total"}}},
	}
	for i := range definitions {
		if definitions[i].Name = fmt.Sprintf("a%d", i); definitions[i].Event == "" {
			definitions[i].Event = "any"
		}
	}
	set := newSet(t, definitions...)
	var states attribute.States
	for i := range 20 { // of five categories; every fifth puts something into the cart
		h := benchmarkEvent(i)
		h.label, h.bought = fmt.Sprintf(`"category-%d"`, i%5), i%5 == 0
		states = add(t, set, states, h)
	}
	if size := len(states.Append(nil)); size >= 1024 {
		for _, s := range states {
			t.Logf("%016x %d bytes", s.Hash, len(s.Data))
		}
		t.Errorf("%d bytes", size)
	}
}
