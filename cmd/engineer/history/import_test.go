package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/engineer/history"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

func config(t *testing.T) *update.Config {
	t.Helper()
	s, err := segment.Parse("segment.yaml", []byte(`
segment: shop
profile_key: customer_id
keys: [{name: customer_id, valid_regexp: '[0-9]+'}, {name: cookie}]
tables: {orders: {keys: {customer_id: user_id, cookie: anonymous_id}}, views: {}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return s.Config()
}

func cluster(t *testing.T) (kafkaio.Client, *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kafkaio.Client{Brokers: c.ListenAddrs()}, client
}

// records returns all that the topic has.
func records(t *testing.T, client *kgo.Client) (all []*kgo.Record) {
	t.Helper()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), "events")
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	for int64(len(all)) < n {
		all = append(all, client.PollFetches(t.Context()).Records()...)
	}
	return all
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Columns go where their names or the mapping say; what is no event is told with its row and reason.
func TestImport(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		mapping history.Mapping
		want    []string
		rejects []string
	}{
		"orders.csv": {
			text:    "When,user_id,total,Note,page.url,code\n01/12/2010 08:26,17850,15.30,,/a,007\n01/12/2010 08:27,nobody,1,x,,1\nlater,17850,1,x,,1\n",
			mapping: history.Mapping{Table: "orders", TimeLayout: "02/01/2006 15:04", Columns: map[string]string{"When": "time", "page.url": "context.page.url", "Note": ""}},
			want:    []string{`customer_id:17850 1291191960000 {"event_id":"*","table":"orders","time":1291191960000,"identifiers":{"user_id":"17850"},"properties":{"code":"007","total":15.30},"context":{"page":{"url":"/a"}}}`},
			rejects: []string{`2 no_identifier`, `3 not_an_event`},
		},
		"events.jsonl": {
			text: `{"event_id":"e1","table":"views","time":"2010-12-01T08:26:00Z","identifiers":{"cookie":"c"},"properties":{"n":1.50,"list":[1]},"context":{"ip":"::1"}}` + "\n" +
				`{"event_id":"e2","table":"nowhere","time":1291191960,"identifiers":{"cookie":"c"}}` + "\n",
			want:    []string{`cookie:c 1291191960000 {"event_id":"e1","table":"views","time":1291191960000,"identifiers":{"cookie":"c"},"properties":{"list":[1],"n":1.50},"context":{"ip":"::1"}}`},
			rejects: []string{`2 unknown_table`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, reader := cluster(t)
			var rejects []string
			im := history.Import{Config: config(t), Client: client, Topic: "events", Mapping: c.mapping, State: t.TempDir(), Rejects: func(r history.Reject) {
				rejects = append(rejects, fmt.Sprint(r.Row, " ", r.Reason))
			}}
			path := write(t, name, c.text)
			dry := im
			dry.DryRun, dry.Rejects = true, nil
			for _, im := range []history.Import{dry, im, im} { // once in earnest; then it is passed over
				if _, err := im.Run(t.Context(), []string{path}); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, r := range records(t, reader) {
				var e map[string]json.RawMessage
				if err := json.Unmarshal(r.Value, &e); err != nil {
					t.Fatal(err)
				}
				text := string(r.Value)
				if id := string(e["event_id"]); strings.HasPrefix(id, `"import/`) {
					text = strings.Replace(text, id, `"*"`, 1)
				}
				for _, h := range r.Headers {
					if h.Key == "received" {
						text = string(h.Value) + " " + text
					}
				}
				got = append(got, string(r.Key)+" "+text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.rejects, rejects); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// However often an import is broken off, in the end the stream has each row once.
func TestImportGoesOn(t *testing.T) {
	client, reader := cluster(t)
	var text strings.Builder
	text.WriteString("time,user_id,total\n")
	const rows = 60_000
	for i := range rows {
		fmt.Fprintf(&text, "%d,%d,%d\n", 1_291_191_960_000+i, 1+i%100, i)
	}
	path := write(t, "orders.csv", text.String())
	im := history.Import{Config: config(t), Client: client, Topic: "events", Mapping: history.Mapping{Table: "orders"}, State: t.TempDir()}
	broken := 0
	for done := false; !done; {
		ctx, cancel := context.WithCancel(t.Context())
		after := rand.IntN(40)
		im.Progress = func(string, history.Summary) {
			if after--; after == 0 {
				cancel()
			}
		}
		_, err := im.Run(ctx, []string{path})
		if done = err == nil; !done {
			broken++
		}
		cancel()
	}
	seen := map[string]int{}
	for _, r := range records(t, reader) {
		var e struct {
			Properties struct{ Total int }
		}
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprint(e.Properties.Total)]++
	}
	if len(seen) != rows {
		t.Errorf("%d rows", len(seen))
	}
	for row, n := range seen {
		if n != 1 {
			t.Fatalf("row %s is there %d times; broken off %d times", row, n, broken)
		}
	}
	t.Logf("broken off %d times", broken)
	if err := os.WriteFile(path, []byte(text.String()+"1,1,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Run(t.Context(), []string{path}); err == nil || !strings.Contains(err.Error(), "has changed since") {
		t.Error(err)
	}
}

func TestFilesThatCannotBeMapped(t *testing.T) {
	im := history.Import{Config: config(t), DryRun: true}
	for want, c := range map[string]struct {
		text string
		m    history.Mapping
	}{
		"no column holds the time": {"user_id\n1\n", history.Mapping{Table: "orders"}},
		"which table":              {"time,user_id\n1,1\n", history.Mapping{}},
		`no table "order"`:         {"time\n1\n", history.Mapping{Table: "order"}},
		`no column "When"`:         {"time\n1\n", history.Mapping{Table: "orders", Columns: map[string]string{"When": "time"}}},
		`cannot go to "props.x"`:   {"time,x\n1,1\n", history.Mapping{Table: "orders", Columns: map[string]string{"x": "props.x"}}},
		"does not say what it is":  {"", history.Mapping{}},
	} {
		name := "f.csv"
		if c.text == "" {
			name = "f.txt"
		}
		im.Mapping = c.m
		if _, err := im.Run(t.Context(), []string{write(t, name, c.text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
