package update_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/filter"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

const (
	topic       = "braid.test.events"
	start int64 = 1_700_000_000_000
)

// newConfig returns a segment of three keys and two attributes.
func newConfig(t testing.TB, profileKey string, keys ...identity.KeyRule) *update.Config {
	t.Helper()
	if keys == nil {
		keys = []identity.KeyRule{{Name: "user_id"}, {Name: "email"}, {Name: "cookie"}}
	}
	rules, err := identity.NewRules(keys, profileKey)
	if err != nil {
		t.Fatal(err)
	}
	events, err := filter.NewSet([]filter.Definition{{Name: "viewed", Table: "views"}})
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := attribute.NewSet([]attribute.Definition{
		{Name: "views", Kind: "counter", Event: "viewed"}, {Name: "total", Kind: "sum", Event: "viewed", Value: "properties.n"},
	}, map[string]attribute.EventRef{"viewed": {Meaning: "views"}}, attribute.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var sources []identity.Source
	for _, k := range keys {
		sources = append(sources, identity.Source{Key: k.Name, Field: k.Name})
	}
	return &update.Config{
		Namespace: "test", Rules: rules, Events: events, Attributes: attributes,
		Tables: map[string][]identity.Source{"views": sources, "pages": sources[2:]},
	}
}

// scene is a stream of one partition with a worker on it.
type scene struct {
	*testing.T
	config *update.Config
	store  *memory.Store
	worker *update.Worker
	offset int64
	events int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{T: t, config: newConfig(t, "user_id"), store: memory.New()}
	s.restart()
	return s
}

// restart begins another life of the worker.
func (s *scene) restart() { s.worker = update.NewWorker(s.config, s.store) }

// record returns a record of the table views, received at start+at: "user_id:7 cookie:a".
func record(at int64, id, identifiers string) event.Record {
	texts := map[string]string{}
	for _, text := range strings.Fields(identifiers) {
		key, value, _ := strings.Cut(text, ":")
		texts[key] = value
	}
	r, err := event.New(event.Draft{
		ID: id, Table: "views", Received: start + at, Time: start + at, Identifiers: event.Texts(texts), Properties: json.RawMessage(`{"n":1}`),
	})
	if err != nil {
		panic(err) // a mistake in the test
	}
	return r
}

func markerRecord(m event.Marker) event.Record {
	headers, value := m.Record()
	return event.Record{Headers: headers, Value: value}
}

// put gives a record the next position of the stream.
func (s *scene) put(r event.Record) *update.Input {
	s.Helper()
	r.Position = event.Position{Topic: topic, Partition: 2, Offset: s.offset}
	r.TopicID = [16]byte{9}
	s.offset++
	return s.config.Prepare(r)
}

// event returns an event with an ID of its own.
func (s *scene) event(at int64, identifiers string) *update.Input {
	s.Helper()
	s.events++
	return s.put(record(at, fmt.Sprint("e", s.events), identifiers))
}

// apply applies a bundle; all goes well.
func (s *scene) apply(inputs ...*update.Input) update.Result {
	s.Helper()
	result, err := s.worker.Apply(s.Context(), inputs)
	if err != nil {
		s.Fatal(err)
	}
	return result
}

// settled applies a bundle whose effects are acknowledged.
func (s *scene) settled(inputs ...*update.Input) update.Result {
	s.Helper()
	result := s.apply(inputs...)
	s.worker.Settle()
	return result
}

// count returns the number of rows of a kind in the store.
func (s *scene) count(kind string) int {
	s.Helper()
	rows, err := s.store.Scan(s.Context(), []byte("test/"+kind+"/"), []byte("test/"+kind+"0"), 1000)
	if err != nil {
		s.Fatal(err)
	}
	return len(rows)
}

func (s *scene) due() []update.Due {
	s.Helper()
	var all []update.Due
	for bucket := range byte(update.DueBuckets) {
		entries, err := update.DueEntries(s.Context(), s.store, "test", bucket, start+1_000_000, 100)
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, entries...)
	}
	return all
}

// views returns how many views the person with an identifier has, -1 when there is none.
func (s *scene) views(identifier string) int64 {
	s.Helper()
	r := update.NewReader(s.config, s.store)
	doc, err := r.Document(context.Background(), profileID(identifier))
	if err != nil {
		s.Fatal(err)
	}
	if doc == nil {
		return -1
	}
	v, err := r.Folder().Fold(doc, start)
	if err != nil {
		s.Fatal(err)
	}
	n, _ := v.Attributes[0].Value.Int64()
	return n
}

// profileID returns the ID of an identifier given as "key:value".
func profileID(text string) identity.ID {
	id, err := identity.ParseIdentifier(text)
	if err != nil {
		panic(err) // a mistake in the test
	}
	return identity.NewID("test", id)
}

// published tells of the records for the topic profiles: whose profile with how many events, or who is superseded by whom. People
// are named by the identifiers given.
func published(t *testing.T, effects []update.Effect, identifiers ...string) []string {
	t.Helper()
	names := map[string]string{}
	for _, text := range identifiers {
		names[profileID(text).String()] = text
	}
	var all []string
	for _, e := range effects {
		if e.Topic != update.TopicProfiles {
			continue
		}
		var p struct {
			ID           string `json:"id"`
			ProfileID    string `json:"profile_id"`
			SupersededBy string `json:"superseded_by"`
			Profile      struct {
				ProfileID string `json:"profile_id"`
				Events    int    `json:"events"`
			} `json:"profile"`
		}
		if err := json.Unmarshal(e.Value, &p); err != nil {
			t.Fatal(err)
		}
		if p.ID != e.ID || p.ProfileID != string(e.Key) || p.SupersededBy == "" && p.Profile.ProfileID != p.ProfileID {
			t.Errorf("effect %s under key %s contradicts itself: %s", e.ID, e.Key, e.Value)
		}
		if p.SupersededBy != "" {
			all = append(all, names[p.ProfileID]+" is "+names[p.SupersededBy])
		} else {
			all = append(all, fmt.Sprint(names[p.ProfileID], " has ", p.Profile.Events))
		}
	}
	return all
}
