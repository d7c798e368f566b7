package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/testing/require"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/strict"
)

// archiving are the options of a node with a batch path.
func archiving(t *testing.T) node.Options {
	t.Helper()
	_, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	o := options(t)
	o.Deployment.ClickHouse = deployment.ClickHouseEmbedded
	return o
}

// profile is what the HTTP API answers about a person.
type profile struct {
	ID         string                     `json:"profile_id"`
	Events     int                        `json:"events"`
	Attributes map[string]json.RawMessage `json:"attributes"`
	Audiences  []string                   `json:"audiences"`
}

// eventually asks for a profile until it is as wanted.
func eventually(t *testing.T, n *node.Node, path string, ok func(profile) bool) profile {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var p profile
		_, body := ask(t, n, path)
		if json.Unmarshal([]byte(body), &p) == nil && p.ID != "" && ok(p) {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", path, body)
		}
	}
}

func batchRun(t *testing.T, n *node.Node, o batch.Options) *batch.Report {
	t.Helper()
	r, err := n.RunBatch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The worked example: a visitor's cookie belongs to a known customer, whose three views of this session and category come from the stream,
// and whose tier, last purchase and next best offer from a real batch run over the archive. One profile holds them all.
func TestHistoryAndTheMomentAreOneProfile(t *testing.T) {
	o := archiving(t)
	today := time.UnixMilli(1_293_000_000_000)
	o.Now = func() time.Time { return today }
	o.Segment = parse(t, strings.Replace(string(shop.Segment), "\nattributes:\n", "\naudiences:\n  gold: 'tier == \"Gold\" && since_purchase >= 45'\n\nattributes:\n", 1))
	n := run(t, o)
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka().Brokers...), kgo.DefaultProduceTopic(n.Events()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, e := range shop.Fixture(today.Add(-45*24*time.Hour - time.Hour).UnixMilli()) {
		r := topics.ToKafka(n.Events(), event.Record{Key: []byte(e.Key), Value: e.Value, Headers: e.Headers()})
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, n, "/v1/profiles/cookie/"+shop.FixtureCookie, func(p profile) bool { return string(p.Attributes["orders"]) == "1" })
	eventually(t, n, "/v1/profiles/cookie/"+shop.FixtureCookie, func(p profile) bool { // the live profile that the tier is computed from is archived a moment later
		batchRun(t, n, batch.Options{})
		return string(p.Attributes["tier"]) == `"Gold"`
	})
	for i := range 3 {
		send(t, n, "page_view", fmt.Sprintf(`{"event_id":"view-%d","identifiers":{"anonymous_id":%q},"properties":{"type":"product","category":"yoga"}}`, i, shop.FixtureCookie))
	}
	p := eventually(t, n, "/v1/profiles/cookie/"+shop.FixtureCookie, func(p profile) bool {
		return string(p.Attributes["views_this_session"]) == "3" && string(p.Attributes["tier"]) != "null" && len(p.Audiences) > 0
	})
	for name, want := range map[string]string{
		"last_category": `"yoga"`, "tier": `"Gold"`, "since_purchase": "45", "next_best_offer": `"Premium Yoga Mat"`, "orders": "1",
	} {
		if got := string(p.Attributes[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if fmt.Sprint(p.Audiences) != "[gold]" {
		t.Errorf("audiences %v", p.Audiences)
	}
	v, err := n.Verify(t.Context(), batch.VerifyOptions{})
	if err != nil || v.Differences != 0 || v.Compared != 6 || v.Events != 10 {
		t.Errorf("%+v, %v", v, err)
	}
}

// An attribute that is new has the events of before as soon as a batch run has read them; and one run after the other gives what all
// history gives.
func TestBackfill(t *testing.T) {
	o := archiving(t)
	o.Deployment.Store = "pebble:"
	o.Deployment.Epochs.Interval = strict.Duration(time.Hour) // only runs cut the stream
	n, err := node.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	view := func(n *node.Node, id string) {
		send(t, n, "page_view", fmt.Sprintf(`{"event_id":%q,"identifiers":{"user_id":"7"},"properties":{"type":"product","category":"yoga","name":"Mat"}}`, id))
	}
	for i := range 5 {
		view(n, fmt.Sprint("e", i))
		if i == 2 {
			batchRun(t, n, batch.Options{})
		}
	}
	batchRun(t, n, batch.Options{})
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Segment = parse(t, string(shop.Segment)+"  names: {kind: top, event: viewed, value: properties.name}\n")
	n = run(t, o)
	view(n, "e5")
	p := eventually(t, n, "/v1/profiles/customer_id/7", func(p profile) bool { return string(p.Attributes["views"]) == "6" })
	if got := string(p.Attributes["names"]); got != `[{"count":1,"value":"Mat"}]` && got != `[{"value":"Mat","count":1}]` {
		t.Errorf("before the batch run: %s", got)
	}
	r := batchRun(t, n, batch.Options{})
	if !r.Whole || len(r.Notes) == 0 {
		t.Errorf("%+v", r)
	}
	p = eventually(t, n, "/v1/profiles/customer_id/7", func(p profile) bool { return string(p.Attributes["views"]) == "6" })
	if got := string(p.Attributes["names"]); !strings.Contains(got, `"count":6`) {
		t.Errorf("after the batch run: %s", got)
	}
	r = batchRun(t, n, batch.Options{Whole: true})
	if r.Different != 0 || !strings.Contains(strings.Join(r.Notes, " "), "cells the same") {
		t.Errorf("%+v", r)
	}
}

// A run that fails changes nothing: what cannot be read, computed or written is told, and the snapshot before stays in use.
func TestBatchRunFails(t *testing.T) {
	o := archiving(t)
	file := filepath.Join(t.TempDir(), "loyalty.csv")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	segment := func(batch string) string {
		return "segment: small\nprofile_key: customer_id\nkeys: [{name: customer_id}]\ntables: {page_view: {keys: {customer_id: user_id}}}\n" +
			"events: {viewed: {table: page_view}}\nbatch: {imports: {loyalty: " + batch + "}}\n" +
			"attributes: {views: {kind: counter, event: viewed}, tier: {kind: imported, from: loyalty.tier}, points: {kind: imported, from: loyalty.points}}\n"
	}
	o.Segment = parse(t, segment("{file: "+file+"}"))
	n := run(t, o)
	send(t, n, "page_view", `{"event_id":"e1","identifiers":{"user_id":"7"}}`)
	eventually(t, n, "/v1/profiles/customer_id/7", func(p profile) bool { return string(p.Attributes["views"]) == "1" })
	write("customer_id,tier,points\n7,Gold,NaN\n7,Silver,12.5\nnobody knows,Gold,1\n\"\",Gold,1\n")
	r := batchRun(t, n, batch.Options{})
	if s := r.Imports[0]; s.Rows != 4 || s.People != 2 || s.Twice != 1 || s.Nobody != 1 {
		t.Errorf("%+v", s)
	}
	silver := func(p profile) bool { return string(p.Attributes["tier"]) == `"Silver"` }
	eventually(t, n, "/v1/profiles/customer_id/7", silver)
	for want, text := range map[string]string{
		"wrong number of fields": "customer_id,tier,points\n7\n", `no column "customer_id"`: "id,tier\n7,Gold\n", "is empty": "",
	} {
		write(text)
		if _, err := n.RunBatch(t.Context(), batch.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
		eventually(t, n, "/v1/profiles/customer_id/7", silver)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := n.RunBatch(t.Context(), batch.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	var runs []batch.Report
	_, listed := ask(t, n, "/v1/batch/runs")
	if err := json.Unmarshal([]byte(listed), &runs); err != nil || len(runs) != 5 || runs[0].State != batch.Failed || runs[4].State != batch.Done || runs[0].Notes == nil {
		t.Errorf("%+v, %v", runs, err)
	}
	write("customer_id,tier,points\n7,Gold,3\n")
	if r := batchRun(t, n, batch.Options{}); r.Revisited != 1 {
		t.Errorf("%+v", r)
	}
	eventually(t, n, "/v1/profiles/customer_id/7", func(p profile) bool {
		return string(p.Attributes["tier"]) == `"Gold"` && string(p.Attributes["points"]) == "3"
	})
}

var queryBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

// The questions of the page are answered, by a user who can only read.
func TestQuestionsOfThePage(t *testing.T) {
	o := archiving(t)
	o.Segment = parse(t, strings.Replace(string(shop.Segment), "\nattributes:\n", "\naudiences: {everybody: 'views >= 0'}\n\nattributes:\n", 1))
	n := run(t, o)
	for i := range 3 {
		send(t, n, "page_view", fmt.Sprintf(`{"event_id":"v%d","identifiers":{"anonymous_id":"%08d-0000-4000-8000-000000000000","user_id":"%d"},"properties":{"type":"product","category":"yoga"}}`, i, i, i))
		send(t, n, "orders", fmt.Sprintf(`{"event_id":"o%d","identifiers":{"user_id":"%d"},"properties":{"total":10,"lines":[{"description":"Mat"}]}}`, i, i))
	}
	produce(t, n, n.Events(), `{"event_id":"no table"}`)
	eventually(t, n, "/v1/profiles/customer_id/2", func(p profile) bool { return string(p.Attributes["orders"]) == "1" })
	batchRun(t, n, batch.Options{})
	node, _, err := o.Deployment.Published()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouseio.Client{URL: node.ClickHouse}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	page, err := os.ReadFile("../../batch/README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := queryBlock.FindAllSubmatch(page, -1)
	if len(blocks) != 10 {
		t.Fatalf("%d questions", len(blocks))
	}
	for _, block := range blocks {
		text := string(block[1])
		var last error
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // logs are archived a moment later
			var rows uint64
			if last = conn.QueryRow(t.Context(), "SELECT count() FROM ("+text+")").Scan(&rows); last == nil && rows > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%v, no rows:\n%s", last, text)
				break
			}
		}
	}
	if err := conn.Exec(t.Context(), "INSERT INTO score_rows VALUES (1, 'x', 'y', map())"); err == nil {
		t.Error("an analyst can write")
	}
}

// When snapshots are lost that profiles depend on, it is told, and a run over all history makes a new one: nothing is lost, and what came
// meanwhile is applied.
func TestSnapshotsAreLost(t *testing.T) {
	o := archiving(t)
	o.Deployment.Store = "pebble:"
	o.Deployment.Epochs.Interval = strict.Duration(time.Hour)
	n, err := node.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	view := func(n *node.Node) {
		sent++
		send(t, n, "page_view", fmt.Sprintf(`{"event_id":"e%d","identifiers":{"user_id":"7"},"properties":{"type":"product","category":"yoga"}}`, sent))
	}
	counted := func(n *node.Node) {
		t.Helper()
		eventually(t, n, "/v1/profiles/customer_id/7", func(p profile) bool { return string(p.Attributes["views"]) == fmt.Sprint(sent) })
	}
	for range 6 { // until the oldest snapshot that is kept has something
		view(n)
		counted(n)
		batchRun(t, n, batch.Options{})
	}
	view(n)
	counted(n)
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(o.Deployment.SnapshotsDir()); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "moved") // where this process has no snapshots open
	if err := os.Rename(o.Deployment.Data, moved); err != nil {
		t.Fatal(err)
	}
	o.Deployment.Data = moved
	n = run(t, o)
	view(n)
	ready(t, n, "pipelines", "a snapshot of the batch path is needed")
	if r := batchRun(t, n, batch.Options{Whole: true}); !r.Whole {
		t.Errorf("%+v", r)
	}
	counted(n)
	view(n)
	counted(n)
	if v, err := n.Verify(t.Context(), batch.VerifyOptions{}); err != nil || v.Differences != 0 {
		t.Errorf("%+v %v", v, err)
	}
}

// A ClickHouse of one's own that is away at the start holds nobody up; once it is there, it gets everything.
func TestClickHouseComesLater(t *testing.T) {
	library, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	server := clickhouse.Options{Dir: t.TempDir(), Library: library, Logger: slog.New(slog.DiscardHandler)}
	s, err := clickhouse.Start(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Deployment.ClickHouse = s.URL(clickhouse.UserBraid, "")
	_, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n := run(t, o)
	send(t, n, "page_view", `{"event_id":"e1","identifiers":{"user_id":"7"},"properties":{"type":"product"}}`)
	get(t, n, "/v1/profiles/customer_id/7", 1)
	if _, err := n.RunBatch(t.Context(), batch.Options{}); err == nil || !strings.Contains(err.Error(), "has been away") {
		t.Error(err)
	}
	if server.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	if s, err = clickhouse.Start(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		r, err := n.RunBatch(t.Context(), batch.Options{})
		if err == nil && r.Events == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(r, err)
		}
	}
}
