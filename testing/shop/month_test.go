package shop_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/event"
	"github.com/google/go-cmp/cmp"
)

// theMonth is the usual month with all its events; tests only read it.
var theMonth = sync.OnceValues(func() ([]shop.Event, error) {
	m, err := shop.NewMonth(shop.Options{})
	if err != nil {
		return nil, err
	}
	var all []shop.Event
	for e := range m.Events() {
		all = append(all, e)
	}
	return all, nil
})

func month(t testing.TB) []shop.Event {
	t.Helper()
	all, err := theMonth()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func newMonth(t testing.TB, options shop.Options) *shop.Month {
	t.Helper()
	m, err := shop.NewMonth(options)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func digest(events iter.Seq[shop.Event]) string {
	h := sha256.New()
	for e := range events {
		fmt.Fprintln(h, e.Received, e.Time, e.ID, e.Table, e.Key, e.Source, e.Seq, e.Outcome, e.Reason, e.Identifiers, e.Amount)
		h.Write(e.Value)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestTheSeedDecidesEveryByte(t *testing.T) {
	options := shop.Options{Seed: 7, Traffic: 0.1}
	m := newMonth(t, options)
	first := digest(m.Events())
	if again := digest(m.Events()); again != first {
		t.Error("reading the month twice gave different events")
	}
	if again := digest(newMonth(t, options).Events()); again != first {
		t.Error("the same seed gave different events")
	}
	options.Seed++
	if other := digest(newMonth(t, options).Events()); other == first {
		t.Error("another seed gave the same events")
	}
}

func TestEventsComeInReceiveTimeOrder(t *testing.T) {
	last := int64(0)
	for i, e := range month(t) {
		if e.Received < last {
			t.Fatalf("event %d was received at %d, the one before it at %d", i, e.Received, last)
		}
		last = e.Received
	}
}

func TestRetriesRepeatAnEventWithinAnHour(t *testing.T) {
	sent := map[string]shop.Event{}
	retries := 0
	for _, e := range month(t) {
		first, seen := sent[e.ID]
		if seen != (e.Outcome == shop.Duplicate) {
			t.Fatalf("event %s: seen before is %v, outcome is %d", e.ID, seen, e.Outcome)
		}
		if !seen {
			sent[e.ID] = e
			continue
		}
		retries++
		if after := e.Received - first.Received; after <= 0 || after >= 3_600_000 {
			t.Errorf("retry of %s comes %d ms after it", e.ID, after)
		}
		e.Received, e.Outcome = first.Received, first.Outcome
		if diff := cmp.Diff(first, e); diff != "" {
			t.Errorf("retry of %s differs (-first +retry):\n%s", e.ID, diff)
		}
	}
	if retries == 0 {
		t.Error("no retries")
	}
}

func TestOutcomesAreWhatTheEventCoreSays(t *testing.T) {
	tables := map[string]bool{shop.PageView: true, shop.Cart: true, shop.Login: true, shop.Orders: true, shop.Refunds: true}
	junk := map[string]bool{"undefined": true, "00000000-0000-0000-0000-000000000000": true}
	refused := 0
	for _, e := range month(t) {
		var got event.Reason
		decoded, err := event.Decode(e.Record(), event.Limits{})
		var ids shop.Identifiers
		if rejection := (*event.Rejection)(nil); errors.As(err, &rejection) {
			got = rejection.Reason
		} else {
			for i, k := range shop.Keys {
				if v := decoded.KeyField(k.Field).String(); junk[v] {
					refused++
				} else {
					ids[i] = v
				}
			}
			switch {
			case !tables[decoded.Table]:
				got = event.UnknownTable
			case ids == (shop.Identifiers{}):
				got = event.NoIdentifier
			}
			if decoded.Received != e.Received || decoded.Time != e.Time || decoded.ID != e.ID || decoded.Table != e.Table ||
				decoded.Source != e.Source || decoded.Order.Seq != e.Seq {
				t.Fatalf("the record says %+v, the event %+v", decoded, e)
			}
		}
		if got != e.Reason || (got != "") != (e.Outcome == shop.Rejected) {
			t.Fatalf("event is rejected for %q, want %q: %s", got, e.Reason, e.Value)
		}
		if e.Outcome == shop.Rejected {
			continue
		}
		if ids != e.Identifiers {
			t.Fatalf("the record is identified by %v, the event by %v", ids, e.Identifiers)
		}
		if key := string(e.Record().Key); key != ids.Leading() || key == "" {
			t.Fatalf("record key is %q, the leading identifier %q", key, ids.Leading())
		}
	}
	if refused == 0 {
		t.Error("no junk identifiers")
	}
}

func TestMixOfTheMonth(t *testing.T) {
	truth := shop.NewTruth()
	var late, ahead, strangers, loggedIn int
	users := map[string]map[string]bool{} // of a browser or an e-mail
	sources := map[string]int{}
	for _, e := range month(t) {
		truth.Add(&e)
		sources[e.Source]++
		if e.Outcome != shop.Applied {
			continue
		}
		switch d := e.Received - e.Time; {
		case d > 600_000:
			late++
		case d < 0:
			ahead++
		}
		if e.Identifiers[shop.Customer] == "" {
			strangers++
			continue
		}
		loggedIn++
		for _, key := range []int{shop.Cookie, shop.Email} {
			if v := e.Identifiers[key]; v != "" {
				if users[v] == nil {
					users[v] = map[string]bool{}
				}
				users[v][e.Identifiers[shop.Customer]] = true
			}
		}
	}
	shared := map[bool]int{} // by whether it is an e-mail
	for v, of := range users {
		if len(of) > 1 {
			shared[len(v) != 36]++
		}
	}
	reasons := truth.Rejected
	for _, c := range []struct {
		what        string
		got         int
		least, most int
	}{
		{"events", truth.Events, 120_000, 200_000},
		{"page views", truth.Tables[shop.PageView], truth.Events * 80 / 100, truth.Events * 90 / 100},
		{"cart events", truth.Tables[shop.Cart], truth.Events * 5 / 100, truth.Events * 15 / 100},
		{"log-ins", truth.Tables[shop.Login], 2_000, 6_000},
		{"orders", truth.Tables[shop.Orders], 1_558, 1_558},
		{"refunds", truth.Tables[shop.Refunds], 318, 318},
		{"duplicates", truth.Duplicates, truth.Events * 2 / 1000, truth.Events * 6 / 1000},
		{"rejected", truth.RejectedTotal(), 200, 600},
		{"malformed", reasons[event.MalformedJSON], 5, 60},
		{"invalid UTF-8", reasons[event.InvalidUTF8], 5, 60},
		{"unknown table", reasons[event.UnknownTable], 5, 60},
		{"no identifier", reasons[event.NoIdentifier], 149 + 5, 149 + 60},
		{"missing field", reasons[event.MissingField], 5, 60},
		{"wrong type", reasons[event.WrongType], 5, 60},
		{"bad time", reasons[event.BadTime], 5, 60},
		{"late", late, truth.Events * 3 / 1000, truth.Events * 30 / 1000},
		{"clock ahead", ahead, truth.Events * 3 / 1000, truth.Events * 30 / 1000},
		{"without a user", strangers, truth.Events * 60 / 100, truth.Events * 95 / 100},
		{"with a user", loggedIn, truth.Events * 5 / 100, truth.Events * 40 / 100},
		{"apps", sources["ios"] + sources["android"], truth.Events * 20 / 100, truth.Events * 40 / 100},
		{"shared browsers", shared[false], 25, 250},
		{"shared e-mails", shared[true], 10, 186},
	} {
		if c.got < c.least || c.got > c.most {
			t.Errorf("%s: %d, want %d to %d", c.what, c.got, c.least, c.most)
		}
	}
	if sum := truth.Applied + truth.Duplicates + truth.RejectedTotal(); sum != truth.Events {
		t.Errorf("outcomes add up to %d of %d events", sum, truth.Events)
	}
}

func TestCleanMonthHasNoTroubleOfItsOwn(t *testing.T) {
	truth := newMonth(t, shop.Options{Clean: true, Traffic: 0.1}).Truth()
	if truth.Duplicates != 0 {
		t.Errorf("%d duplicates", truth.Duplicates)
	}
	if diff := cmp.Diff(map[event.Reason]int{event.NoIdentifier: 149}, truth.Rejected); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

func TestTrafficScalesTheVisits(t *testing.T) {
	few, many := newMonth(t, shop.Options{Traffic: 0.25}).Truth(), newMonth(t, shop.Options{Traffic: 2}).Truth()
	if many.Events < 4*few.Events {
		t.Errorf("%d events with a quarter of the traffic, %d with twice as much", few.Events, many.Events)
	}
	if diff := cmp.Diff(few.Tables[shop.Orders], many.Tables[shop.Orders]); diff != "" {
		t.Errorf("orders differ:\n%s", diff)
	}
}

func BenchmarkMonth(b *testing.B) {
	m := newMonth(b, shop.Options{})
	events, bytes := 0, 0
	for b.Loop() {
		for e := range m.Events() {
			events++
			bytes += len(e.Value)
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(bytes)/float64(events), "bytes/event")
}

func BenchmarkNewMonth(b *testing.B) {
	for b.Loop() {
		newMonth(b, shop.Options{})
	}
}
