package attribute_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"github.com/google/go-cmp/cmp"
)

func newSet(t testing.TB, definitions ...attribute.Definition) *attribute.Set {
	t.Helper()
	set, err := attribute.NewSet(definitions, referenceEvents, attribute.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func at(ms int64, raw string) *event.Event {
	return &event.Event{ID: "e", Order: event.Order{Time: ms, ID: "e"}, Raw: []byte(raw)}
}

func TestViolations(t *testing.T) {
	value := func(kind string) attribute.Definition {
		return attribute.Definition{Name: "it", Kind: kind, Event: "any", Value: "properties.v"}
	}
	for name, c := range map[string]struct {
		kind, json string
		want       accumulator.Reason // empty: not a violation
		result     string
	}{
		"sum of a text":                   {"sum", `"12.50"`, accumulator.WrongType, "0"},
		"sum of null":                     {"sum", `null`, "", "0"},
		"sum of an array":                 {"sum", `[1]`, accumulator.WrongType, "0"},
		"sum rounds half to even":         {"sum", `0.0000000005`, "", "0"},
		"sum of 30 digits":                {"sum", `123456789012345678901234567890`, accumulator.OutOfRange, "0"},
		"sum of a huge exponent":          {"sum", `1e400`, accumulator.OutOfRange, "0"},
		"min of a bool":                   {"min", `true`, accumulator.WrongType, "null"},
		"max of a text":                   {"max", `"z"`, accumulator.WrongType, "null"},
		"last of an object":               {"last", `{"a":1}`, accumulator.WrongType, "null"},
		"last of a text at the limit":     {"last", `"` + strings.Repeat("x", 500) + `"`, "", `"` + strings.Repeat("x", 500) + `"`},
		"last of a text past the limit":   {"last", `"` + strings.Repeat("x", 501) + `"`, accumulator.TooLong, "null"},
		"limit counts bytes":              {"last", `"` + strings.Repeat("ü", 251) + `"`, accumulator.TooLong, "null"},
		"limit counts what is meant":      {"last", `"` + strings.Repeat(`\u0041`, 500) + `"`, "", `"` + strings.Repeat("A", 500) + `"`},
		"first of false":                  {"first", `false`, "", "false"},
		"last of an empty text":           {"last", `""`, "", `""`},
		"distinct of a long text":         {"distinct", `"` + strings.Repeat("x", 501) + `"`, accumulator.TooLong, "0"},
		"counter of a fraction":           {"counter", `1.5`, accumulator.OutOfRange, "0"},
		"counter of a negative number":    {"counter", `-1`, accumulator.OutOfRange, "0"},
		"counter of a text":               {"counter", `"1"`, accumulator.WrongType, "0"},
		"counter of a whole decimal":      {"counter", `2.0`, "", "2"},
		"counter past the largest number": {"counter", `9223372036854775808`, accumulator.OutOfRange, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			set := newSet(t, value(c.kind))
			states, violations, err := set.Add(nil, at(1000, `{"properties":{"v":`+c.json+`}}`), []int{0})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(violations) > 0:
				t.Errorf("unexpected %v", violations)
			case c.want != "" && (len(violations) != 1 || violations[0].Attribute != "it" || violations[0].Reason != c.want):
				t.Errorf("violations = %v, want %s", violations, c.want)
			case c.want != "" && (states != nil || !strings.HasPrefix(violations[0].Detail, "properties.v: ")):
				t.Errorf("states = %v, violation %q", states, violations[0].Detail)
			}
			if got := answers(t, set, 2000, states)["it"]; got != c.result {
				t.Errorf("result = %s, want %s", got, c.result)
			}
		})
	}
}

func TestSessionBoundary(t *testing.T) {
	set := newSet(t, attribute.Definition{Name: "now", Kind: "counter", Event: "any", Session: minutes(30)},
		attribute.Definition{Name: "all", Kind: "sessions", Event: "any", Session: minutes(30)})
	const minute = 60_000
	var states attribute.States
	steps := []struct {
		name       string
		event, now int64 // an event at event, if not negative; then read at now
		want       map[string]string
	}{
		{"one event", 0, 0, map[string]string{"now": "1", "all": "1"}},
		{"still open at the end of the pause", -1, 30 * minute, map[string]string{"now": "1", "all": "1"}},
		{"over a millisecond later", -1, 30*minute + 1, map[string]string{"now": "0", "all": "1"}},
		{"a pause of exactly the gap joins", 30 * minute, 30 * minute, map[string]string{"now": "2", "all": "1"}},
		{"a longer pause does not", 60*minute + 1, 61 * minute, map[string]string{"now": "1", "all": "2"}},
		{"a late event bridges both", 45 * minute, 61 * minute, map[string]string{"now": "4", "all": "1"}},
	}
	for _, s := range steps {
		if s.event >= 0 {
			states, _, _ = set.Add(states, at(s.event, `{}`), []int{0})
		}
		if diff := cmp.Diff(s.want, answers(t, set, s.now, states)); diff != "" {
			t.Errorf("%s:\n%s", s.name, diff)
		}
	}
}

