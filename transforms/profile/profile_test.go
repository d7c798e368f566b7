package profile_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const start int64 = 1_700_000_000_000

func newFolder(t testing.TB) *profile.Folder {
	t.Helper()
	rules, err := identity.NewRules([]identity.KeyRule{{Name: "user_id"}, {Name: "email"}, {Name: "cookie"}}, "user_id")
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := attribute.NewSet([]attribute.Definition{
		{Name: "events", Kind: "counter", Event: "all"},
		{Name: "total", Kind: "sum", Event: "all", Value: "properties.n"},
		{Name: "latest", Kind: "last", Event: "all", Value: "properties.text"},
	}, map[string]attribute.EventRef{"all": {Meaning: "all"}}, attribute.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return &profile.Folder{Namespace: "test", Rules: rules, Attributes: attributes}
}

func ids(texts ...string) []identity.Identifier {
	var all []identity.Identifier
	for _, text := range texts {
		id, err := identity.ParseIdentifier(text)
		if err != nil {
			panic(err) // a mistake in the test
		}
		all = append(all, id)
	}
	return all
}

func newEvent(id string, at int64, properties string) *event.Event {
	return &event.Event{
		ID: id, Time: at, Received: at, Order: event.Order{Time: at, ID: id}, Raw: []byte(`{"properties":` + properties + `}`),
	}
}

// fold counts an event in a cell, the way the update core does.
func fold(t testing.TB, f *profile.Folder, c *profile.Cell, e *event.Event, epoch, oldest uint64) {
	t.Helper()
	if !c.Sight(e) {
		return
	}
	b, err := c.Bucket(epoch, oldest)
	if err != nil {
		t.Fatal(err)
	}
	b.Events++
	if b.States, _, err = f.Attributes.Add(b.States, e, []int{0}); err != nil {
		t.Fatal(err)
	}
}

// documentOf returns the document of the given cells, with all they mention as members.
func documentOf(cells ...*profile.Cell) *profile.Document {
	d := &profile.Document{}
	for _, c := range cells {
		d.Add(c.Identifiers...)
		d.AddCell(c)
	}
	return d
}

func view(t testing.TB, f *profile.Folder, d *profile.Document) *profile.View {
	t.Helper()
	v, err := f.Fold(d, start)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProfileID(t *testing.T) {
	f := newFolder(t)
	type sighting struct {
		at  int64
		ids []identity.Identifier
	}
	cases := []struct {
		name  string
		seen  []sighting
		whose string
	}{
		{"the profile key, though seen last", []sighting{{1, ids("cookie:a")}, {2, ids("email:x", "cookie:a")}, {3, ids("user_id:7", "email:x")}}, "user_id:7"},
		{"before that the identifier seen first", []sighting{{5, ids("email:x", "cookie:b")}, {2, ids("cookie:b")}}, "cookie:b"},
		{"of those seen first together the most identifying", []sighting{{5, ids("cookie:b", "email:x")}}, "email:x"},
		{"of one key the lesser value", []sighting{{5, ids("cookie:b", "cookie:a")}}, "cookie:a"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var cells []*profile.Cell
			for _, s := range c.seen {
				cell := profile.NewCell("test", s.ids)
				fold(t, f, cell, newEvent("e", start+s.at, `{}`), 0, 0)
				cells = append(cells, cell)
			}
			d := documentOf(cells...)
			want := identity.NewID("test", ids(c.whose)[0])
			if got := f.ID(d); got != want {
				t.Errorf("ID is %s, want %s of %s", got, want, c.whose)
			}
			if got := view(t, f, d).ID; got != want {
				t.Errorf("the view's ID is %s, want %s", got, want)
			}
		})
	}
	if got := f.ID(&profile.Document{}); got != (identity.ID{}) {
		t.Errorf("an empty document has the ID %s", got)
	}
}

// Of 210 cookies the 200 seen last are listed, by priority and then latest first; all of them are folded.
func TestListedIdentifiers(t *testing.T) {
	f := newFolder(t)
	d := documentOf()
	user := profile.NewCell("test", ids("user_id:7"))
	fold(t, f, user, newEvent("first", start, `{}`), 0, 0)
	d.Add(user.Identifiers...)
	d.AddCell(user)
	for i := range 209 {
		c := profile.NewCell("test", ids(fmt.Sprintf("cookie:%03d", i)))
		fold(t, f, c, newEvent("e"+strconv.Itoa(i), start+1+int64(i*7%209), `{"n":1}`), 0, 0)
		d.Add(c.Identifiers...)
		d.AddCell(c)
	}
	for _, c := range []struct{ limit, listed int }{{0, 200}, {3, 3}, {210, 210}, {1000, 210}} {
		f.MaxListed = c.limit
		v := view(t, f, d)
		if len(v.Identifiers) != c.listed || v.Unlisted != 210-c.listed {
			t.Errorf("limit %d: %d listed, %d not; want %d listed", c.limit, len(v.Identifiers), v.Unlisted, c.listed)
		}
		if v.Events != 210 || v.First != start || v.Last != start+209 || v.Attributes[1].Value.String() != "209" {
			t.Errorf("limit %d: the fold has %d events, total %s", c.limit, v.Events, v.Attributes[1].Value)
		}
		if v.ID != identity.NewID("test", ids("user_id:7")[0]) {
			t.Errorf("limit %d changes the profile ID", c.limit)
		}
		sorted := slices.IsSortedFunc(v.Identifiers, func(a, b profile.Sighted) int {
			if d := f.Rules.Priority(a.Key) - f.Rules.Priority(b.Key); d != 0 {
				return d
			}
			return b.Last.Compare(a.Last)
		})
		oldest := slices.MinFunc(v.Identifiers, func(a, b profile.Sighted) int { return a.Last.Compare(b.Last) })
		if !sorted || oldest.Last.Time != start+int64(210-c.listed) {
			t.Errorf("limit %d: oldest listed is of %d; sorted: %v", c.limit, oldest.Last.Time-start, sorted)
		}
	}
}

func TestSightedIdentifiers(t *testing.T) {
	f := newFolder(t)
	both, alone := profile.NewCell("test", ids("user_id:7", "cookie:a")), profile.NewCell("test", ids("user_id:7"))
	fold(t, f, both, newEvent("e1", start+20, `{}`), 0, 0)
	fold(t, f, both, newEvent("e2", start+30, `{}`), 3, 0)
	fold(t, f, alone, newEvent("e3", start+10, `{}`), 0, 0)
	order := func(id string, at int64) event.Order { return event.Order{Time: start + at, ID: id} }
	want := []profile.Sighted{
		{Identifier: ids("user_id:7")[0], First: order("e3", 10), Last: order("e2", 30), Events: 3},
		{Identifier: ids("cookie:a")[0], First: order("e1", 20), Last: order("e2", 30), Events: 2},
	}
	if diff := cmp.Diff(want, view(t, f, documentOf(both, alone)).Identifiers); diff != "" {
		t.Errorf("identifiers (-want +got):\n%s", diff)
	}
}

func TestCanonicalJSON(t *testing.T) {
	f := newFolder(t)
	c := profile.NewCell("test", ids("user_id:7", `cookie:a<"é>`))
	fold(t, f, c, newEvent("e1", start+1, `{"n":1.50,"text":"<b>&\u2028 é\n"}`), 0, 0)
	fold(t, f, c, newEvent("e2", start+86_400_999, `{"n":-4}`), 1, 0)
	got, err := json.Marshal(view(t, f, documentOf(c)))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"profile_id":"wkilfimpg4qcwwtfr6ognnta7q","identifiers":[` +
		`{"key":"user_id","value":"7","first_seen":"2023-11-14T22:13:20.001Z","last_seen":"2023-11-15T22:13:20.999Z","events":2},` +
		`{"key":"cookie","value":"a\u003c\"é\u003e","first_seen":"2023-11-14T22:13:20.001Z","last_seen":"2023-11-15T22:13:20.999Z","events":2}],` +
		`"events":2,"first_seen":"2023-11-14T22:13:20.001Z","last_seen":"2023-11-15T22:13:20.999Z",` +
		`"attributes":{"events":2,"total":-2.5,"latest":"\u003cb\u003e\u0026\u2028 é\n"}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

// What AppendJSON writes is what encoding/json would make of the same members.
func TestAppendJSONIsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := &profile.View{
			Unlisted: rapid.IntRange(0, 2).Draw(t, "unlisted"), Events: rapid.Uint64Min(1).Draw(t, "events"),
			First: rapid.Int64Range(-1e14, 1e15).Draw(t, "first"), Last: rapid.Int64Range(-1e10, 4e12).Draw(t, "last"),
		}
		copy(v.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		identifiers := []map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "identifiers") {
			s := profile.Sighted{Identifier: identity.Identifier{Key: rapid.String().Draw(t, "key"), Value: rapid.String().Draw(t, "value")}, Events: 3}
			v.Identifiers = append(v.Identifiers, s)
			identifiers = append(identifiers, map[string]any{
				"key": s.Key, "value": s.Value, "events": 3, "first_seen": "1970-01-01T00:00:00.000Z", "last_seen": "1970-01-01T00:00:00.000Z",
			})
		}
		attributes := map[string]any{}
		for i := range rapid.IntRange(0, 4).Draw(t, "attributes") {
			name := fmt.Sprint("a", i, rapid.String().Draw(t, "name"))
			text := rapid.String().Draw(t, "text")
			r := accumulator.Result{Name: name, Value: accumulator.TextValue(text)}
			attributes[name] = text
			if rapid.Bool().Draw(t, "number") {
				r.Value, attributes[name] = accumulator.IntegerValue(int64(i)), i
			}
			v.Attributes = append(v.Attributes, r)
		}
		got := v.AppendJSON(nil)
		whole := map[string]any{
			"profile_id": v.ID.String(), "identifiers": identifiers, "events": v.Events, "attributes": attributes,
			"first_seen": timeText(v.First), "last_seen": timeText(v.Last),
		}
		if v.Unlisted > 0 {
			whole["identifiers_unlisted"] = v.Unlisted
		}
		want, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sortedMembers(t, want), sortedMembers(t, got)); diff != "" {
			t.Fatalf("JSON (-want +got):\n%s", diff)
		}
		again, err := json.Marshal(v)
		if err != nil || string(again) != string(got) {
			t.Fatalf("json.Marshal gives %s, %v\nAppendJSON gives %s", again, err, got)
		}
	})
}
