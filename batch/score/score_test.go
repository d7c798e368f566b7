package score_test

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/braidhq/braid/batch/score"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/io/schema"
	"github.com/braidhq/braid/testing/require"
	"github.com/braidhq/braid/transforms/imports"
)

func TestMain(m *testing.M) {
	clickhouse.Host()
	os.Exit(m.Run())
}

var now = time.Date(2011, 1, 31, 12, 0, 0, 0, time.UTC)

// archive is a segment's database with events of people; the cell of an event is that of its person.
type archive struct {
	testing.TB
	driver.Conn
	rows   driver.Batch
	offset uint64
	people map[string]bool
}

func newArchive(t testing.TB) *archive {
	t.Helper()
	library, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	s, err := clickhouse.Start(t.Context(), clickhouse.Options{Dir: t.TempDir(), Library: library, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	client := clickhouseio.Client{URL: s.URL(clickhouse.UserBraid, "default")}
	admin, err := client.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := schema.Apply(t.Context(), admin, schema.Options{Segment: "shop"}); err != nil {
		t.Fatal(err)
	}
	conn, err := client.In(schema.DatabaseName("shop")).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	a := &archive{TB: t, Conn: conn, people: map[string]bool{}}
	if a.rows, err = conn.PrepareBatch(t.Context(), "INSERT INTO stream (topic_id, partition, offset, epoch, kind, order_time, event_id, table, cell, definitions, raw)"); err != nil {
		t.Fatal(err)
	}
	return a
}

// order adds an order of a person so many days ago; an event ID that was there before is a sender's retry.
func (a *archive) order(person string, daysAgo float64, id, properties string) {
	a.Helper()
	at := now.Add(-time.Duration(daysAgo * 24 * float64(time.Hour)))
	a.offset++
	if err := a.rows.Append(uuid.UUID{1}, uint32(0), a.offset, uint64(1), "event", at, id, "orders", "cell-"+person, []string{"bought"}, `{"properties":`+properties+`}`); err != nil {
		a.Fatal(err)
	}
	a.people[person] = true
}

func (a *archive) compute(name string, s imports.Score) (*score.Evaluation, map[string]map[string]string) {
	a.Helper()
	if !a.rows.IsSent() {
		if err := a.rows.Send(); err != nil {
			a.Fatal(err)
		}
		for person := range a.people {
			if err := a.Exec(a.Context(), "INSERT INTO graph_cells VALUES (7, ?, 'p', ?)", "cell-"+person, person); err != nil {
				a.Fatal(err)
			}
		}
	}
	e, err := score.Compute(a.Context(), a.Conn, score.Run{Number: 7, Epoch: 2, Now: now}, name, s)
	if err != nil {
		a.Fatal(err)
	}
	rows, err := a.Query(a.Context(), "SELECT person, values FROM score_rows WHERE run = 7 AND score = ?", name)
	if err != nil {
		a.Fatal(err)
	}
	defer rows.Close()
	all := map[string]map[string]string{}
	for rows.Next() {
		var person string
		var values map[string]string
		if err := rows.Scan(&person, &values); err != nil {
			a.Fatal(err)
		}
		all[person] = values
	}
	return e, all
}

func TestRFM(t *testing.T) {
	a := newArchive(t)
	for i := range 10 { // person i buys i+1 times, the last time 3*(10-i) days ago
		for n := range i + 1 {
			a.order(strconv.Itoa(i), float64(3*(10-i)+n), fmt.Sprint("e", i, "-", n), `{"total":10.25}`)
		}
	}
	a.order("9", 3, "e9-0", `{"total":10.25}`) // a retry
	a.order("text", 40, "t", `{"total":"7.5"}`)
	a.order("none", 41, "n", `{}`)
	_, got := a.compute("value", imports.Score{Model: imports.RFM, Event: "bought", Value: "properties.total"})
	if len(got) != 12 {
		t.Fatalf("%d people", len(got))
	}
	for person, want := range map[string]map[string]string{
		"9":    {"days_since_last": "3", "frequency": "10", "monetary": "102.5", "score": "555", "segment": "champion"},
		"text": {"days_since_last": "40", "frequency": "1", "monetary": "7.5", "score": "111", "segment": "lost"},
		"none": {"days_since_last": "41", "frequency": "1", "monetary": "0", "score": "111", "segment": "lost"},
	} {
		for name, value := range want {
			if got[person][name] != value {
				t.Errorf("%s: %s is %q, want %q", person, name, got[person][name], value)
			}
		}
	}
}

// Those who used to come every other day and stay away are told from those who still come; the model beats a coin, and says by how much.
func TestChurn(t *testing.T) {
	a := newArchive(t)
	for i := range 200 {
		person := strconv.Itoa(i)
		until := 0.1 * float64(i%10)
		if i%2 == 0 { // whoever buys little leaves
			until = 15 + float64(i%10)
		}
		amount := 5 + 100*(i%2)
		for day := 60.0; day > until; day -= 2 {
			a.order(person, day, fmt.Sprint(person, "-", day), fmt.Sprintf(`{"total":%d}`, amount))
		}
	}
	e, got := a.compute("churn", imports.Score{Model: imports.Churn, Event: "bought", Value: "properties.total", Horizon: 14 * 24 * 3600e9})
	if e == nil || e.People < 50 || e.Model < 0.9 {
		t.Fatalf("%+v", e)
	}
	for person, risk := range map[string]string{"4": "high", "5": "low"} {
		p, err := strconv.ParseFloat(got[person]["probability"], 64)
		if err != nil || got[person]["risk"] != risk || (p > 0.5) != (risk == "high") {
			t.Errorf("%s: %v", person, got[person])
		}
	}
}

// What those bought who bought the same is offered, nothing that somebody has, and to somebody alone with what they have what most bought.
func TestNextBestOffer(t *testing.T) {
	for name, path := range map[string]string{"a list": `{"lines":[{"sku":%q}]}`, "a field": `{"sku":%q}`} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			s := imports.Score{Model: imports.NextBestOffer, Event: "bought", Item: "properties.lines.#.sku"}
			if name == "a field" {
				s.Item = "properties.sku"
			}
			buy := func(person string, items ...string) {
				for i, item := range items {
					a.order(person, float64(i), person+item, fmt.Sprintf(path, item))
				}
			}
			for i := range 12 {
				buy("yoga"+strconv.Itoa(i), "block", "strap", "mat")
				buy("cook"+strconv.Itoa(i), "pan", "pot", "it's a \"spoon\"")
				buy("more"+strconv.Itoa(i), "pan", "pot")
			}
			buy("she", "block", "strap")
			buy("he", "pot", `it's a "spoon"`)
			buy("alone", "kite")
			e, got := a.compute("offer", s)
			for person, want := range map[string]string{"she": "mat", "he": "pan", "alone": "pot"} {
				if got[person]["item"] != want {
					t.Errorf("%s is offered %v, want %s", person, got[person], want)
				}
			}
			if e.People == 0 || e.Model < 0.8 {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Without history there is nothing to learn from, and nobody to score.
func TestNothing(t *testing.T) {
	a := newArchive(t)
	a.order("one", 1, "e", `{"total":1}`)
	for name, s := range map[string]imports.Score{
		"churn": {Model: imports.Churn, Event: "never"}, "offer": {Model: imports.NextBestOffer, Event: "never", Item: "properties.sku"},
		"rfm": {Model: imports.RFM, Event: "it's \\never", Value: "properties.it's"},
	} {
		e, got := a.compute(name, s)
		if len(got) != 0 || e != nil && e.People != 0 {
			t.Errorf("%s: %v %v", name, e, got)
		}
	}
	if e, got := a.compute("young", imports.Score{Model: imports.Churn, Event: "bought"}); e.People != 0 {
		t.Errorf("%v %v", e, got)
	}
}
