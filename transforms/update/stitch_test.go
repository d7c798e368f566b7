package update_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
)

// TestIdentityChanges applies all but the last event and looks at what the last one changes.
func TestIdentityChanges(t *testing.T) {
	type sight struct {
		at  int64
		ids string
	}
	type change struct {
		Kind          update.ChangeKind
		Before        []string
		After         string
		Leader, Other string
		Moved         []string
	}
	latest := []identity.KeyRule{{Name: "user_id"}, {Name: "email"}, {Name: "cookie", Policy: identity.MoveToLatest}}
	emailFirst := []identity.KeyRule{{Name: "email"}, {Name: "user_id"}, {Name: "cookie"}}
	cases := []struct {
		name string
		keys []identity.KeyRule
		seen []sight
		want []change
	}{
		{"created", nil, []sight{{0, "cookie:a email:x"}},
			[]change{{Kind: "created", After: "email:x", Moved: []string{"email:x", "cookie:a"}}}},
		{"nothing new", nil, []sight{{0, "cookie:a email:x"}, {1, "cookie:a"}}, nil},
		{"extended by an unknown identifier", nil, []sight{{0, "cookie:a"}, {1, "email:x"}, {2, "email:x cookie:b"}},
			[]change{{"extended", []string{"email:x"}, "email:x", "email:x", "cookie:b", []string{"cookie:b"}}}},
		{"a new leader extends a profile", nil, []sight{{0, "cookie:a"}, {1, "user_id:7 cookie:a"}},
			[]change{{"extended", []string{"cookie:a"}, "user_id:7", "user_id:7", "cookie:a", []string{"user_id:7"}}}},
		{"before is what it was before the event", nil, []sight{{5, "email:x cookie:b"}, {7, "cookie:b"}, {1, "cookie:b"}, {0, "email:x cookie:c"}},
			[]change{{"extended", []string{"cookie:b"}, "email:x", "email:x", "cookie:c", []string{"cookie:c"}}}},
		{"merged", nil, []sight{{0, "user_id:7 email:x"}, {1, "cookie:a"}, {2, "user_id:7 cookie:a"}},
			[]change{{"merged", []string{"user_id:7", "cookie:a"}, "user_id:7", "user_id:7", "cookie:a", []string{"cookie:a"}}}},
		{"the smaller one moves", nil, []sight{{0, "email:x cookie:a"}, {1, "email:x cookie:b"}, {2, "user_id:7"}, {3, "user_id:7 email:x"}},
			[]change{{"merged", []string{"email:x", "user_id:7"}, "user_id:7", "user_id:7", "email:x", []string{"user_id:7"}}}},
		{"two at once", nil, []sight{{0, "user_id:7"}, {1, "email:x"}, {2, "cookie:a"}, {3, "user_id:7 email:x cookie:a"}}, []change{
			{"merged", []string{"email:x", "user_id:7"}, "user_id:7", "user_id:7", "email:x", []string{"user_id:7"}},
			{"merged", []string{"user_id:7", "cookie:a"}, "user_id:7", "user_id:7", "cookie:a", []string{"cookie:a"}},
		}},
		{"refused", nil, []sight{{0, "user_id:7 cookie:a"}, {1, "user_id:8"}, {2, "user_id:8 cookie:a"}},
			[]change{{"refused", []string{"user_id:8", "user_id:7"}, "user_id:8", "user_id:8", "cookie:a", nil}}},
		{"refused again is not told again", nil,
			[]sight{{0, "user_id:7 cookie:a"}, {1, "user_id:8"}, {2, "user_id:8 cookie:a"}, {3, "user_id:8 cookie:a"}}, nil},
		{"a new person is refused an identifier", nil, []sight{{0, "user_id:7 cookie:a"}, {1, "user_id:8 email:x cookie:a"}}, []change{
			{Kind: "created", After: "user_id:8", Moved: []string{"user_id:8", "email:x"}},
			{"refused", []string{"user_id:8", "user_id:7"}, "user_id:8", "user_id:8", "cookie:a", nil},
		}},
		{"a new person is refused a leader", emailFirst, []sight{{0, "email:x user_id:7"}, {1, "email:x user_id:8"}}, []change{
			{Kind: "created", After: "user_id:8", Moved: []string{"user_id:8"}},
			{"refused", []string{"user_id:7", "user_id:8"}, "user_id:7", "email:x", "user_id:8", nil},
		}},
		{"a leader moves to a new person, who was earlier", emailFirst, []sight{{5, "email:x user_id:7"}, {1, "email:x user_id:8"}}, []change{
			{Kind: "created", After: "user_id:8", Moved: []string{"user_id:8"}},
			{"moved", []string{"user_id:8", "user_id:7"}, "user_id:8", "email:x", "user_id:8", []string{"email:x"}},
		}},
		{"moved to an earlier owner", nil, []sight{{5, "user_id:7 cookie:a"}, {1, "user_id:8 cookie:a"}}, []change{
			{Kind: "created", After: "user_id:8", Moved: []string{"user_id:8"}},
			{"moved", []string{"user_id:8", "user_id:7"}, "user_id:8", "user_id:8", "cookie:a", []string{"cookie:a"}},
		}},
		{"moved to the latest owner", latest, []sight{{1, "user_id:7 cookie:a"}, {2, "user_id:8"}, {5, "user_id:8 cookie:a"}},
			[]change{{"moved", []string{"user_id:8", "user_id:7"}, "user_id:8", "user_id:8", "cookie:a", []string{"cookie:a"}}}},
		{"the leader moves, with what hangs on it", nil,
			[]sight{{5, "user_id:7 email:x"}, {6, "email:x cookie:b"}, {1, "user_id:8 cookie:a"}, {2, "email:x cookie:a"}},
			[]change{{"moved", []string{"user_id:8", "user_id:7"}, "user_id:8", "email:x", "cookie:a", []string{"email:x", "cookie:b"}}}},
		{"a new leader goes over to another person", emailFirst, []sight{{1, "user_id:7 cookie:a"}, {0, "email:x user_id:8 cookie:a"}}, []change{
			{Kind: "created", After: "user_id:8", Moved: []string{"email:x", "user_id:8"}},
			{"moved", []string{"user_id:8", "user_id:7"}, "user_id:8", "email:x", "cookie:a", []string{"cookie:a"}},
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config := newConfig(t, "user_id", c.keys...)
			names := map[identity.ID]string{}
			docs := update.NewDocuments()
			var got []change
			for i, s := range c.seen {
				for _, text := range strings.Fields(s.ids) {
					names[profileID(text)] = text
				}
				in := config.Prepare(record(s.at, "e"+string(rune('0'+i)), s.ids))
				out := stepped(t, config, docs, in, update.Epoch{})
				if i < len(c.seen)-1 {
					continue
				}
				for _, x := range out.Changes {
					y := change{Kind: x.Kind, After: names[x.After]}
					for _, id := range x.Before {
						y.Before = append(y.Before, names[id])
					}
					if x.Link != (identity.Link{}) {
						y.Leader, y.Other = x.Link.Leader.String(), x.Link.Other.String()
					}
					for _, m := range x.Moved {
						y.Moved = append(y.Moved, m.String())
					}
					got = append(got, y)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// stepped runs Step on documents of which all that is known is in memory.
func stepped(t testing.TB, config *update.Config, docs *update.Documents, in *update.Input, epoch update.Epoch) update.Outcome {
	t.Helper()
	out, err := config.Step(docs, in, epoch)
	if err == nil && !out.Need.Empty() {
		for _, id := range out.Need.Identifiers {
			docs.Locate(id, [16]byte{})
		}
		out, err = config.Step(docs, in, epoch)
	}
	if err != nil || !out.Need.Empty() {
		t.Fatalf("error %v, lacks %v", err, out.Need)
	}
	return out
}

// However much moves at once, and whatever it is called, the record that tells of it fits a topic that takes 4 MiB.
func TestManyMove(t *testing.T) {
	const many = 1600
	s := newScene(t)
	inputs := []*update.Input{s.event(10, "user_id:7 email:x")}
	for i := range many {
		inputs = append(inputs, s.event(int64(20+i), fmt.Sprintf("email:x cookie:%s%d", strings.Repeat("<", 500), i)))
	}
	s.settled(inputs...)
	for _, e := range s.settled(s.event(0, "user_id:8 email:x")).Effects {
		if len(e.Value) > 2<<20 {
			t.Errorf("an effect for %s has %d bytes", e.Topic, len(e.Value))
		}
		var change update.IdentityEffect
		if err := json.Unmarshal(e.Value, &change); err != nil {
			t.Fatal(err)
		}
		if change.Kind == update.ProfilesMoved && (len(change.Moved) < 500 || len(change.Moved)+change.Unlisted != many+1) {
			t.Errorf("%d that moved are listed, %d are not", len(change.Moved), change.Unlisted)
		}
	}
	if got := s.views("email:x"); got != many+1 {
		t.Errorf("%d views moved, want %d", got, many+1)
	}
}
