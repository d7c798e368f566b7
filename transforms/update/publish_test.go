package update_test

import (
	"fmt"
	"testing"

	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
)

func TestEffectsAsJSON(t *testing.T) {
	s := newScene(t)
	s.settled(s.event(0, "cookie:a"))
	got := s.settled(s.put(record(1500, `"<e2>"`, "user_id:7 cookie:a")))
	a, user := profileID("cookie:a").String(), profileID("user_id:7").String()
	head := func(n int) string {
		return fmt.Sprintf(`{"v":1,"id":"%s/2/%d","trace":"\"\u003ce2\u003e\"","time":"2023-11-14T22:13:21.500Z",`, topic, n)
	}
	seen := func(key, value, first string, events int) string {
		return fmt.Sprintf(`{"key":"%s","value":"%s","first_seen":"2023-11-14T22:13:2%sZ","last_seen":"2023-11-14T22:13:21.500Z","events":%d}`, key, value, first, events)
	}
	want := []update.Effect{
		{ID: topic + "/2/2", Topic: update.TopicIdentityChanges, Key: []byte(user), Value: []byte(head(2) +
			`"kind":"extended","before":["` + a + `"],"after":"` + user + `","leader":"user_id:7","other":"cookie:a","moved":["user_id:7"]}`)},
		{ID: topic + "/2/3", Topic: update.TopicProfiles, Key: []byte(a), Value: []byte(head(3) +
			`"profile_id":"` + a + `","superseded_by":"` + user + `"}`)},
		{ID: topic + "/2/4", Topic: update.TopicProfiles, Key: []byte(user), Value: []byte(head(4) +
			`"profile_id":"` + user + `","profile":{"profile_id":"` + user + `","identifiers":[` +
			seen("user_id", "7", "1.500", 1) + "," + seen("cookie", "a", "0.000", 2) + `],` +
			`"events":2,"first_seen":"2023-11-14T22:13:20.000Z","last_seen":"2023-11-14T22:13:21.500Z","attributes":{"views":2,"total":2}}}`)},
	}
	text := func(effects []update.Effect) (all []string) {
		for _, e := range effects {
			all = append(all, e.ID, e.Topic, string(e.Key), string(e.Value))
		}
		return all
	}
	if diff := cmp.Diff(text(want), text(got.Effects)); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

// A profile is published at once when it has not been for a second of receive time; else it becomes due.
func TestPublishedAtMostOnceASecond(t *testing.T) {
	s := newScene(t)
	step := func(at int64, want []string, due ...int64) {
		t.Helper()
		got := published(t, s.settled(s.event(at, "cookie:a")).Effects, "cookie:a")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at %d (-want +got):\n%s", at, diff)
		}
		var entries []int64
		for _, d := range s.due() {
			entries = append(entries, d.At-start)
		}
		if diff := cmp.Diff(due, entries); diff != "" {
			t.Errorf("due at %d (-want +got):\n%s", at, diff)
		}
	}
	step(0, []string{"cookie:a has 1"})
	step(999, nil, 1000)
	step(1000, nil, 1000) // what is due stays due
	step(500, nil, 1000)
	due := s.due()
	result, err := s.worker.Advance(t.Context(), due)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cookie:a has 4"}, published(t, result.Effects, "cookie:a")); diff != "" {
		t.Errorf("advanced (-want +got):\n%s", diff)
	}
	if result.Events != 1 || len(s.due()) != 0 {
		t.Errorf("%d done, left are %v", result.Events, s.due())
	}
	if want := fmt.Sprintf("due/%d/0", due[0].Document[0]%update.DueBuckets); result.Effects[0].ID != want {
		t.Errorf("ID %s, want %s", result.Effects[0].ID, want)
	}
	s.worker.Settle()
	step(1500, nil, 2000) // a second from the time it was due, not from when it was done
	step(-5000, nil, 2000)
	if _, err := s.worker.Advance(t.Context(), s.due()); err != nil {
		t.Fatal(err)
	}
	step(3000, []string{"cookie:a has 7"})
}

func TestPublishEvery(t *testing.T) {
	s := newScene(t)
	s.config.PublishEvery = 60_000
	s.settled(s.event(0, "cookie:a"))
	if got := published(t, s.settled(s.event(59_999, "cookie:a")).Effects, "cookie:a"); got != nil || s.due()[0].At != start+60_000 {
		t.Errorf("published %v, due %v", got, s.due())
	}
}

