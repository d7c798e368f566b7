package node_test

import (
	"os"
	"testing"
	"time"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/testing/require"
)

func TestMain(m *testing.M) {
	clickhouse.Host()
	os.Exit(m.Run())
}

// What is sent is there to be asked by analysts, who reach it by what the node publishes.
func TestNodeArchives(t *testing.T) {
	_, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	o := options(t)
	o.Deployment.ClickHouse = deployment.ClickHouseEmbedded
	n := run(t, o)
	send(t, n, "page_view", `{"event_id":"e1","identifiers":{"user_id":"7"},"properties":{"type":"product","category":"yoga"}}`)
	get(t, n, "/v1/profiles/customer_id/7", 1)
	node, ok, err := o.Deployment.Published()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	conn, err := clickhouseio.Client{URL: node.ClickHouse}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var category string
		err := conn.QueryRow(t.Context(), "SELECT toString(properties.category) FROM events WHERE event_id = 'e1' AND identifiers['customer_id'] = '7' AND has(definitions, 'viewed')").Scan(&category)
		if err == nil && category == "yoga" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, %v", category, err)
		}
	}
}