func TestSumOverflowDependsOnTheTotalAlone(t *testing.T) {
	set := newSet(t, attribute.Definition{Name: "it", Kind: "sum", Event: "any", Value: "properties.v"})
	big, neg := `{"properties":{"v":99999999999999999999999999999}}`, `{"properties":{"v":-99999999999999999999999999999}}`
	var states attribute.States
	for _, step := range []struct{ raw, want string }{
		{big, "99999999999999999999999999999"},
		{big, "null overflow=true approximate=false"},
		{neg, "99999999999999999999999999999"},
		{neg, "0"},
	} {
		states, _, _ = set.Add(states, at(0, step.raw), []int{0})
		if got := answers(t, set, 0, states)["it"]; got != step.want {
			t.Errorf("after %s: %s, want %s", step.raw, got, step.want)
		}
	}
}

func TestCapsDoNotDependOnOrder(t *testing.T) {
	set := newSet(t,
		attribute.Definition{Name: "distinct", Kind: "distinct", Event: "any", Value: "properties.n"},
		attribute.Definition{Name: "sessions", Kind: "sessions", Event: "any", Session: attribute.Duration(time.Second)},
		attribute.Definition{Name: "now", Kind: "counter", Event: "any", Session: attribute.Duration(time.Second)})
	const n = 6000
	order := rand.New(rand.NewPCG(1, 2))
	var want attribute.States
	for round := range 3 {
		cells := make([]attribute.States, 4)
		for _, i := range order.Perm(n) {
			c := order.IntN(len(cells))
			e := at(int64(i)*1500, `{"properties":{"n":`+accumulator.IntegerValue(int64(i)).String()+`}}`)
			cells[c], _, _ = set.Add(cells[c], e, []int{0})
		}
		var got attribute.States
		var err error
		for _, c := range cells {
			if got, err = attribute.Merge(got, c); err != nil {
				t.Fatal(err)
			}
		}
		if round == 0 {
			want = got
		} else if !cmp.Equal(want, got) {
			t.Fatal("states past their caps depend on the order")
		}
	}
	results, err := set.Results((n-1)*1500, want, nil)
	if err != nil {
		t.Fatal(err)
	}
	count, _ := results[0].Value.Int64()
	if !results[0].Approximate || count < n*95/100 || count > n*105/100 {
		t.Errorf("distinct = %+v, want about %d, approximate", results[0], n)
	}
	if s, _ := results[1].Value.Int64(); s != 1024 || !results[1].Overflow {
		t.Errorf("sessions = %+v, want the newest 1024 and overflow", results[1])
	}
	if results[2].Value.String() != "1" || results[2].Overflow {
		t.Errorf("the current session = %+v, want exactly 1", results[2])
	}
}

