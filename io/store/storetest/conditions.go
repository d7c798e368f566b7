package storetest

import (
	"testing"

	"github.com/braidhq/braid/transforms/update"
)

func testConditions(t *testing.T, opener Opener) {
	s := open(t, opener)
	v1 := commit(t, s, []update.Condition{at("a", 0), at("b", 0)}, put("a", "1"), put("b", "1"))
	conflict(t, s, []update.Condition{at("a", 0)}, put("a", "lost"))
	conflict(t, s, []update.Condition{at("a", v1), at("never", v1)}, put("a", "lost"), put("z", "lost"))
	v2 := commit(t, s, []update.Condition{at("a", v1)}, put("a", "2"))
	same(t, "only a moved", get(t, s, "a", "b"), []update.Row{row("a", "2", v2), row("b", "1", v1)})

	conflict(t, s, []update.Condition{at("a", v1)}, put("c", "lost"))
	conflict(t, s, []update.Condition{at("b", v1), at("a", v1)}, put("b", "lost"), remove("a"))
	conflict(t, s, []update.Condition{at("a", v2), at("a", v1)}, put("a", "lost"))
	same(t, "a conflict writes nothing", scan(t, s, nil, nil, 10), []update.Row{row("a", "2", v2), row("b", "1", v1)})

	// Conditions on rows that are not written, and a commit that only looks.
	commit(t, s, []update.Condition{at("a", v2), at("b", v1), at("c", 0)})
	conflict(t, s, []update.Condition{at("a", v2), at("b", v2)})
	v3 := commit(t, s, []update.Condition{at("a", v2), at("absent", 0)}, remove("b"))
	conflict(t, s, []update.Condition{at("b", v1)}, put("b", "lost"))
	conflict(t, s, []update.Condition{at("b", v3)}, put("b", "lost"))
	v4 := commit(t, s, []update.Condition{at("b", 0), at("b", 0)}, put("b", "again"))
	same(t, "at the end", get(t, s, "a", "b"), []update.Row{row("a", "2", v2), row("b", "again", v4)})
}

// testVersions: a row that is back with the bytes it had before has another version, also when it was deleted in between, and also
// when the store was opened anew in between.
func testVersions(t *testing.T, opener Opener) {
	s := opener(t)
	given := map[update.Version]bool{}
	note := func(v update.Version) update.Version {
		t.Helper()
		if given[v] {
			t.Fatalf("version %d given out twice", v)
		}
		given[v] = true
		return v
	}
	first := note(commit(t, s, nil, put("a", "same")))
	note(commit(t, s, []update.Condition{at("a", first)}, put("a", "other")))
	second := note(commit(t, s, nil, put("a", "same")))
	conflict(t, s, []update.Condition{at("a", first)}, put("a", "lost"))
	note(commit(t, s, []update.Condition{at("a", second)}, remove("a")))
	third := note(commit(t, s, []update.Condition{at("a", 0)}, put("a", "same")))
	conflict(t, s, []update.Condition{at("a", second)}, put("a", "lost"))
	same(t, "a", get(t, s, "a"), []update.Row{row("a", "same", third)})
	for range 4 {
		note(commit(t, s, nil, remove("a")))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = opener(t)
		v := note(commit(t, s, []update.Condition{at("a", 0)}, put("a", "same")))
		conflict(t, s, []update.Condition{at("a", third)}, put("a", "lost"))
		same(t, "a", get(t, s, "a"), []update.Row{row("a", "same", v)})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// testZombie: a worker that was replaced still holds the progress row it read; whatever it commits under it fails, and all of it.
func testZombie(t *testing.T, opener Opener) {
	s := opener(t)
	start := commit(t, s, nil, put("p/events/0", "offset 10"), put("d/1", "sum 10"))
	zombie := get(t, s, "p/events/0", "d/1", "d/2")
	conditions := []update.Condition{at("p/events/0", zombie[0].Version), at("d/1", zombie[1].Version), at("d/2", zombie[2].Version)}
	late := []update.Write{put("p/events/0", "offset 12"), put("d/2", "twice"), put("o/12", "effect twice")}

	taken := commit(t, s, []update.Condition{at("p/events/0", start)}, put("p/events/0", "offset 11"))
	conflict(t, s, conditions, late...)
	// The new worker comes to the very bytes the zombie had seen.
	commit(t, s, []update.Condition{at("p/events/0", taken)}, put("p/events/0", "offset 10"))
	conflict(t, s, conditions, late...)
	commit(t, s, nil, remove("p/events/0"))
	conflict(t, s, conditions, late...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, opener)
	conflict(t, s, conditions, late...)
	commit(t, s, nil, put("p/events/0", "offset 10"))
	conflict(t, s, conditions, late...)
	same(t, "the zombie left nothing", get(t, s, "d/1", "d/2", "o/12"), []update.Row{row("d/1", "sum 10", start), absent("d/2"), absent("o/12")})
}
