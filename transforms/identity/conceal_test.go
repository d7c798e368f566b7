package identity_test

import (
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/tidwall/gjson"
)

func concealing(t *testing.T) *identity.Rules {
	t.Helper()
	rules, err := identity.NewRules([]identity.KeyRule{
		{Name: "user_id"}, {Name: "email", Normalize: identity.Normalization{Form: identity.Email}, Hash: true}, {Name: "phone", Normalize: identity.Normalization{Form: identity.Phone, Region: "DE"}, Hash: true},
	}, "user_id")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// What must not be stored raw is not in the event any more, wherever its table finds it, and is the same identifier however it was written.
func TestConceal(t *testing.T) {
	rules := concealing(t).WithSecret("a secret of some length")
	sources := []identity.Source{{Key: "user_id", Field: "user_id"}, {Key: "email", Field: "email"}, {Key: "phone", Field: `con\.tact.phone`}}
	const raw = `{"event_id":"e","identifiers":{"user_id":"7","email":" Ann@X.example"},"properties":{"total":1.50,"email":"ann@x.example","con.tact":{"phone":"030 901820"}},"context":{"email":5}}`
	got := rules.Conceal([]byte(raw), sources)
	for _, secret := range []string{"ann@x", "Ann@X", "901820"} {
		if strings.Contains(string(got), secret) {
			t.Errorf("%s still holds %s", got, secret)
		}
	}
	v := gjson.ParseBytes(got)
	email, phone := v.Get("identifiers.email").Str, v.Get(`properties.con\.tact.phone`).Str
	if email == "" || email != v.Get("properties.email").Str || v.Get("context.email").Str != "h0.not_a_string" || v.Get("properties.total").Raw != "1.50" {
		t.Errorf("%s", got)
	}
	for _, known := range []*identity.Rules{rules, concealing(t)} { // also who has no secret knows them
		ids, refused := known.Identify(&event.Event{Raw: got}, sources)
		if len(ids) != 3 || len(refused) != 0 || ids[1].Value != email || ids[2].Value != phone {
			t.Errorf("%v %v", ids, refused)
		}
	}
	for key, written := range map[string]string{"email": "ANN@x.example ", "phone": "+49 30 901820"} {
		id, reason := rules.Normalize(key, written)
		if want := map[string]string{"email": email, "phone": phone}[key]; id.Value != want || reason != "" {
			t.Errorf("%s: %v %s, want %s", key, id, reason, want)
		}
	}
	if again := rules.Conceal(got, sources); string(again) != string(got) {
		t.Errorf("concealed twice: %s", again)
	}
	other, _ := concealing(t).WithSecret("another secret of length").Normalize("email", "ann@x.example")
	if other.Value == email {
		t.Error("two secrets give the same")
	}
}

// A value that does not count is concealed as well, and why it does not is known.
func TestConcealedRefusals(t *testing.T) {
	rules := concealing(t)
	sources := []identity.Source{{Key: "email", Field: "email"}, {Key: "phone", Field: "phone"}}
	raw := []byte(`{"identifiers":{"email":"no address","phone":"12"}}`)
	got := rules.WithSecret("a secret of some length").Conceal(raw, sources)
	ids, refused := rules.Identify(&event.Event{Raw: got}, sources)
	if len(ids) != 0 || len(refused) != 2 || refused[0].Reason != identity.NotAnEmail || refused[1].Reason != identity.NotAPhone || strings.Contains(string(got), "address") {
		t.Errorf("%s: %v %v", got, ids, refused)
	}
	// What merely looks like a reason is a raw value: reasons are labels of metrics.
	if id, reason := rules.Normalize("email", "h0.made_up"); reason != identity.NotHashed {
		t.Errorf("%v %s", id, reason)
	}
	// Raw values that reach the stream nevertheless identify nobody and are told without the value.
	_, refused = rules.Identify(&event.Event{Raw: raw}, sources)
	for _, r := range refused {
		if r.Reason != identity.NotHashed || r.Value != "" {
			t.Errorf("%+v", r)
		}
	}
}

func FuzzConceal(f *testing.F) {
	f.Add(`{"identifiers":{"email":"a@x.example"}}`, "email")
	f.Add(`{"identifiers":{"a":[{"b":"a@x.example"}]}}`, "a.0.b")
	f.Add(`{"identifiers":{"a*|#@":"a@x.example"}}`, "a*|#@")
	f.Fuzz(func(t *testing.T, raw, field string) {
		if !gjson.Valid(raw) || !gjson.Parse(raw).IsObject() || field == "" {
			return
		}
		rules := concealing(t).WithSecret("a secret of some length")
		sources := []identity.Source{{Key: "email", Field: field}}
		got := rules.Conceal([]byte(raw), sources)
		if !gjson.ValidBytes(got) {
			t.Fatalf("%s is no JSON", got)
		}
		e := &event.Event{Raw: got}
		for _, top := range []string{"identifiers", "properties", "context"} {
			if v := e.Field(top + "." + field); v.Type == gjson.String && !strings.HasPrefix(v.Str, "h1.") && !strings.HasPrefix(v.Str, "h0.") {
				t.Fatalf("%s: %s is still there", got, v.Raw)
			}
		}
	})
}
