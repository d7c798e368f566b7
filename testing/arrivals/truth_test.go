package arrivals_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/testing/arrivals/history"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The model below says what profiles are in the plainest way: all events at once, sorted, by whole-history rules, with encoding/json
// and big.Rat. It shares no code with the cores but the order of events.

// seen is one event of a history as the model reads it.
type seen struct {
	ID          string `json:"event_id"`
	Table       string
	Time        int64
	Identifiers map[string]string
	Properties  struct {
		Category string
		Total    json.Number
	}
	order event.Order
	ids   []string // "key:value", most identifying first
}

// tally is what a profile must say.
type tally struct {
	Identifiers string // sorted
	Events      int
	First, Last string
	Attributes  map[string]string // as JSON
}

var priority = map[string]int{"user_id": 0, "email": 1, "cookie": 2}

func keyOf(id string) string { return id[:strings.IndexByte(id, ':')] }

// read reads a history and leaves retries out.
func read(t *rapid.T, records []event.Record) []seen {
	var all []seen
	known := map[string]bool{}
	for _, r := range records {
		var s seen
		if err := json.Unmarshal(r.Value, &s); err != nil {
			t.Fatal(err)
		}
		var received int64
		for _, h := range r.Headers {
			n, _ := strconv.ParseInt(string(h.Value), 10, 64)
			switch h.Key {
			case "received":
				received = n
			case "seq":
				s.order.Seq = uint64(n)
			}
		}
		s.order.ID = s.ID
		s.order.Time = min(max(s.Time, received-7*24*3600_000), received+5*60_000)
		for k, v := range s.Identifiers {
			s.ids = append(s.ids, k+":"+v)
		}
		slices.SortFunc(s.ids, func(a, b string) int { return priority[keyOf(a)] - priority[keyOf(b)] })
		if once := s.ID + fmt.Sprint(s.ids); !known[once] {
			known[once] = true
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b seen) int { return a.order.Compare(b.order) })
	return all
}

// persons says which identifiers are one person: links from the earliest on (cookies under move_to_latest from the latest, after
// all others), unless two user IDs would become one.
func persons(all []seen, policy identity.Policy) map[string]string {
	type link struct {
		a, b string
		late bool
		at   event.Order
	}
	links := map[[2]string]link{}
	person := map[string]string{}
	for _, s := range all { // ascending: the first sighting comes first
		for _, id := range s.ids {
			person[id] = id
		}
		for _, id := range s.ids[1:] {
			pair := [2]string{s.ids[0], id}
			l, ok := links[pair]
			late := policy == identity.MoveToLatest && keyOf(id) == "cookie"
			if !ok || late {
				l = link{pair[0], pair[1], late, s.order}
			}
			links[pair] = l
		}
	}
	var sorted []link
	for _, l := range links {
		sorted = append(sorted, l)
	}
	slices.SortFunc(sorted, func(x, y link) int {
		switch {
		case x.late != y.late && x.late:
			return 1
		case x.late != y.late:
			return -1
		case x.late && x.at != y.at:
			return y.at.Compare(x.at)
		case x.at != y.at:
			return x.at.Compare(y.at)
		}
		return cmp.Or(strings.Compare(x.a, y.a), strings.Compare(x.b, y.b))
	})
	user := func(p string) bool {
		for id, q := range person {
			if p == q && keyOf(id) == "user_id" {
				return true
			}
		}
		return false
	}
	for _, l := range sorted {
		a, b := person[l.a], person[l.b]
		if a == b || user(a) && user(b) {
			continue
		}
		for id, p := range person {
			if p == b {
				person[id] = a
			}
		}
	}
	return person
}

