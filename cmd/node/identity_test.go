package node_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/cmd/explanation"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/transforms"
	"github.com/twmb/franz-go/pkg/kgo"
)

// relate waits until two identifiers stand to each other as wanted, and returns how.
func relate(t *testing.T, n *node.Node, a, b string, together bool) *explanation.Relation {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		status, body := ask(t, n, "/v1/identity/explain?"+url.Values{"a": {a}, "b": {b}}.Encode())
		r, err := explanation.ParseRelation([]byte(body))
		if status != 200 || err != nil {
			t.Fatal(status, body, err)
		}
		if r.Together == together && r.A.ProfileID != "" && r.B.ProfileID != "" {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatal(body)
		}
	}
}

func rule(t *testing.T, n *node.Node, body string) (int, string) {
	t.Helper()
	response, err := http.Post("http://"+n.Address()+"/v1/identity/rulings", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// A decision about two identifiers goes through the stream, and why they are apart can be asked.
func TestRulings(t *testing.T) {
	n := run(t, options(t))
	send(t, n, "login", `{"event_id":"e1","identifiers":{"user_id":"7","email":"ann@x.example"}}`)
	const person, address = "customer_id:7", "email: Ann@X.example"
	if r := relate(t, n, person, address, true); len(r.Path) != 1 || r.Path[0].Event != "e1" {
		t.Errorf("%+v", r)
	}
	status, answer := rule(t, n, `{"ruling":"forbid","a":"email:ann@x.example","b":"customer_id:7","reason":"a test"}`)
	if status != http.StatusAccepted || !strings.Contains(answer, `"event_id":"`) {
		t.Fatal(status, answer)
	}
	r := relate(t, n, person, address, false)
	if len(r.Refused) != 1 || r.Refused[0].Reason != "forbidden" || len(r.Rulings) != 1 || !strings.Contains(answer, r.Rulings[0].Event) {
		t.Errorf("%+v", r)
	}
	if status, answer := rule(t, n, `{"ruling":"allow","a":"email:ann@x.example","b":"customer_id:7"}`); status != http.StatusAccepted {
		t.Fatal(status, answer)
	}
	relate(t, n, person, address, true)
}

func TestRulingsThatCannotBe(t *testing.T) {
	n := run(t, options(t))
	for body, code := range map[string]string{
		`{`: "bad_ruling",
		`{"ruling":"forbid","a":"email:a@x.example","b":"customer_id:7","because":"x"}`: "bad_ruling",
		`{"ruling":"forbid","a":"email:a@x.example","b":"customer_id:7"} {}`:            "bad_ruling",
		`{"ruling":"part","a":"email:a@x.example","b":"customer_id:7"}`:                 "unknown ruling",
		`{"ruling":"forbid","a":"email:a@x.example","b":"email:A@x.example"}`:           "from itself",
		`{"ruling":"forbid","a":"a@x.example","b":"customer_id:7"}`:                     "want KEY:VALUE",
		`{"ruling":"forbid","a":"phone:1","b":"customer_id:7"}`:                         "not_configured",
		`{"ruling":"forbid","a":"` + strings.Repeat("x", 20_000) + `"}`:                 "16 KiB",
	} {
		if status, answer := rule(t, n, body); status != http.StatusBadRequest || !strings.Contains(answer, code) {
			t.Errorf("%.80s: %d %s", body, status, answer)
		}
	}
	for _, path := range []string{"", "?a=email:x@y.example", "?a=email:x@y.example&b=phone:1", "?a=email&b=customer_id:7", "?a=email:x@y.example&b=" + strings.Repeat("x", 2000)} {
		if status, answer := ask(t, n, "/v1/identity/explain"+path); status != http.StatusBadRequest {
			t.Errorf("%.80s: %d %s", path, status, answer)
		}
	}
	response, err := http.Post("http://"+n.Address()+"/v1/events/_identity", "application/json", strings.NewReader(`{"events":[{"properties":{"ruling":"forbid"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("a ruling posted as an event: %s", response.Status)
	}
}

// Values that must not be stored raw are in no topic and no profile, and are found all the same; without the secret nothing starts.
func TestConcealedIdentifiers(t *testing.T) {
	o := options(t)
	yaml := "segment: clinic\nprofile_key: patient\nkeys: [{name: patient}, {name: email, normalize: email, hash: true}]\ntables: {visit: {}}\n"
	o.Segment = parse(t, yaml)
	t.Setenv(transforms.SecretVariable, "short")
	if n, err := node.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), transforms.SecretVariable) {
		t.Errorf("started without a secret: %v, %v", n, err)
	}
	const secret = "the secret of this test"
	t.Setenv(transforms.SecretVariable, secret)
	o.Segment.Rules = o.Segment.Rules.WithSecret(secret)
	n := run(t, o)
	send(t, n, "visit", `{"event_id":"e1","identifiers":{"patient":"7","email":"Ann@X.example"}}`)
	status, answer := rule(t, n, `{"ruling":"forbid","a":"email:bob@x.example","b":"patient:8"}`)
	if status != http.StatusAccepted {
		t.Fatal(status, answer)
	}
	get(t, n, "/v1/profiles/email/ann@x.example", 1)
	_, body := ask(t, n, "/v1/profiles/email/ann@x.example")
	if strings.Contains(strings.ToLower(body), "ann@") || !strings.Contains(body, `"value":"h1.`) {
		t.Error(body)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka().Brokers...), kgo.ConsumeTopics("braid.clinic.events", "braid.clinic.profiles"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for visits, rulings := 0, 0; visits == 0 || rulings == 0; {
		for _, r := range client.PollFetches(t.Context()).Records() {
			text := strings.ToLower(string(r.Key) + string(r.Value))
			if strings.Contains(text, "ann@") || strings.Contains(text, "bob@") {
				t.Fatalf("%s: %s", r.Topic, text)
			}
			if strings.Contains(text, `"visit"`) {
				visits++
			}
			if strings.Contains(text, `"forbid"`) {
				rulings++
			}
		}
	}
}
