package arrivals_test

import (
	"context"
	"encoding/csv"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/arrivals"
	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/testing/data"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

// clicks returns the recorded events, and by browser who logged in on it.
func clicks(t *testing.T) (records []event.Record, users map[string]string) {
	t.Helper()
	f, err := data.Open(data.Clicks)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	users = map[string]string{}
	for _, row := range rows[1:] {
		ids := map[string]string{}
		for key, name := range map[string]string{"user_id": "user_id", "email": "user_email", "browser": "domain_userid", "network": "network_userid", "phone": "mobile_user_id"} {
			if v := row[column[name]]; v != "" {
				ids[key] = v
			}
		}
		if ids["browser"] != "" && (ids["user_id"] != "" || users[ids["browser"]] == "") {
			users[ids["browser"]] = ids["user_id"]
		}
		at, err := time.Parse(time.RFC3339, row[column["collector_tstamp"]])
		if err != nil {
			t.Fatal(err)
		}
		r, err := event.New(event.Draft{ID: row[column["event_id"]], Table: "clicks", Time: at.UnixMilli(), Received: at.UnixMilli(), Identifiers: event.Texts(ids)})
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records, users
}

// Nearly all browsers of the recorded clicks have a third-party cookie in common. It glues no two of them together: those share a profile on
// which the same user logged in, and no others, in whatever order the clicks come.
func TestClicksGlueNoBrowsers(t *testing.T) {
	config, err := clicksConfig()
	if err != nil {
		t.Fatal(err)
	}
	records, users := clicks(t)
	if len(users) != 59 {
		t.Fatalf("%d browsers", len(users))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		store := memory.New()
		worker := update.NewWorker(config, store)
		for i, r := range records {
			r.Position = event.Position{Topic: arrivals.Topic, Offset: int64(i)}
			if _, err := worker.Apply(t.Context(), []*update.Input{config.Prepare(r)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := update.Recheck(context.Background(), config, store, nil); err != nil {
			t.Fatal(err)
		}
		home := map[string]string{}
		for browser := range users {
			d, err := update.NewReader(config, store).Find(t.Context(), "browser", browser)
			if err != nil || d == nil {
				t.Fatal(d, err)
			}
			home[browser] = string(d.Key[:])
		}
		for a, user := range maps.All(users) {
			for b, other := range maps.All(users) {
				same := a == b || user != "" && user == other
				if same != (home[a] == home[b]) {
					t.Fatalf("round %d: browsers of %q and %q share a profile: %v", round, user, other, !same)
				}
			}
		}
		random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	}
}

func clicksConfig() (*update.Config, error) {
	sources := []identity.Source{}
	keys := []identity.KeyRule{{Name: "user_id"}, {Name: "email", Normalize: identity.Normalization{Form: identity.Email}}, {Name: "phone"}, {Name: "browser"}, {Name: "network", Saturation: new(1)}}
	for _, k := range keys {
		sources = append(sources, identity.Source{Key: k.Name, Field: k.Name})
	}
	rules, err := identity.NewRules(keys, "user_id")
	if err != nil {
		return nil, err
	}
	config, err := history.Config(identity.KeepFirst)
	if err != nil {
		return nil, err
	}
	config.Rules, config.Tables = rules, map[string][]identity.Source{"clicks": sources}
	return config, nil
}
