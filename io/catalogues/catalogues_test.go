package catalogues_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/io/catalogues"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/catalogue"
	"github.com/braidhq/braid/transforms/event"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const products = `{"sku":"m1","name":"Mat","price":12.50,"new":true,"tags":["a"]}

{"sku":"b2","name":"Block","price":7}
`

func json(v accumulator.Value) string { return string(v.AppendJSON(nil)) }

// A lookup answers what the catalogue has under what other attributes say, in files of any form; a derived attribute goes on from there.
func TestLookup(t *testing.T) {
	for name, text := range map[string]string{"products.jsonl": products, "products.csv": "sku,name,price,new\nm1,Mat,12.50,true\nb2,Block,7,\n"} {
		t.Run(name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), name), text)
			asked, err := catalogue.Open(map[string]catalogue.Definition{"products": {File: path, Key: "sku"}})
			if err != nil {
				t.Fatal(err)
			}
			set, err := attribute.NewSet([]attribute.Definition{
				{Name: "last", Kind: "last", Event: "viewed", Value: "properties.sku"},
				{Name: "name", Kind: "lookup", Catalogue: "products", Value: "last", Column: "name"},
				{Name: "price", Kind: "lookup", Catalogue: "products", Value: "last", Column: "price"},
				{Name: "twice", Kind: "derived", Value: "price * 2.0"},
			}, map[string]attribute.EventRef{"viewed": {}}, attribute.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			set = set.WithCatalogues(asked)
			for sku, want := range map[string]string{"m1": `"Mat" 12.5 25`, "b2": `"Block" 7 14`, "unknown": "null null null"} {
				e, err := event.Decode(event.Record{Timestamp: 1, Value: []byte(`{"event_id":"e","table":"v","identifiers":{},"properties":{"sku":"` + sku + `"}}`)}, event.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				states, _, err := set.Add(nil, &e, []int{0})
				if err != nil {
					t.Fatal(err)
				}
				results, err := set.Results(0, states, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join([]string{json(results[1].Value), json(results[2].Value), json(results[3].Value)}, " "); got != want {
					t.Errorf("%s: %s, want %s", sku, got, want)
				}
			}
		})
	}
}

// A file that changes is read again; one that cannot be read leaves the rows of before.
func TestReload(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "p.jsonl"), products)
	c, err := catalogues.Open(catalogue.Definition{File: path, Key: "sku"})
	if err != nil {
		t.Fatal(err)
	}
	await := func(sku, want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			got := json(c.Row(sku)["name"])
			if got == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is %s, want %s", sku, got, want)
			}
		}
	}
	await("m1", `"Mat"`)
	write(t, path, strings.ReplaceAll(products, "Mat", "Better Mat"))
	await("m1", `"Better Mat"`)
	write(t, path, `{"sku":"m1","name":"Broken"`)
	time.Sleep(1100 * time.Millisecond) // so that it has been looked at
	await("m1", `"Better Mat"`)
	write(t, path, `{"sku":"m1","name":"Whole again"}`)
	await("m1", `"Whole again"`)
	await("b2", "null")
}

func TestFilesThatAreNone(t *testing.T) {
	for name, want := range map[string]string{"p.jsonl": "no object", "twice.csv": "comes twice", "key.csv": `no column "sku"`, "empty.csv": "row 1 has no sku", "p.txt": "does not say"} {
		text := map[string]string{"p.jsonl": "{\"sku\":1}\n[1]\n", "twice.csv": "sku\na\na\n", "key.csv": "id\n1\n", "empty.csv": "sku,a\n\"\",1\n", "p.txt": ""}[name]
		path := write(t, filepath.Join(t.TempDir(), name), text)
		if _, err := catalogues.Open(catalogue.Definition{File: path, Key: "sku"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := catalogue.Open(map[string]catalogue.Definition{"none": {File: filepath.Join(t.TempDir(), "none.csv"), Key: "k"}}); err == nil || !strings.Contains(err.Error(), "catalogue none") {
		t.Error(err)
	}
}
