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
		{Name: "user_id", Normalize: identity.Normalization{Form: identity.Verbatim}},
		{Name: "email", Normalize: identity.Normalization{Form: identity.Email}, InvalidTexts: []string{"Nobody@Example.com"}},
		{Name: "code", Normalize: identity.Normalization{Form: identity.Lower}, ValidRegexp: "[a-f]{2}|zz"},
		{Name: "cookie"},
		{Name: "phone", Normalize: identity.Normalization{Form: identity.Phone, Region: "DE"}},
		{Name: "world_phone", Normalize: identity.Normalization{Form: identity.Phone}},
		{Name: "card", Replace: []identity.Replacement{{Pattern: "[ -]"}, {Pattern: "^0+(.)", With: "$1"}}, InvalidRegexp: "9+", Junk: identity.AllowJunk},
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
		{"unknown key", "fax", "1", "", identity.NotConfigured},
		{"composed characters", "cookie", "Zoe\u0308", "Zo\u00eb", ""},
		{"verbatim leaves them", "user_id", "Zoe\u0308", "Zoe\u0308", ""},
		{"phone of the region", "phone", " 030 / 901820 ", "+4930901820", ""},
		{"phone of another country", "phone", "+1 650-253-0000", "+16502530000", ""},
		{"phone with two zeros", "phone", "0044 20 7031 3000", "+442070313000", ""},
		{"no phone", "phone", "12", "", identity.NotAPhone},
		{"phone without a country", "world_phone", "030 901820", "", identity.NotAPhone},
		{"phone with one", "world_phone", "+49 (30) 90 18 20", "+4930901820", ""},
		{"replaced", "card", "00 12-34", "1234", ""},
		{"blocked", "card", "99-99", "", identity.InvalidText},
		{"junk that is allowed", "card", "0", "0", ""},
		{"junk", "cookie", "NULL", "", identity.KnownJunk},
		{"junk of zeros", "cookie", "00000000-0000-0000-0000-000000000000", "", identity.KnownJunk},
		{"one zero", "user_id", "0", "", identity.KnownJunk},
		{"junk address", "email", "Test@Test.com", "", identity.KnownJunk},
		{"no junk", "cookie", "nullify", "nullify", ""},
		{"no junk in digits", "user_id", "12345678", "12345678", ""},
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
	rules, err := identity.NewRules([]identity.KeyRule{{Name: "user_id"}, {Name: "email", Normalize: identity.Normalization{Form: identity.Email}}, {Name: "cookie"}}, "user_id")
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
		"unknown normalization": {[]identity.KeyRule{{Name: "user_id", Normalize: identity.Normalization{Form: "upper"}}}, `unknown normalization "upper"`},
		"unknown region":        {[]identity.KeyRule{{Name: "user_id", Normalize: identity.Normalization{Form: identity.Phone, Region: "uk"}}}, `"uk" is no region`},
		"unknown junk rule":     {[]identity.KeyRule{{Name: "user_id", Junk: "keep"}}, `unknown rule "keep"`},
		"bad pattern":           {[]identity.KeyRule{{Name: "user_id", Replace: []identity.Replacement{{Pattern: "["}}}}, `"[" is not an expression`},
		"bad invalid_regexp":    {[]identity.KeyRule{{Name: "user_id", InvalidRegexp: "("}}, "missing closing )"},
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

// What stands among the identifiers and is mapped to no key is told: most likely its name is written wrong.
func TestIdentifyUnmapped(t *testing.T) {
	rules, err := identity.NewRules([]identity.KeyRule{{Name: "user_id"}, {Name: "email"}, {Name: "cookie"}}, "user_id")
	if err != nil {
		t.Fatal(err)
	}
	sources := []identity.Source{{Key: "user_id", Field: "user_id"}, {Key: "email", Field: "mail.address"}, {Key: "cookie", Field: "anonymousId"}}
	e := &event.Event{Raw: []byte(`{"identifiers":{"User_ID":"7","mail":{"address":"a@x.example"},"fax":1,"anonymousid":"c"},"properties":{"Email":"x"}}`)}
	ids, refused := rules.Identify(e, sources)
	if diff := cmp.Diff([]identity.Identifier{{Key: "email", Value: "a@x.example"}}, ids); diff != "" {
		t.Errorf("identifiers (-want +got):\n%s", diff)
	}
	want := []identity.RefusedValue{
		{Key: "user_id", Value: "7", Reason: identity.NameCase}, {Key: "fax", Value: "1", Reason: identity.NotConfigured},
		{Key: "cookie", Value: "c", Reason: identity.NameCase},
	}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}
