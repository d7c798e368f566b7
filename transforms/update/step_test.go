package update_test

import (
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
)

func TestStepSaysWhatItNeeds(t *testing.T) {
	config := newConfig(t, "user_id")
	docs := update.NewDocuments()
	in := config.Prepare(record(0, "e1", "user_id:7 cookie:a"))
	step := func() update.Outcome {
		out, err := config.Step(docs, in, update.Epoch{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := update.Need{Identifiers: []identity.ID{profileID("user_id:7"), profileID("cookie:a")}}
	if diff := cmp.Diff(want, step().Need); diff != "" {
		t.Errorf("with nothing known (-want +got):\n%s", diff)
	}
	docs.Locate(profileID("user_id:7"), profile.Key{})
	docs.Locate(profileID("cookie:a"), profile.Key{42})
	want = update.Need{Documents: []profile.Key{{42}}}
	if diff := cmp.Diff(want, step().Need); diff != "" {
		t.Errorf("with the places known (-want +got):\n%s", diff)
	}
	if docs.Of(profileID("user_id:7")) != nil {
		t.Error("it began a document though something was lacking")
	}
	doc := &profile.Document{Key: profile.Key{42}}
	doc.Add(identity.Identifier{Key: "cookie", Value: "a"})
	docs.Put(doc)
	if out := step(); !out.Need.Empty() || len(out.Changes) != 1 || out.Changes[0].Kind != update.ProfileExtended {
		t.Errorf("with all there: %+v", out)
	}
	if docs.Of(profileID("user_id:7")) != doc || docs.Of(profileID("cookie:a")) != doc {
		t.Error("the two identifiers are not in the document that was put")
	}
}

func TestStepCountsARetryOnce(t *testing.T) {
	config := newConfig(t, "user_id")
	docs := update.NewDocuments()
	count := func(at int64, id, ids string) update.Outcome {
		return stepped(t, config, docs, config.Prepare(record(at, id, ids)), update.Epoch{})
	}
	if count(0, "e1", "user_id:7 cookie:a").Duplicate {
		t.Error("the first is a duplicate")
	}
	if out := count(1000, "e1", "cookie:a user_id:7"); !out.Duplicate || out.Changes != nil {
		t.Errorf("the retry: %+v", out)
	}
	if count(1000, "e1", "user_id:7").Duplicate {
		t.Error("an event with other identifiers is another event")
	}
	if count(0, "e2", "user_id:7 cookie:a").Duplicate {
		t.Error("another ID is another event")
	}
	doc := docs.Of(profileID("user_id:7"))
	var events uint64
	for _, c := range doc.Cells {
		events += c.Events()
	}
	if events != 3 || len(doc.Cells) != 2 {
		t.Errorf("%d events in %d cells, want 3 in 2", events, len(doc.Cells))
	}
}

func TestStepFillsTheEpochsBucket(t *testing.T) {
	config := newConfig(t, "user_id")
	docs := update.NewDocuments()
	for i, epoch := range []update.Epoch{{}, {Current: 1}, {Current: 2}, {Current: 3, Oldest: 2}} {
		stepped(t, config, docs, config.Prepare(record(0, "e"+string(rune('0'+i)), "cookie:a")), epoch)
	}
	got := map[uint64]uint64{}
	for _, b := range docs.Of(profileID("cookie:a")).Cells[0].Buckets {
		got[b.Epoch] = b.Events
	}
	if diff := cmp.Diff(map[uint64]uint64{1: 2, 2: 1, 3: 1}, got); diff != "" {
		t.Errorf("events by epoch (-want +got):\n%s", diff)
	}
}

func TestStepReportsViolations(t *testing.T) {
	config := newConfig(t, "user_id")
	r := record(0, "e1", "cookie:a")
	r.Value = []byte(strings.Replace(string(r.Value), `"n":1`, `"n":"x"`, 1))
	out := stepped(t, config, update.NewDocuments(), config.Prepare(r), update.Epoch{})
	if len(out.Violations) != 1 || out.Violations[0].Attribute != "total" || out.Violations[0].Reason != accumulator.WrongType {
		t.Errorf("violations: %+v", out.Violations)
	}
}

func TestPrepareRejects(t *testing.T) {
	config := newConfig(t, "user_id")
	with := func(old, new string) event.Record {
		r := record(0, "e1", "cookie:a")
		r.Value = []byte(strings.Replace(string(r.Value), old, new, 1))
		return r
	}
	cases := []struct {
		name   string
		record event.Record
		reason event.Reason
		field  string
		detail string
	}{
		{"unknown table", with(`"views"`, `"viwes"`), event.UnknownTable, "table", `is "viwes", which the segment does not list; it has pages, views`},
		{"no identifier", with(`{"cookie":"a"}`, `{}`), event.NoIdentifier, "identifiers", `has none that counts; table "views" finds them in user_id, email, cookie`},
		{"none that counts", with(`{"cookie":"a"}`, `{"cookie":7,"email":" "}`), event.NoIdentifier, "identifiers",
			`has none that counts; table "views" finds them in user_id, email, cookie; email " ": empty; cookie "7": not_a_string`},
		{"none for this table", with(`"views"`, `"pages"`), "", "", ""},
		{"broken", with(`{`, ``), event.WrongType, "", ""},
		{"broken marker", event.Record{Headers: []event.Header{{Key: event.HeaderMarker, Value: []byte("x")}}}, event.BadMarker, event.HeaderMarker, `is "x", neither "tick" nor a decimal epoch`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.record.Position = event.Position{Topic: topic, Partition: 1, Offset: 5}
			in := config.Prepare(c.record)
			if in.Position != c.record.Position {
				t.Errorf("position %v", in.Position)
			}
			if c.reason == "" {
				if in.Rejected != nil {
					t.Errorf("rejected: %+v", in.Rejected)
				}
				return
			}
			if in.Rejected == nil || in.Rejected.Reason != c.reason {
				t.Fatalf("%+v, want rejected for %s", in.Rejected, c.reason)
			}
			if c.detail != "" && (in.Rejected.Detail != c.detail || in.Rejected.Field != c.field) {
				t.Errorf("%s %s\nwant %s %s", in.Rejected.Field, in.Rejected.Detail, c.field, c.detail)
			}
			if in.Rejected.Fix == "" || string(in.Rejected.Value) != string(c.record.Value) {
				t.Errorf("no fix, or not the original: %+v", in.Rejected)
			}
		})
	}
}
