package node_test

import (
	"encoding/json"
	"testing"

	"github.com/braidhq/braid/cmd/explanation"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/transforms/update"
)

// A person is found under any profile ID ever given out, and explained: what each cell contributed.
func TestProfilesByOldIDsAndExplained(t *testing.T) {
	n := run(t, options(t))
	const cookie = "0822e8f3-6c03-4199-972a-846916419f82"
	send(t, n, "page_view", `{"event_id":"e1","identifiers":{"anonymous_id":"`+cookie+`"},"properties":{"category":"yoga"}}`)
	get(t, n, "/v1/profiles/cookie/"+cookie, 1)
	old := profileID(t, n, "/v1/profiles/cookie/"+cookie)
	send(t, n, "login", `{"event_id":"e2","identifiers":{"user_id":"7","email":"ann@x.example"}}`)
	get(t, n, "/v1/profiles/customer_id/7", 1)
	send(t, n, "page_view", `{"event_id":"e3","identifiers":{"user_id":"7","anonymous_id":"`+cookie+`"}}`)
	get(t, n, "/v1/profiles/customer_id/7", 3)
	now := profileID(t, n, "/v1/profiles/customer_id/7")
	if now == old {
		t.Fatal("the log-in left the profile ID as it was, so nothing is tested")
	}
	for _, path := range []string{"/customer_id/7", "/cookie/" + cookie, "/" + update.KeyProfileID + "/" + old, "/" + update.KeyProfileID + "/" + now} {
		if got := profileID(t, n, "/v1/profiles"+path); got != now {
			t.Errorf("%s: profile %s, want %s", path, got, now)
		}
		status, body := ask(t, n, "/v1/profiles"+path+"?explain=true")
		e, err := explanation.Parse([]byte(body))
		if status != 200 || err != nil {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		var events uint64
		for _, c := range e.Cells {
			events += c.Events
		}
		if events != 3 || len(e.Cells) != 3 || len(e.Links) == 0 || e.Kinds["revenue"] != "sum" {
			t.Errorf("%s: %s", path, body)
		}
	}
	for path, want := range map[string]int{
		"/customer_id/8?explain=true": 404, "/no_such_key/8?explain=true": 404, "/profile_id/x?explain=true": 404, "/profile_id/x": 404,
		"/customer_id/letters": 404, "/customer_id/7?explain=perhaps": 400,
	} {
		if status, body := ask(t, n, "/v1/profiles"+path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func profileID(t *testing.T, n *node.Node, path string) string {
	t.Helper()
	status, body := ask(t, n, path)
	var profile struct {
		ID string `json:"profile_id"`
	}
	if err := json.Unmarshal([]byte(body), &profile); err != nil || status != 200 {
		t.Fatal(path, status, body, err)
	}
	return profile.ID
}
