package node_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/testing/postgres"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/segment"
)

// start starts a node whose store is at a URL, or embedded when that is empty.
func start(t *testing.T, dir, store string) *node.Node {
	t.Helper()
	s, err := segment.Parse("segment.yaml", shop.Segment)
	if err != nil {
		t.Fatal(err)
	}
	d := deployment.Default()
	d.Data, d.Listen = dir, "127.0.0.1:0"
	if store != "" {
		d.Store = store
	}
	n, err := node.Start(context.Background(), node.Options{Deployment: d, Segment: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func stop(t *testing.T, n *node.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// get asks the node for a profile until it shows the number of events.
func get(t *testing.T, n *node.Node, path string, events int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		response, err := http.Get("http://" + n.Address() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		var profile struct{ Events int }
		if json.Unmarshal(body, &profile) == nil && profile.Events == events {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s %s", path, response.Status, body)
		}
	}
}

// Events posted over HTTP become a profile, which a restart on the same directory still knows and goes on with.
func TestNodeAppliesPostedEventsAndSurvivesARestart(t *testing.T) { testRestart(t, "") }

// The same over PostgreSQL.
func TestNodeOnPostgres(t *testing.T) { testRestart(t, postgres.Start(t, "fsync=off").NewURL()) }

func testRestart(t *testing.T, store string) {
	dir := t.TempDir()
	post := func(n *node.Node, id string) {
		t.Helper()
		body := `{"events":[{"event_id":"` + id + `","identifiers":{"user_id":"7","anonymous_id":"0822e8f3-6c03-4199-972a-846916419f82"},"properties":{"category":"yoga"}}]}`
		response, err := http.Post("http://"+n.Address()+"/v1/events/page_view", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(response.Body)
			t.Fatalf("%s: %s", response.Status, text)
		}
	}
	n := start(t, dir, store)
	post(n, "e1")
	get(t, n, "/v1/profiles/cookie/0822e8f3-6c03-4199-972a-846916419f82", 1)
	post(n, "e2")
	stop(t, n)

	n = start(t, dir, store)
	defer stop(t, n)
	get(t, n, "/v1/profiles/customer_id/7", 2)
	post(n, "e2")
	post(n, "e3")
	get(t, n, "/v1/profiles/customer_id/7", 3)
}
