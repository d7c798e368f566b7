package segment_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/strict"
)

var rewrite = flag.Bool("rewrite", false, "write the expected texts anew")

func files(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatal("no files", pattern, err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		if out[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func goodFiles(t testing.TB) map[string][]byte {
	good := files(t, "*.yml")
	for name := range good {
		if strings.HasSuffix(name, ".bad.yml") {
			delete(good, name)
		}
	}
	return good
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestBadFiles(t *testing.T) {
	for name, data := range files(t, "*.bad.yml") {
		t.Run(name, func(t *testing.T) {
			s, err := segment.Parse(name, data)
			if s != nil || strict.AsErrors(err) == nil {
				t.Fatalf("segment %v, error %v", s, err)
			}
			golden(t, filepath.Join("testdata", strings.TrimSuffix(name, ".yml")+".txt"), err.Error()+"\n")
		})
	}
}

func TestParse(t *testing.T) {
	s, err := segment.Parse("testdata/retail.yml", read(t, "testdata/retail.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "retail" || s.ProfileKey != "customer_id" || s.Rules.ProfileKey() != "customer_id" || s.Limits != segment.DefaultLimits() {
		t.Errorf("%s %s %+v", s.Name, s.ProfileKey, s.Limits)
	}
	tables := map[string][]identity.Source{
		"page_view":  {{Key: "customer_id", Field: "user_id"}, {Key: "cookie", Field: "anonymous_id"}},
		"orders":     {{Key: "customer_id", Field: "customer_id"}, {Key: "email", Field: "email"}},
		"forms":      {{Key: "email", Field: "email"}, {Key: "cookie", Field: "context.cookie"}},
		"everything": {{Key: "customer_id", Field: "customer_id"}, {Key: "email", Field: "email"}, {Key: "cookie", Field: "cookie"}},
	}
	if diff := cmp.Diff(tables, s.Tables); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"purchased", "signed_up", "viewed"}, s.EventNames); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	r, err := event.New(event.Draft{ID: "e", Table: "orders", Properties: json.RawMessage(`{"total":5,"items":[{"quantity":1}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Decode(r, event.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	matched := s.Events.Match(&e, nil)
	if diff := cmp.Diff([]int{0}, matched); diff != "" {
		t.Errorf("matched (-want +got):\n%s", diff)
	}
	states, violations, err := s.Attributes.Add(nil, &e, matched)
	if err != nil || violations != nil {
		t.Fatal(err, violations)
	}
	results, err := s.Attributes.Results(e.Received, states, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range results {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"last_category", "points", "products_seen", "revenue", "views_this_session"}, names); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	c := s.Config()
	if c.Namespace != "retail" || c.MaxListed != 200 || c.Limits.Bytes != 1<<20 || c.Rules != s.Rules || c.Events != s.Events || c.Attributes != s.Attributes {
		t.Errorf("config %+v", c)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLimitsAreRaisedInTheFile(t *testing.T) {
	for name, limit := range map[string]string{
		"keys_limit.bad.yml":       "stitching_keys: 101",
		"tables_limit.bad.yml":     "event_tables: 101",
		"filters_limit.bad.yml":    "filter_characters: 2000",
		"attributes_limit.bad.yml": "attributes: 201",
	} {
		data := append(files(t, name)[name], "limits: {"+limit+"}\n"...)
		if _, err := segment.Parse(name, data); err != nil {
			t.Errorf("%s with %s: %v", name, limit, err)
		}
	}
}

func TestHash(t *testing.T) {
	parse := func(source string) *segment.Segment {
		t.Helper()
		s, err := segment.Parse("s.yml", []byte(source))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	source := string(files(t, "retail.yml")["retail.yml"])
	s := parse(source)
	canonical, err := s.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for what, same := range map[string]string{
		"comments":         "# more\n" + strings.ReplaceAll(source, "\n\n", "\n# here\n\n"),
		"order of fields":  strings.Replace(source, "segment: retail\nprofile_key: customer_id\n", "profile_key: customer_id\nsegment: retail\n", 1),
		"defaults":         strings.Replace(source, "{name: customer_id}", "{name: customer_id, normalize: trim, policy: keep_first}", 1) + "limits: {attributes: 200}\n",
		"keys of a table":  strings.Replace(source, "keys: [customer_id, email]", "keys: {email: email, customer_id: customer_id}", 1),
		"canonical form":   string(canonical),
		"line ends":        strings.ReplaceAll(source, "\n", "\r\n"),
		"byte order mark":  "\ufeff" + source,
		"keys left out":    strings.Replace(source, "everything:", "everything: {keys: [cookie, email, customer_id]}", 1),
		"other quotations": strings.Replace(source, "[unknown, 'null', '0']", `["unknown", "null", "0"]`, 1),
	} {
		if got := parse(same).Hash; got != s.Hash {
			t.Errorf("%s change the hash", what)
		}
	}
	for what, other := range map[string]string{
		"order of keys": strings.Replace(source, "  - {name: customer_id}\n  - {name: email, normalize: email}\n", "  - {name: email, normalize: email}\n  - {name: customer_id}\n", 1),
		"filter":        strings.Replace(source, `"product"`, `"page"`, 1),
		"limit":         source + "limits: {attributes: 300}\n",
		"name":          strings.Replace(source, "segment: retail", "segment: other", 1),
		"attribute":     strings.Replace(source, "value: 10", "value: 11", 1),
	} {
		if parse(other).Hash == s.Hash {
			t.Errorf("another %s does not change the hash", what)
		}
	}
}

func TestSchema(t *testing.T) {
	b, err := segment.Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "segment.schema.json", string(b))

	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("segment.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("segment.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(data []byte) error {
		asJSON, err := yaml.YAMLToJSON(data)
		if err != nil {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	for name, data := range goodFiles(t) {
		if err := check(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := files(t, "*.bad.yml")
	for _, name := range []string{"nothing", "segment_name", "segment_missing", "profile_key_missing", "keys_missing", "key_name", "key_normalize", "key_policy", "key_limit",
		"table_name", "table_keys", "event_name", "attribute_name", "attribute_session", "limits", "sections_later", "kinds"} {
		data, ok := bad[name+".bad.yml"]
		if !ok {
			t.Fatal("no file", name)
		}
		if check(data) == nil {
			t.Errorf("the schema accepts %s", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, data := range files(f, "*.yml") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 10_000 {
			return
		}
		s, err := segment.Parse("fuzz.yml", data)
		if err != nil {
			if errs := strict.AsErrors(err); len(errs) == 0 || errs[0].Line < 1 || s != nil {
				t.Fatalf("segment %v, error %#v", s, err)
			}
			return
		}
		canonical, err := s.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		again, err := segment.Parse("canonical.json", canonical)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v\n%s", err, canonical)
		}
		if again.Hash != s.Hash {
			t.Fatalf("the canonical form has another hash: %s", canonical)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := files(b, "retail.yml")["retail.yml"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := segment.Parse("retail.yml", data); err != nil {
			b.Fatal(err)
		}
	}
}
