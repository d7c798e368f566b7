package profile_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"pgregory.net/rapid"
)

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// sortedMembers returns JSON with the members of its objects in ascending order, numbers and escapes as they were understood.
func sortedMembers(t interface{ Fatal(...any) }, text []byte) string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err, string(text))
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAppendText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9@.<>&"\\\n\x00\x7f -]*`)).Draw(t, "text")
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := profile.AppendText([]byte("x"), s); string(got) != "x"+string(want) {
			t.Fatalf("%q is written %s, want %s", s, got, want)
		}
	})
}

func TestAppendTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(-70_000_000_000_000, 300_000_000_000_000).Draw(t, "ms")
		if got, want := string(profile.AppendTime(nil, ms)), `"`+timeText(ms)+`"`; got != want {
			t.Fatalf("%d is written %s, want %s", ms, got, want)
		}
	})
}

// A person of whom nothing was seen, for all that was seen belongs to others, was not seen in 1970.
func TestNothingSeen(t *testing.T) {
	v := profile.View{Identifiers: []profile.Sighted{{Identifier: identity.Identifier{Key: "user_id", Value: "7"}}}}
	want := `{"profile_id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","identifiers":[{"key":"user_id","value":"7","first_seen":null,"last_seen":null,` +
		`"events":0}],"events":0,"first_seen":null,"last_seen":null,"attributes":{}}`
	if got := string(v.AppendJSON(nil)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
