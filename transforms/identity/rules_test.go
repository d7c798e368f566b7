package identity_test

import (
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/google/go-cmp/cmp"
)

func TestNormalize(t *testing.T) {
	rules, err := identity.NewRules([]identity.KeyRule{
		{Name: "user_id", Normalize: identity.Verbatim},
		{Name: "email", Normalize: identity.Email, InvalidTexts: []string{"Nobody@Example.com"}},
		{Name: "code", Normalize: identity.Lower, ValidRegexp: "[a-f]{2}|zz"},
		{Name: "cookie"},
	}, "user_id")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, key, value, want string
		refusal                identity.Refusal
	}{
		{"verbatim keeps white space", "user_id", " 7 ", " 7 ", ""},
		{"trim is the default", "cookie", " ab\t", "ab", ""},
		{"e-mail in lower case", "email", " Ann@Example.COM ", "ann@example.com", ""},
		{"e-mail without domain", "email", "ann@", "", identity.NotAnEmail},
		{"e-mail with a blank", "email", "an n@example.com", "", identity.NotAnEmail},
		{"invalid text is compared normalized", "email", "NOBODY@example.com", "", identity.InvalidText},
		{"regexp matches after normalization", "code", "AF", "af", ""},
		{"regexp must match the whole value", "code", "aff", "", identity.InvalidRegexp},
		{"regexp alternatives are one group", "code", "azz", "", identity.InvalidRegexp},
		{"empty", "cookie", "  ", "", identity.Empty},
		{"control character", "cookie", "a\x00b", "", identity.NotPrintable},
		{"too long", "cookie", strings.Repeat("x", identity.MaxValueBytes+1), "", identity.TooLong},
		{"unknown key", "phone", "1", "", identity.NotConfigured},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, refusal := rules.Normalize(c.key, c.value)
			if got.Value != c.want || refusal != c.refusal {
				t.Errorf("Normalize(%q, %q) = %q, %q; want %q, %q", c.key, c.value, got.Value, refusal, c.want, c.refusal)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	rules, err := identity.NewRules([]identity.KeyRule{{Name: "user_id"}, {Name: "email", Normalize: identity.Email}, {Name: "cookie"}}, "user_id")
	if err != nil {
		t.Fatal(err)
	}
	sources := []identity.Source{{Key: "cookie", Field: "anonymous_id"}, {Key: "email", Field: "email"}, {Key: "user_id", Field: "user_id"}}
	e := &event.Event{Raw: []byte(`{"identifiers":{"anonymous_id":"ab","user_id":7},"properties":{"email":"ANN@example.com"},"context":{"email":"other@example.com"}}`)}
	ids, refused := rules.Identify(e, sources)
	if diff := cmp.Diff([]identity.Identifier{{Key: "email", Value: "ann@example.com"}, {Key: "cookie", Value: "ab"}}, ids); diff != "" {
		t.Errorf("identifiers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]identity.RefusedValue{{Key: "user_id", Value: "7", Reason: identity.NotAString}}, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

func TestNewRulesRefuses(t *testing.T) {
	cases := map[string]struct {
		keys []identity.KeyRule
		want string
	}{
		"no profile key":        {[]identity.KeyRule{{Name: "email"}}, `profile key "user_id" is not one of the stitching keys`},
		"twice":                 {[]identity.KeyRule{{Name: "user_id"}, {Name: "user_id"}}, "listed twice"},
		"unknown policy":        {[]identity.KeyRule{{Name: "user_id", Policy: "newest"}}, `unknown policy "newest"`},
		"unknown normalization": {[]identity.KeyRule{{Name: "user_id", Normalize: "upper"}}, `unknown normalization "upper"`},
		"bad regexp":            {[]identity.KeyRule{{Name: "user_id", ValidRegexp: "("}}, "missing closing )"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := identity.NewRules(c.keys, "user_id"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	i := identity.Identifier{Key: "email", Value: "ann@example.com"}
	id := identity.NewID("retail", i)
	back, err := identity.ParseID(id.String())
	if err != nil || back != id {
		t.Errorf("ParseID(%s) = %s, %v", id, back, err)
	}
	others := []identity.ID{
		identity.NewID("retai", identity.Identifier{Key: "lemail", Value: i.Value}),
		identity.NewID("other", i),
		identity.NewSetID("retail", []identity.Identifier{i}),
	}
	for _, o := range others {
		if o == id {
			t.Errorf("two different things have the ID %s", id)
		}
	}
	if _, err := identity.ParseID("short"); err == nil {
		t.Error("ParseID accepted a short ID")
	}
}
