package node_test

import (
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/testing/shop"
)

// metric waits until a series has a value. A star in the series stands for anything.
func metric(t *testing.T, n *node.Node, series, value string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, text := ask(t, n, "/metrics")
		for line := range strings.Lines(text) {
			name, got, _ := strings.Cut(strings.TrimSpace(line), " ")
			if same, err := path.Match(series, name); err != nil {
				t.Fatal(err)
			} else if same && got == value {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never was %s:\n%s", series, value, text)
		}
	}
}

// Every metric keeps the conventions and stands in METRICS.md, with its type; and what stands there is there.
func TestMetricsAreAsDocumented(t *testing.T) {
	o := archiving(t)
	o.Segment = parse(t, strings.Replace(string(shop.Segment), "\nattributes:\n", "\naudiences: {known: 'logins > 0'}\n\nattributes:\n", 1))
	o.Deployment.Store = "pebble:" // embedded
	n := run(t, o)
	send(t, n, "login",
		`{"event_id":"e1","identifiers":{"user_id":"7","email":"ann@x.example","anonymous_id":"undefined"}}`,
		`{"event_id":"e1","identifiers":{"user_id":"7","email":"ann@x.example"}}`,
		`{"event_id":"e2"}`)
	metric(t, n, "braid_events_applied_total", "2")
	metric(t, n, `braid_events_rejected_total{reason="no_identifier"}`, "1")
	metric(t, n, `braid_ingest_events_total{result="accepted",table="login"}`, "3")
	for _, p := range []string{"0", "1", "2", "3"} {
		metric(t, n, `braid_lag_records{partition="`+p+`",topic="braid.retail.events"}`, "0")
	}
	metric(t, n, `braid_audience_changes_total{audience="known",change="entered"}`, "1")
	metric(t, n, `braid_archive_lag_records{partition="0",topic="braid.retail.events"}`, "0")
	batchRun(t, n, batch.Options{})
	metric(t, n, `braid_batch_runs_total{state="done"}`, "1")
	_, text := ask(t, n, "/metrics")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "braid_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	shown := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (braid_\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		shown[m[1]] = m[2]
	}
	page, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(braid_\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}
	if diff := cmp.Diff(documented, shown); diff != "" || len(shown) < 10 {
		t.Errorf("%v (-documented +shown):\n%s", slices.Sorted(maps.Keys(shown)), diff)
	}
	for _, part := range []string{"kafka", "store", "clickhouse", "snapshots"} {
		if !regexp.MustCompile(`(?m)^braid_disk_bytes\{part="` + part + `"\} [1-9]`).MatchString(text) {
			t.Errorf("nothing of %s on disk", part)
		}
	}
}
