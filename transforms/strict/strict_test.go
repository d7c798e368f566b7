package strict_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/transforms/strict"
)

var rewrite = flag.Bool("rewrite", false, "write the expected texts anew")

type config struct {
	Name    string                   `yaml:"name"`
	Size    int8                     `yaml:"size"`
	Count   uint                     `yaml:"count"`
	Ratio   float64                  `yaml:"ratio"`
	On      bool                     `yaml:"on"`
	Wait    strict.Duration          `yaml:"wait"`
	After   strict.Duration          `yaml:"after"`
	Texts   []string                 `yaml:"texts"`
	Keys    []key                    `yaml:"keys"`
	Tables  map[string]table         `yaml:"tables"`
	Secret  strict.Secret            `yaml:"secret"`
	Secrets map[string]strict.Secret `yaml:"secrets"`
	Either  either                   `yaml:"either"`
	Day     time.Time                `yaml:"day"`
	Inner   `yaml:",inline"`
	Ignored string `yaml:"-"`
	hidden  string
}

type key struct {
	Name      string `yaml:"name"`
	Normalize string `yaml:"normalize"`
	Where     string `yaml:"where"`
}

type table struct {
	Size *int `yaml:"size"`
}

type Inner struct {
	Deep string `yaml:"deep"`
}

// either is a text or a list of texts.
type either []string

func (e *either) UnmarshalStrict(v strict.Value) {
	switch v.Kind() {
	case strict.Text:
		*e = either{v.Text()}
	case strict.List:
		v.Decode((*[]string)(e))
	default:
		v.Report("like 'a' or [a, b]", "a text or a list is needed")
	}
}

func environment(name string) (string, bool) {
	if name == "SET" {
		return "s3cr3t", true
	}
	return "", false
}

func decode(t testing.TB, source string) (config, *strict.Document) {
	t.Helper()
	var c config
	return c, strict.Decode("a.yml", []byte(source), &c, environment)
}

func TestDecode(t *testing.T) {
	source := "\ufeff# a comment\r\nname: it's $5 and ${SET}\r\nsize: -8\ncount: 0x1F\nratio: 1\non: true\nwait: 7d\ntexts: ['12', no, |-\n  block]\n" +
		"keys:\n  - name: email\n    normalize: lower\n  - {name: 'null'}\ntables: {a b: {size: 3}, c: , 7: {}}\nsecret: ${SET}\neither: [x, y]\nday: '2010-12-01T08:00:00Z'\ndeep: below\n"
	source = strings.Replace(source, ", |-\n  block", "", 1)
	got := config{Count: 3, Ratio: 2, After: strict.Duration(time.Second), hidden: "kept"}
	if err := strict.Decode("a.yml", []byte(source), &got, environment).Err(); err != nil {
		t.Fatal(err)
	}
	three := 3
	want := config{Name: "it's $5 and ${SET}", Size: -8, Count: 31, Ratio: 1, On: true, Wait: strict.Duration(7 * 24 * time.Hour), After: strict.Duration(time.Second),
		Texts: []string{"12", "no"}, Keys: []key{{Name: "email", Normalize: "lower"}, {Name: "null"}}, Tables: map[string]table{"a b": {&three}, "c": {}, "7": {}},
		Either: either{"x", "y"}, Day: time.Date(2010, 12, 1, 8, 0, 0, 0, time.UTC), Inner: Inner{"below"}, hidden: "kept"}
	if got.Secret.Reveal() != "s3cr3t" || got.Secret.Name() != "SET" {
		t.Errorf("secret %q from %q", got.Secret.Reveal(), got.Secret.Name())
	}
	got.Secret = strict.Secret{}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}), cmp.Comparer(func(a, b strict.Secret) bool { return a.Reveal() == b.Reveal() })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeNothing(t *testing.T) {
	for _, source := range []string{"", "# only a comment\n", "name: ''\ntables:\nkeys:\n"} {
		c, d := decode(t, source)
		if d.Err() != nil {
			t.Errorf("%q: %v", source, d.Err())
		}
		if c.Tables != nil {
			t.Errorf("%q: %v", source, c)
		}
	}
}

func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c config
			err = strict.Decode(filepath.Base(file), data, &c, environment).Err()
			if err == nil {
				t.Fatal("no error")
			}
			golden := strings.TrimSuffix(file, ".yml") + ".txt"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(golden)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the secret is in the message")
			}
		})
	}
}

