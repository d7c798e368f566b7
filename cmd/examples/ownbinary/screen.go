package main

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/braidhq/braid/transforms/event"
)

var errNoPath = errors.New("a page view needs a text in properties.path")

// screen is an event function: ingest passes every event through it before the event is acknowledged. This one drops what robots
// look at, refuses page views without a path, and writes paths in one way, so that /Books/ and /books are one page.
func screen(d event.Draft) ([]event.Draft, error) {
	if d.Table != "page_view" {
		return []event.Draft{d}, nil // as it came
	}
	var context struct{ Agent string }
	if json.Unmarshal(d.Context, &context) == nil && strings.Contains(strings.ToLower(context.Agent), "bot") {
		return nil, nil // dropped: the sender is told that all is well
	}
	var properties map[string]json.RawMessage // the others stay as they are
	var path string
	if json.Unmarshal(d.Properties, &properties) != nil || json.Unmarshal(properties["path"], &path) != nil || path == "" {
		return nil, errNoPath // refused: the sender is told why
	}
	var err error
	if properties["path"], err = json.Marshal("/" + strings.Trim(strings.ToLower(path), "/")); err == nil {
		d.Properties, err = json.Marshal(properties)
	}
	return []event.Draft{d}, err // changed
}