// truth returns what the profiles must say at a moment, sorted.
func truth(t *rapid.T, records []event.Record, policy identity.Policy, now int64) []tally {
	all := read(t, records)
	person := persons(all, policy)
	events := map[string][]seen{}
	for _, s := range all {
		p := person[s.ids[0]]
		events[p] = append(events[p], s)
	}
	members := map[string][]string{}
	for id, p := range person {
		members[p] = append(members[p], id)
	}
	var tallies []tally
	for p, ids := range members {
		slices.Sort(ids)
		tallies = append(tallies, count(strings.Join(ids, " "), events[p], now))
	}
	slices.SortFunc(tallies, func(a, b tally) int { return strings.Compare(a.Identifiers, b.Identifiers) })
	return tallies
}

// count sums up one person's events, in their order.
func count(ids string, events []seen, now int64) tally {
	const pause = 30 * 60_000
	moment := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
	categories := map[string]bool{}
	var views, sessions, current int
	var lastView int64
	revenue := new(big.Rat)
	var smallest, largest *big.Rat
	a := map[string]string{"first_category": "null", "last_category": "null", "last_order": "null"}
	for _, e := range events {
		if e.Table == "views" {
			if views == 0 || e.order.Time-lastView > pause {
				sessions++
				current = 0
			}
			views++
			current++
			lastView = e.order.Time
			categories[e.Properties.Category] = true
			a["last_category"] = strconv.Quote(e.Properties.Category)
			if views == 1 {
				a["first_category"] = a["last_category"]
			}
			continue
		}
		total, _ := new(big.Rat).SetString(e.Properties.Total.String())
		if total.Cmp(big.NewRat(5, 1)) <= 0 {
			continue
		}
		revenue.Add(revenue, total)
		if smallest == nil || total.Cmp(smallest) < 0 {
			smallest = total
		}
		if largest == nil || total.Cmp(largest) > 0 {
			largest = total
		}
		a["last_order"] = strconv.Quote(time.UnixMilli(e.order.Time).UTC().Format("2006-01-02T15:04:05.999Z"))
	}
	if views > 0 && now > lastView+pause {
		current = 0
	}
	a["views"], a["sessions"], a["views_this_session"] = fmt.Sprint(views), fmt.Sprint(sessions), fmt.Sprint(current)
	a["categories"] = fmt.Sprint(len(categories))
	a["revenue"], a["smallest"], a["largest"] = decimal(revenue), decimal(smallest), decimal(largest)
	return tally{ids, len(events), moment(events[0].order.Time), moment(events[len(events)-1].order.Time), a}
}

func decimal(r *big.Rat) string {
	if r == nil {
		return "null"
	}
	s := strings.TrimRight(r.FloatString(2), "0")
	return strings.TrimSuffix(s, ".")
}

// tallies reads profiles in canonical form.
func tallies(t *rapid.T, profiles []string) []tally {
	var all []tally
	for _, text := range profiles {
		var p struct {
			Identifiers []struct{ Key, Value string }
			Events      int
			FirstSeen   string `json:"first_seen"`
			LastSeen    string `json:"last_seen"`
			Attributes  map[string]json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, i := range p.Identifiers {
			ids = append(ids, i.Key+":"+i.Value)
		}
		slices.Sort(ids)
		x := tally{strings.Join(ids, " "), p.Events, p.FirstSeen, p.LastSeen, map[string]string{}}
		for name, value := range p.Attributes {
			x.Attributes[name] = string(value)
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b tally) int { return strings.Compare(a.Identifiers, b.Identifiers) })
	return all
}

// Any arrival gives the profiles that the plain model gives for the whole history.
func TestProfilesAreTheTruth(t *testing.T) {
	for _, policy := range []identity.Policy{identity.KeepFirst, identity.MoveToLatest} {
		t.Run(string(policy), func(t *testing.T) {
			config, err := history.Config(policy)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				records := history.Draw(t)
				s := draw(t, records)
				seed := rapid.Uint64().Draw(t, "seed")
				got := tallies(t, run{config: config, workers: 2, seed: seed}.apply(t, s))
				if diff := gocmp.Diff(truth(t, records, policy, asOf), got); diff != "" {
					t.Fatalf("(-truth +profiles):\n%s\n%s", diff, s.Describe())
				}
			})
		})
	}
}