func TestReport(t *testing.T) {
	source := `name: a
tables:
  orders: {size: 3}
  "a.b": {}
keys:
  - where: abcdef   # plain
  - where: 'é''x == y'
  - {where: "a\"b\u0041c"}
  - where: |
      first line
        second line
  - where: >-
      folded
      text
`
	_, d := decode(t, source)
	root := strict.Path("")
	keys := root.Key("keys")
	d.Report(root.Key("tables").Key("orders").Key("size"), "at most 2", "too large")
	d.ReportKey(root.Key("tables").Key("orders"), "", "bad name")
	d.Report(root.Key("tables").Key("orders").Key("keys").Index(3), "", "missing")
	d.ReportKey(root.Key("tables").Key("a.b"), "", "bad name")
	d.Report(root.Key("nowhere"), "", "missing")
	d.ReportIn(keys.Index(0).Key("where"), 1, 3, "", "at c")
	d.ReportIn(keys.Index(1).Key("where"), 1, 3, "", "at x")
	d.ReportIn(keys.Index(2).Key("where"), 1, 5, "", "at c")
	d.ReportIn(keys.Index(3).Key("where"), 2, 3, "", "at second")
	d.ReportIn(keys.Index(4).Key("where"), 1, 3, "", "at the beginning")
	d.ReportIn(keys.Index(9).Key("where"), 1, 3, "", "gone")
	if !d.Failed(keys) || !d.Failed(keys.Index(1).Key("where")) || d.Failed(root.Key("name")) {
		t.Error("failed paths are wrong")
	}
	if !d.Has(keys.Index(1)) || d.Has(keys.Index(5)) {
		t.Error("paths of the file are wrong")
	}
	want := `a.yml:1:1: nowhere: missing
a.yml:3:3: tables.orders: bad name
a.yml:3:11: tables.orders.keys[3]: missing
a.yml:3:18: tables.orders.size: too large (at most 2)
a.yml:4:3: tables["a.b"]: bad name
a.yml:6:3: keys[9].where: gone
a.yml:6:14: keys[0].where: at c
a.yml:7:16: keys[1].where: at x
a.yml:8:24: keys[2].where: at c
a.yml:11:9: keys[3].where: at second
a.yml:12:12: keys[4].where: at the beginning`
	if diff := cmp.Diff(want, d.Err().Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(strict.AsErrors(fmt.Errorf("load: %w", d.Err()))); n != 11 {
		t.Errorf("%d errors", n)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, d := decode(t, "texts: ["+strings.Repeat("1,", 500)+"]")
	if n := len(strict.AsErrors(d.Err())); n != strict.MaxErrors {
		t.Errorf("%d errors", n)
	}
	if _, d := decode(t, strings.Repeat("#", strict.MaxBytes+1)); d.Err() == nil {
		t.Error("a large file was read")
	}
}

func TestSuggest(t *testing.T) {
	names := []string{"normalize", "policy", "valid_regexp"}
	for word, want := range map[string]string{"normalise": "normalize", "Policy": "policy", "polciy": "policy", "regexp": "", "x": "", "": ""} {
		if want != "" {
			want = fmt.Sprintf("did you mean %q?", want)
		}
		if got := strict.Suggest(word, names); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{"30s": "30s", "60s": "1m", "48h": "2d", "90m": "90m", "0s": "0s", "1500ms": "1500ms"} {
		d, err := strict.ParseDuration(text)
		if err != nil || d.String() != want {
			t.Errorf("%s is %s (%v), want %s", text, d, err, want)
		}
		if again, err := strict.ParseDuration(d.String()); again != d || err != nil {
			t.Errorf("%s does not survive", text)
		}
	}
	for _, text := range []string{"", "s", "5", "5 m", "1h30m", "-1s", "1.5h", "5w", "9223372036854775807d"} {
		if d, err := strict.ParseDuration(text); err == nil {
			t.Errorf("%q is %s", text, d)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := strict.NewSecret("s3cr3t")
	type hiding struct{ secret strict.Secret }
	j, err := json.Marshal(map[string]any{"a": s, "b": &s})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "inside", hiding{s})
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", hiding{s}, &hiding{s}, hiding{s}), string(j), log.String()} {
		if strings.Contains(printed, "s3cr3t") || strings.Contains(printed, "733363723374") {
			t.Errorf("printed: %s", printed)
		}
	}
	if s.Reveal() != "s3cr3t" || !s.IsSet() || (strict.Secret{}).IsSet() || fmt.Sprint(strict.Secret{}) != "" {
		t.Error("the value is wrong")
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("name: a\nkeys:\n- name: |\n   x\n- {where: \"a\\\"b\"}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		d := strict.Decode("a.yml", data, &c, environment)
		for _, err := range strict.AsErrors(d.Err()) {
			if err.Line < 1 || err.Message == "" {
				t.Fatalf("error without a place or text: %#v", err)
			}
		}
		for i := range c.Keys {
			for column := range 5 {
				d.ReportIn(strict.Path("keys").Index(i).Key("where"), 1, column+1, "", "there")
			}
		}
		if err := d.Err(); err != nil && err.Error() == "" {
			t.Fatal("empty message")
		}
	})
}
