package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/braidhq/braid/testing/scenario/script"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
)

const shop = `segment
  segment: shop
  profile_key: user_id
  keys: [{name: user_id}, {name: cookie}]
  tables: {page_view: }
  events: {viewed: {table: page_view}}
  attributes: {views: {kind: counter, event: viewed}, last: {kind: last, event: viewed, value: properties.page}}
`

// seen is what the directives of this test keep in a world.
type seen struct{ looks int }

func init() {
	plain := func(do func(ctx context.Context, w *scenario.World) (string, error)) func(*scenario.Compiler, *script.Line) []*scenario.Step {
		return func(*scenario.Compiler, *script.Line) []*scenario.Step { return []*scenario.Step{{Do: do}} }
	}
	// first shows whose profile was told first: not the same in every order, so that other ways of arriving are found to differ.
	scenario.Register(scenario.Directive{Name: "first", Usage: "first", Kind: scenario.Showing,
		Compile: plain(func(_ context.Context, w *scenario.World) (string, error) { return w.Cause(w.Effects()[0]), nil })})
	// refused shows how many records were rejected: more when they are sent again.
	scenario.Register(scenario.Directive{Name: "refused", Usage: "refused", Kind: scenario.Showing,
		Compile: plain(func(_ context.Context, w *scenario.World) (string, error) {
			n := 0
			for _, e := range w.Effects() {
				if e.Topic == update.TopicRejected {
					n++
				}
			}
			return fmt.Sprint(n), nil
		})})
	scenario.Register(scenario.Directive{Name: "break", Usage: "break", Kind: scenario.Acting,
		Compile: plain(func(context.Context, *scenario.World) (string, error) { return "", errors.New("it broke") })})
	scenario.Register(scenario.Directive{Name: "look", Usage: "look", Kind: scenario.Telling,
		Compile: plain(func(_ context.Context, w *scenario.World) (string, error) {
			s := scenario.State[seen](w)
			s.looks++
			return fmt.Sprint(s.looks, " at ", script.FormatMoment(w.Now()), "\t\x1b[31m\n\nby\u202e", w.Segment().Name, "  \n\n"), nil
		})})
}

