package node_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/transforms/segment"
)

const readDifferently = "normalized differently"

// A store goes on under the keys that its profiles were stitched by, and further ones.
func TestKeysOfAStore(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	try := func(profileKey, keys string) error {
		text := "segment: retail\nprofile_key: " + profileKey + "\nkeys: [" + keys + "]\ntables: {page_view: {}}\n"
		s, err := segment.Parse("segment.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		d := deployment.Default()
		d.Data, d.Listen = dir, "127.0.0.1:0"
		n, err := node.Start(t.Context(), node.Options{Deployment: d, Segment: s, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err == nil {
			stop(t, n)
		}
		return err
	}
	for _, c := range []struct {
		name, profileKey, keys, says string
	}{
		{"the first time", "user_id", "{name: user_id}, {name: email}, {name: cookie}", ""},
		{"again", "user_id", "{name: user_id}, {name: email}, {name: cookie}", ""},
		{readDifferently, "user_id", "{name: user_id}, {name: email, normalize: email}, {name: cookie}", ""},
		{"ranked differently", "user_id", "{name: user_id}, {name: cookie}, {name: email}", ""},
		{"one removed", "user_id", "{name: user_id}, {name: cookie}", "none can be removed"},
		{"another policy", "user_id", "{name: user_id}, {name: email}, {name: cookie, policy: move_to_latest}", ""},
		{"limits", "user_id", "{name: user_id}, {name: email, unique: true}, {name: cookie, limit: {count: 5, per: 30d}}", ""},
		{"another profile key", "email", "{name: user_id}, {name: email}, {name: cookie}", "profile key email"},
		{"one added", "user_id", "{name: user_id}, {name: phone}, {name: email}, {name: cookie}", ""},
		{"and removed again", "user_id", "{name: user_id}, {name: email}, {name: cookie}", "phone keep_first"},
	} {
		log.Reset()
		err := try(c.profileKey, c.keys)
		if warned := strings.Contains(log.String(), "from now on"); warned != (c.name == readDifferently) && (c.name == "again" || c.name == readDifferently) {
			t.Errorf("%s: warned that the past stays as it is: %v", c.name, warned)
		}
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
		var changed *node.KeysRemovedError
		if errors.As(err, &changed) && (len(changed.Keys) == 0 || len(changed.Want) == 0) {
			t.Errorf("%s: %+v", c.name, changed)
		}
	}
}

// Profiles become what they would be under the rules of today when a node starts under others than before.
func TestRulesOfAStore(t *testing.T) {
	dir := t.TempDir()
	start := func(keys string) *node.Node {
		s, err := segment.Parse("segment.yaml", []byte("segment: retail\nprofile_key: user_id\nkeys: ["+keys+"]\ntables: {page_view: {}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		d := deployment.Default()
		d.Data, d.Listen = dir, "127.0.0.1:0"
		n, err := node.Start(t.Context(), node.Options{Deployment: d, Segment: s, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := start("{name: user_id}, {name: cookie}")
	send(t, n, "page_view", `{"event_id":"e1","identifiers":{"user_id":"ann","cookie":"c1"}}`, `{"event_id":"e2","identifiers":{"cookie":"c1"}}`)
	send(t, n, "page_view", `{"event_id":"e3","identifiers":{"user_id":"bea","cookie":"c1"}}`)
	get(t, n, "/v1/profiles/user_id/ann", 2)
	get(t, n, "/v1/profiles/user_id/bea", 1)
	stop(t, n)
	n = start("{name: user_id}, {name: cookie, policy: move_to_latest}")
	get(t, n, "/v1/profiles/user_id/ann", 1)
	get(t, n, "/v1/profiles/cookie/c1", 2)
	stop(t, n)
	n = start("{name: cookie, unique: true}, {name: user_id}")
	get(t, n, "/v1/profiles/cookie/c1", 3)
	stop(t, n)
}