// Within a bundle a profile is published once, as it is at the end.
func TestPublishedOncePerBundle(t *testing.T) {
	s := newScene(t)
	got := s.settled(s.event(0, "cookie:a"), s.event(1, "cookie:b"), s.event(2, "cookie:a"), s.event(5000, "cookie:a"))
	if diff := cmp.Diff([]string{"cookie:a has 3", "cookie:b has 1"}, published(t, got.Effects, "cookie:a", "cookie:b")); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestStaleEntriesAreDropped(t *testing.T) {
	s := newScene(t)
	s.settled(s.event(0, "cookie:a"))
	s.settled(s.event(1, "cookie:a"))
	due := s.due()[0]
	overtaken := due
	overtaken.At += 7
	if _, err := s.store.Commit(t.Context(), nil, []update.Write{{Key: dueKey(overtaken), Value: []byte{1}}}); err != nil {
		t.Fatal(err)
	}
	if len(s.due()) != 2 {
		t.Fatalf("the entry of the test is not one: %v", s.due())
	}
	gone := update.Due{At: due.At, Document: [16]byte{1, 2, 3}}
	entries := []update.Due{overtaken, due, gone, due, overtaken} // some of them twice
	result, err := s.worker.Advance(t.Context(), entries)
	if err != nil {
		t.Fatal(err)
	}
	if got := published(t, result.Effects, "cookie:a"); len(got) != 1 || len(s.due()) != 0 {
		t.Errorf("published %v, left are %v", got, s.due())
	}
	if again, err := s.worker.Advance(t.Context(), entries); err != nil || published(t, again.Effects) != nil && again.Events != 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
	if none, err := s.worker.Advance(t.Context(), nil); err != nil || none.Events != 0 {
		t.Errorf("nothing due: %+v, %v", none, err)
	}
}

// dueKey is the key of an entry as it lies in the store.
func dueKey(d update.Due) []byte {
	key := append([]byte("test/t/"), d.Document[0]%update.DueBuckets)
	for shift := 56; shift >= 0; shift -= 8 {
		key = append(key, byte(d.At>>shift))
	}
	return append(key, d.Document[:]...)
}

func TestSuperseded(t *testing.T) {
	type sight struct {
		at  int64
		ids string
	}
	cases := []struct {
		name string
		seen []sight
		want []string // published by the last one
	}{
		{"by the profile key", []sight{{0, "cookie:a"}, {2000, "user_id:7 cookie:a"}}, []string{"cookie:a is user_id:7", "user_id:7 has 2"}},
		{"merged into another one", []sight{{0, "user_id:7"}, {1, "cookie:a"}, {2000, "user_id:7 cookie:a"}}, []string{"cookie:a is user_id:7", "user_id:7 has 3"}},
		{"the greater one gives up its ID", []sight{{0, "email:x cookie:a"}, {1, "user_id:7"}, {2000, "user_id:7 email:x"}},
			[]string{"email:x is user_id:7", "user_id:7 has 3"}},
		{"nobody who was not published", []sight{{0, "user_id:7"}, {2000, "user_id:7 cookie:a"}}, []string{"user_id:7 has 2"}},
		{"merged, and held back", []sight{{0, "user_id:7"}, {1, "cookie:a"}, {2, "user_id:7 cookie:a"}}, []string{"cookie:a is user_id:7"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			var last update.Result
			for _, x := range c.seen {
				last = s.settled(s.event(x.at, x.ids))
			}
			if diff := cmp.Diff(c.want, published(t, last.Effects, "user_id:7", "email:x", "cookie:a")); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			if len(s.due()) != 0 && c.name != "merged, and held back" {
				t.Errorf("due: %v", s.due())
			}
		})
	}
}

// An identifier turns out to have been seen earlier than the one that gave the profile its ID.
func TestSupersededByAnEarlierIdentifier(t *testing.T) {
	s := newScene(t)
	s.settled(s.event(5000, "cookie:a email:x"))
	s.settled(s.event(2000, "cookie:a"))
	result, err := s.worker.Advance(t.Context(), s.due())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"email:x is cookie:a", "cookie:a has 2"}, published(t, result.Effects, "email:x", "cookie:a")); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

// What was due of a profile that is merged into another one is published with that one, at once or when that is due.
func TestDueEndsWithAMerge(t *testing.T) {
	s := newScene(t)
	s.settled(s.event(0, "user_id:7 email:x"))
	s.settled(s.event(100, "cookie:a"))
	s.settled(s.event(200, "cookie:a"))
	if due := s.due(); len(due) != 1 || due[0].At != start+1100 {
		t.Fatalf("due before: %v", due)
	}
	s.settled(s.event(300, "user_id:7 cookie:a"))
	due := s.due()
	if len(due) != 1 || due[0].At != start+1000 {
		t.Fatalf("due after: %v", due)
	}
	result, err := s.worker.Advance(t.Context(), due)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"user_id:7 has 4"}, published(t, result.Effects, "user_id:7")); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}
