package explanation_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/cmd/explanation"
	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

var rewrite = flag.Bool("rewrite", false, "write the expected texts anew")

const shop = `
segment: shop
profile_key: customer
keys: [{name: customer}, {name: email}, {name: cookie, policy: move_to_latest}]
tables: {visits: , orders: }
events:
  visited: {table: visits}
  ordered: {table: orders}
attributes:
  visits:    {kind: counter, event: visited}
  last_page: {kind: single, event: visited, value: properties.page}
  revenue:   {kind: sum, event: ordered, value: properties.total}
  recent:    {kind: counter, event: visited, window: 6h, pane: 1h}
  big:       {kind: derived, value: 'revenue > 10.0'}
`

const day = 1291161600000 // 2010-12-01

// explain applies a stream and explains the profile of customer 7.
func explain(t *testing.T, records ...event.Record) *explanation.Explanation {
	t.Helper()
	s, err := segment.Parse("shop.yaml", []byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	config := s.Config()
	var inputs []*update.Input
	for i, r := range records {
		r.Position = event.Position{Topic: "events", Offset: int64(i)}
		inputs = append(inputs, config.Prepare(r))
	}
	result, err := update.NewWorker(config, store).Apply(t.Context(), inputs)
	if err != nil || len(result.Rejected) > 0 {
		t.Fatal(err, result.Rejected)
	}
	reader := update.NewReader(config, store)
	document, err := reader.Find(t.Context(), "customer", "7")
	if err != nil || document == nil {
		t.Fatal(document, err)
	}
	e, err := explanation.Explain(s, reader.Folder(), document, day)
	if err != nil {
		t.Fatal(err)
	}
	e.Document = "d0" // names of documents follow from what was there first
	return e
}

func record(t *testing.T, minute int64, table string, identifiers map[string]string, properties string) event.Record {
	t.Helper()
	r, err := event.New(event.Draft{
		ID: table + string(rune('a'+minute)), Table: table, Time: day + minute*60_000, Received: day + minute*60_000,
		Identifiers: event.Texts(identifiers), Properties: json.RawMessage(properties),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func marker(epoch uint64, minute int64) event.Record {
	headers, value := event.Marker{Epoch: epoch, Oldest: 1, Received: day + minute*60_000}.Record()
	return event.Record{Headers: headers, Value: value}
}

func visit(t *testing.T) *explanation.Explanation {
	return explain(t,
		record(t, 0, "visits", map[string]string{"cookie": "c1"}, `{"page":"home"}`),
		record(t, 1, "visits", map[string]string{"cookie": "c1"}, `{"page":"\u001b[31mred"}`),
		marker(1, 2),
		record(t, 3, "visits", map[string]string{"cookie": "c1", "customer": "7"}, `{"page":"log-in"}`),
		record(t, 4, "orders", map[string]string{"customer": "7", "email": "ann@example.com"}, `{"total":12.50}`),
	)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := visit(t).Write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "visit.txt", b.String())
}

func TestJSON(t *testing.T) {
	e := visit(t)
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "visit.json", string(raw)+"\n")
	back, err := explanation.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if e.Write(&a) != nil || back.Write(&b) != nil || a.String() != b.String() {
		t.Error("what was parsed prints differently")
	}
	if _, err := explanation.Parse([]byte("[]")); err == nil {
		t.Error("a list was parsed")
	}
}

func TestSingleIdentifier(t *testing.T) {
	var b strings.Builder
	if err := explain(t, record(t, 0, "orders", map[string]string{"customer": "7"}, `{}`)).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a single identifier", "CELL 1 of 1: customer:7 (leads)", "epoch 0, 1 event: nothing to the attributes", "revenue    sum"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`{"profile_id":"x","identifiers":[{"key":"a","value":"b"}],"attributes":{"n":1}}`))
	f.Add([]byte(`{"profile":{},"links":[{}],"cells":[{"epochs":[{"attributes":[{"name":"a","value":null}]}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b strings.Builder
		if err := explanation.WriteProfile(&b, raw, nil); err != nil {
			t.Fatal(err)
		}
		if e, err := explanation.Parse(raw); err == nil {
			if err := e.Write(&b); err != nil {
				t.Fatal(err)
			}
		}
		if strings.ContainsRune(b.String(), '\x1b') {
			t.Errorf("a terminal would be steered by %q", b.String())
		}
	})
}