func load(t testing.TB, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("test.scenario", []byte(shop+text), scenario.Source{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func result(t *testing.T, text string) *scenario.Result {
	t.Helper()
	r, err := load(t, text).Run(t.Context(), scenario.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told returns each failure in one line: line, way, order, message.
func told(r *scenario.Result) (all []string) {
	for _, f := range r.Failures {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%d %s %s%s %v", f.Line, f.Directive, f.Way, f.Message, f.Order)))
	}
	return all
}

func TestWhatDiffersIsTold(t *testing.T) {
	r := result(t, `event 10:00 page_view cookie=a
profile cookie=a
----
profile cookie:a
events 1, 2026-01-01 10:00
identifiers cookie:a
last null
views 2

`)
	if len(r.Failures) != 1 || r.Failures[0].Line != 9 || !r.Failures[0].Mendable {
		t.Fatalf("failures %+v", r.Failures)
	}
	want := `--- expected
+++ printed
@@ -1,5 +1,4 @@
 profile cookie:a
 events 1, 2026-01-01 10:00
 identifiers cookie:a
-last null
-views 2
+views 1
`
	if diff := cmp.Diff(want, r.Failures[0].Diff()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What nobody asked for fails the script, and what is asked for is not told again.
func TestTroublesHaveToBeExpected(t *testing.T) {
	r := result(t, `event 10:00 page_view nobody=1
event 10:01 page_view user_id:=7 cookie=a
event 10:02 page_view cookie=a nobody=1
----
counted

event 10:03 page_view cookie:=1
`)
	want := []string{
		`8 event e01 rejected, no_identifier: identifiers has none that counts; table "page_view" finds them in user_id, cookie; `,
		`9 event e02 refused user_id "7": not_a_string; `,
		`14 event e04 rejected, no_identifier: identifiers has none that counts; table "page_view" finds them in user_id, cookie; cookie "1": not_a_string; `,
	}
	for i := range want {
		want[i] += "if that is meant, say so with ---- below the event or with the directive rejected []"
	}
	if diff := cmp.Diff(want, told(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r = result(t, "repeat 25\n  event +1m page_view nobody=1\n")
	if got := told(r); len(got) != 21 || !strings.HasPrefix(got[20], "9 event e21 and 5 more like that;") {
		t.Errorf("of 25: %q", got)
	}
	r = result(t, `event 10:00 page_view nobody=1
rejected count
----
rejected no_identifier 1

rejected
----
none
`)
	if told(r) != nil {
		t.Errorf("expected, and yet: %v", told(r))
	}
}

func TestNothingExpected(t *testing.T) {
	r := result(t, "event 10:00 page_view cookie=a\nprofiles count\n")
	if len(r.Failures) != 1 || !r.Failures[0].Mendable || r.Failures[0].Got != "1 profile" || !strings.Contains(r.Failures[0].Message, "--rewrite") {
		t.Errorf("failures %+v", r.Failures)
	}
}

// Another order that gives something else is found, and told as near to the written one as it can be.
func TestPermuteFindsTheSimplestOrder(t *testing.T) {
	events := "event 10:00 page_view cookie=a\nevent 10:01 page_view cookie=b\nevent 10:02 page_view cookie=c\nevent 10:03 page_view cookie=d\n"
	check := "first\n----\ne01\n"
	r := result(t, "permute\n"+events+check)
	if diff := cmp.Diff([]string{"13 first permute [e02 e01 e03 e04]"}, told(r)); diff != "" {
		t.Errorf("all orders (-want +got):\n%s", diff)
	}
	if a := r.Arrivals[0]; a.Runs != 7 || a.All {
		t.Errorf("it was found in the seventh of the orders, not in %+v", a)
	}
	r = result(t, "permute 3\nrepeat 3\n  event +1m page_view cookie=x{n}\n"+events+"event 10:04 page_view cookie=e\n"+check)
	if len(r.Failures) != 1 || r.Failures[0].Order[0] != "e02" || r.Failures[0].Order[1] != "e01" || r.Failures[0].Order[7] != "e08" {
		t.Errorf("of 8 events: %v", told(r))
	}
	// A check in the middle is made as the script is written only.
	r = result(t, "permute\n"+events+check+"\nevent 10:04 page_view cookie=e\nprofiles count\n----\n5 profiles\n")
	if told(r) != nil || r.Arrivals[0].Runs != 120 || !r.Arrivals[0].All {
		t.Errorf("%v, %+v", told(r), r.Arrivals)
	}
}

func TestReplayAndPartitionsFindDifferences(t *testing.T) {
	for _, c := range []struct{ way, text, want string }{
		{"replay", "event 10:00 page_view\nrefused\n----\n1\n\nrejected count\n----\nrejected no_identifier 1\n", "10 refused replay []"},
		{"partitions", "repeat 20\n  event +2s page_view cookie=a{n}\nfirst\n----\ne01\n", "11 first partitions []"},
	} {
		t.Run(c.way, func(t *testing.T) {
			r := result(t, c.way+" 50\n"+c.text)
			if diff := cmp.Diff([]string{c.want}, told(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.Seed != 1 || r.Arrivals[0].Way != c.way || r.Arrivals[0].Runs > 50 {
				t.Errorf("%+v", r)
			}
			again := result(t, c.way+" 50\n"+c.text)
			if diff := cmp.Diff(r.Failures, again.Failures); diff != "" {
				t.Errorf("the same seed finds something else (-first +again):\n%s", diff)
			}
		})
	}
}

func TestOrdersAreCounted(t *testing.T) {
	eight := "repeat 8\n  event +1m page_view cookie=a{n}\nprofiles count\n----\n8 profiles\n"
	for setting, want := range map[string]scenario.Arrivals{"permute": {Way: "permute", Runs: 500}, "permute 9": {Way: "permute", Runs: 9}} {
		last := 0
		r, err := load(t, setting+"\n"+eight).Run(t.Context(), scenario.Options{Progress: func(done, total int) {
			if total != want.Runs || done != last+1 {
				t.Fatalf("%s: progress %d of %d after %d", setting, done, total, last)
			}
			last = done
		}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]scenario.Arrivals{want}, r.Arrivals); diff != "" || last != want.Runs || r.Failures != nil {
			t.Errorf("%s: %d runs, %v (-want +got):\n%s", setting, last, r.Failures, diff)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := load(t, "permute 40320\n"+eight).Run(ctx, scenario.Options{Progress: func(_, total int) {
		if cancel(); total != 40320 {
			t.Errorf("of all orders of 8 events: %d", total)
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A step that fails ends the script, in all its ways.
func TestAStepThatFails(t *testing.T) {
	r := result(t, "event 10:00 page_view cookie=a\nbreak\nprofiles\n")
	if diff := cmp.Diff([]string{"9 break it broke []"}, told(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is printed is one text in one form: no control characters, no blanks at the ends of lines.
func TestPrinted(t *testing.T) {
	r := result(t, "wait 1m\nlook\nwait 90500ms\nlook\n")
	var got []string
	for _, p := range r.Printed {
		got = append(got, fmt.Sprint(p.Line, " ", p.Text, ": ", p.Got))
	}
	want := []string{
		"9 look: 1 at 2026-01-01 00:01\ufffd\ufffd[31m\n\nby\ufffdshop",
		"11 look: 2 at 2026-01-01 00:02:30.500\ufffd\ufffd[31m\n\nby\ufffdshop",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRewrite(t *testing.T) {
	s := load(t, "wait 1m\nlook\nevent 10:00 page_view cookie=a\n----\nwrong\n\nevent 10:01 page_view cookie=a\nlook\n-----\nold\n\nold\n-----\nprofiles count # how many\n----\n1 profile\n")
	r, err := s.Run(t.Context(), scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := s.Rewrite(r)
	want := shop + "wait 1m\nlook\n-----\n1 at 2026-01-01 00:01\ufffd\ufffd[31m\n\nby\ufffdshop\n-----\n\nevent 10:00 page_view cookie=a\n----\ncounted\ncreated cookie:a\n\n" +
		"event 10:01 page_view cookie=a\nlook\n-----\n2 at 2026-01-01 10:01\ufffd\ufffd[31m\n\nby\ufffdshop\n-----\n\nprofiles count # how many\n----\n1 profile\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s, err = scenario.Load("test.scenario", text, scenario.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err = s.Run(t.Context(), scenario.Options{}); err != nil || r.Failures != nil {
		t.Errorf("what was written fails: %v %v", told(r), err)
	}
}

// Event IDs sort by number, however many there are.
func TestEventIDs(t *testing.T) {
	r := result(t, "repeat 120\n  event 10:00 page_view cookie=a page={n}\nprofile cookie=a last\n----\nprofile cookie:a\nevents 120, 2026-01-01 10:00\nidentifiers cookie:a\nlast 120\n\nexplain cookie=a\n")
	if len(r.Failures) != 1 {
		t.Errorf("failures %v", told(r))
	}
}

func TestRounds(t *testing.T) {
	r := result(t, `event 2026-01-05T10:00 page_view cookie=before
repeat 2 every 7d as week
  event 08:00 page_view cookie=w{week:3}
  repeat 2 every 1d
    event 09:00 page_view cookie=w{week}-{n}
repeat 2
  event +1h page_view cookie=h{n}
event 12:00 page_view cookie=after
profiles
----
`)
	want := []string{"cookie:before 05 10:00", "cookie:w001 05 08:00", "cookie:w1-1 05 09:00", "cookie:w1-2 06 09:00", "cookie:w002 12 08:00",
		"cookie:w2-1 12 09:00", "cookie:w2-2 13 09:00", "cookie:h1 13 10:00", "cookie:h2 13 11:00", "cookie:after 13 12:00"}
	if got := strings.Split(r.Printed[0].Got, "\n"); len(got) != len(want) {
		t.Fatalf("profiles %v", got)
	}
	var asked strings.Builder
	for _, line := range want {
		id := strings.Fields(line)[0]
		fmt.Fprintf(&asked, "identifiers %s\n----\n%s: 1 event, 2026-01-%s\n\n", strings.Replace(id, ":", "=", 1), id, line[len(id)+1:])
	}
	r = result(t, `event 2026-01-05T10:00 page_view cookie=before
repeat 2 every 7d as week
  event 08:00 page_view cookie=w{week:3}
  repeat 2 every 1d
    event 09:00 page_view cookie=w{week}-{n}
repeat 2
  event +1h page_view cookie=h{n}
event 12:00 page_view cookie=after
`+asked.String())
	if told(r) != nil {
		for _, f := range r.Failures {
			t.Errorf("%s\n%s", f.Directive, f.Diff())
		}
	}
}

func TestContextEnds(t *testing.T) {
	s := load(t, "permute\nrepeat 7\n  event +1m page_view cookie=a{n}\nprofiles count\n")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Run(ctx, scenario.Options{Progress: func(done, _ int) {
		if done == 10 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Run(ctx, scenario.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("of one that had ended: %v", err)
	}
}

func BenchmarkOrders(b *testing.B) {
	s := load(b, "permute\nrepeat 6\n  event +1m page_view cookie=a{n} user_id=7\nprofiles count\n----\n1 profile\n")
	for b.Loop() {
		r, err := s.Run(b.Context(), scenario.Options{})
		if err != nil || r.Failures != nil {
			b.Fatal(r.Failures, err)
		}
	}
	b.ReportMetric(float64(b.N*720*6)/b.Elapsed().Seconds(), "events/s")
}