func TestRenamingKeepsHistory(t *testing.T) {
	base := attribute.Definition{Name: "a", Kind: "last", Event: "any", Value: "properties.v"}
	hash := func(d attribute.Definition, meaning string) attribute.Hash {
		set, err := attribute.NewSet([]attribute.Definition{d}, map[string]attribute.EventRef{d.Event: {Meaning: meaning}}, attribute.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		h, _ := set.Hash(d.Name)
		return h
	}
	want := hash(base, "filter")
	renamed, other, kind, single := base, base, base, base
	renamed.Name, renamed.Event, renamed.Sensitive = "b", "any2", true
	other.Value = "properties.w"
	kind.Kind = "first"
	single.Kind = "single"
	if hash(renamed, "filter") != want || hash(single, "filter") != want {
		t.Error("another name of attribute, event or kind changes the hash")
	}
	for name, h := range map[string]attribute.Hash{"value": hash(other, "filter"), "kind": hash(kind, "filter"), "filter": hash(base, "other")} {
		if h == want {
			t.Errorf("another %s keeps the hash", name)
		}
	}
	one := attribute.Definition{Name: "n", Kind: "counter", Event: "any"}
	same := one
	same.Value = "1"
	session := one
	session.Session = minutes(30)
	if hash(one, "filter") != hash(same, "filter") || hash(one, "filter") == hash(session, "filter") {
		t.Error("a counter's default is 1, and a session makes another counter")
	}
}

func TestDefinitionsOfOneMeaningShareAState(t *testing.T) {
	a := attribute.Definition{Name: "a", Kind: "counter", Event: "any"}
	b := a
	b.Name = "b"
	set := newSet(t, a, b)
	states, _, err := set.Add(nil, at(0, `{}`), []int{0})
	if err != nil || len(states) != 1 {
		t.Fatalf("%v, %v", states, err)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "1"}, answers(t, set, 0, states)); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedStatesAreReported(t *testing.T) {
	set := newSet(t, referenceDefinitions...)
	good := add(t, set, nil, happening{total: "5", label: `"x"`, bought: true})
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":                {nil, accumulator.ErrDamaged},
		"cut off":              {[]byte{1, 1}, accumulator.ErrDamaged},
		"not canonical":        {[]byte{1, 1, 0x80, 0}, accumulator.ErrDamaged},
		"unknown kind":         {[]byte{200, 1, 1}, accumulator.ErrKind},
		"unknown custom kind":  {[]byte("\xff\x01\x04novi."), accumulator.ErrKind},
		"broken custom kind":   {[]byte("\xff\x01\xf0novi."), accumulator.ErrDamaged},
		"newer version":        {[]byte{1, 9, 1}, accumulator.ErrKind},
		"version zero":         {[]byte{1, 0, 1}, accumulator.ErrDamaged},
		"another kind's state": {[]byte{2, 1, 1}, accumulator.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := set.Hash("events")
			bad := append(attribute.States(nil), good...)
			for i := range bad {
				if bad[i].Hash == h {
					bad[i].Data = c.data
				}
			}
			var state *attribute.StateError
			check := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, c.want) || !errors.As(err, &state) || state.Hash != h {
					t.Errorf("%s: %v, want %v about %016x", what, err, c.want, h)
				}
			}
			after, _, err := set.Add(bad, happening{}.event(), []int{0, 1, 2})
			check("Add", err)
			if !cmp.Equal(after, bad) {
				t.Error("Add folded something in spite of the error")
			}
			_, err = attribute.Merge(good, bad)
			check("Merge", err)
			results, err := set.Results(0, bad, nil)
			check("Results", err)
			if !results[0].Value.IsNull() || results[4].Value.String() != "5" {
				t.Errorf("results = %v", results)
			}
			if name != "another kind's state" {
				check("Check", bad.Check())
			}
		})
	}
}

func TestAddLeavesItsInputAlone(t *testing.T) {
	set := newSet(t, referenceDefinitions...)
	states := add(t, set, nil, happening{total: "5", label: `"x"`})
	before := states.Append(nil)
	add(t, set, states, happening{order: event.Order{Time: 5, ID: "z"}, total: "7", label: `"y"`, bought: true})
	if !bytes.Equal(before, states.Append(nil)) {
		t.Error("Add changed the states it was given")
	}
}

func TestWhatChangesNothingCostsNoAllocation(t *testing.T) {
	set := newSet(t, referenceDefinitions...)
	last := newSet(t, attribute.Definition{Name: "a", Kind: "distinct", Event: "any", Value: "properties.label"})
	e := happening{total: "5", label: `"x"`, bought: true}.event()
	states, _, _ := set.Add(nil, e, []int{0})
	known, _, _ := last.Add(nil, e, []int{0})
	if n := testing.AllocsPerRun(100, func() { states, _, _ = set.Add(states, e, nil) }); n != 0 {
		t.Errorf("an event that matches nothing: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { known, _, _ = last.Add(known, e, []int{0, 7, -1}) }); n >= 1 {
		t.Errorf("an event that changes nothing: %v allocations", n)
	}
}

func TestResultsOfNobody(t *testing.T) {
	set := newSet(t, referenceDefinitions...)
	if diff := cmp.Diff(reference(nil, 0), answers(t, set, 0, nil)); diff != "" {
		t.Error(diff)
	}
}

// A local day that has 25 hours is one day all the same.
func TestLongDay(t *testing.T) {
	day := minutes(24 * 60)
	set := newSet(t,
		attribute.Definition{Name: "last", Kind: "last", Event: "any", Value: "properties.v", Window: day, Zone: "Europe/Berlin"},
		attribute.Definition{Name: "count", Kind: "counter", Event: "any", Window: day, Zone: "Europe/Berlin"})
	midnight := time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC).UnixMilli() // of 25 October in Berlin
	const hour = 60 * 60 * 1000
	states, _, err := set.Add(nil, at(midnight+hour/10, `{"properties":{"v":"a"}}`), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	for now, want := range map[int64]map[string]string{
		midnight + 25*hour - 1: {"last": `"a"`, "count": "1"},
		midnight + 25*hour:     {"last": "null", "count": "0"},
	} {
		if diff := cmp.Diff(want, answers(t, set, now, states)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", time.UnixMilli(now).UTC(), diff)
		}
	}
}
