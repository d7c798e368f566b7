package update_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
)

// What was committed and perhaps never sent comes first in the next life, under the same IDs; once it is acknowledged the next commit
// clears it.
func TestEffectsOutliveTheWorker(t *testing.T) {
	s := newScene(t)
	first := s.apply(s.event(0, "cookie:a")).Effects
	second := s.apply(s.event(1, "cookie:b")).Effects
	if len(first) != 2 || len(second) != 2 || s.count("o") != 2 {
		t.Fatalf("%d and %d effects in %d rows", len(first), len(second), s.count("o"))
	}
	s.restart()
	next := s.event(2, "cookie:c")
	third := s.apply(next)
	if diff := cmp.Diff(append(first, second...), third.Effects[:4]); diff != "" || len(third.Effects) != 6 {
		t.Errorf("%d effects after a restart (-want +got):\n%s", len(third.Effects), diff)
	}
	s.restart()
	fourth := s.settled(next)
	if diff := cmp.Diff(third.Effects, fourth.Effects); diff != "" || fourth.Skipped != 1 || fourth.Events != 0 {
		t.Errorf("%d skipped of a record applied before, effects (-want +got):\n%s", fourth.Skipped, diff)
	}
	if s.count("o") != 3 {
		t.Errorf("%d rows before the commit that follows", s.count("o"))
	}
	if got := s.settled(s.put(markerRecord(event.Marker{Tick: true, Received: start}))); len(got.Effects) != 0 || got.Markers != 1 {
		t.Errorf("a tick: %+v", got)
	}
	if s.count("o") != 0 {
		t.Errorf("%d rows after it", s.count("o"))
	}
	s.restart()
	if got := s.settled(s.event(3, "cookie:c")); len(got.Effects) != 0 {
		t.Errorf("effects come back: %v", got.Effects)
	}
}

// A conflict neither loses what an earlier life left behind nor repeats what this one has handed out.
func TestEffectsAndConflicts(t *testing.T) {
	s := newScene(t)
	left := s.apply(s.event(0, "cookie:a")).Effects
	s.restart()
	s.store.SetFault(memory.FailNth(0, memory.FailConflict))
	got := s.apply(s.event(1, "cookie:b")).Effects
	if diff := cmp.Diff(left, got[:min(2, len(got))]); diff != "" || len(got) != 4 {
		t.Errorf("%d effects after a conflict (-want +got):\n%s", len(got), diff)
	}
	s.store.SetFault(memory.FailNth(0, memory.FailConflict))
	if got := s.settled(s.event(2, "cookie:c")).Effects; len(got) != 2 {
		t.Errorf("%d effects after another one, want the bundle's own two", len(got))
	}
	s.settled()
	if s.count("o") != 0 {
		t.Errorf("%d rows once all is acknowledged", s.count("o"))
	}
}

func TestUnsettledEffectsStay(t *testing.T) {
	s := newScene(t)
	s.apply(s.event(0, "cookie:a"))
	s.apply(s.event(1, "cookie:b"))
	s.worker.Settle()
	s.apply(s.event(2, "cookie:c")) // clears the two before
	if s.count("o") != 1 {
		t.Errorf("%d rows, want that of the last bundle", s.count("o"))
	}
	s.apply()
	if s.count("o") != 1 {
		t.Errorf("%d rows after an empty bundle, want that of the last bundle with effects", s.count("o"))
	}
}

// A commit of which nobody heard, one that did not happen, and one that conflicts: each record counts once and no effect is lost.
func TestCommitsThatFail(t *testing.T) {
	for _, fault := range []memory.Fault{memory.FailBefore, memory.FailAfter, memory.FailConflict} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			s := newScene(t)
			s.settled(s.event(0, "cookie:a"))
			s.store.SetFault(memory.FailNth(0, fault))
			in := s.event(2000, "cookie:a email:x")
			result, err := s.worker.Apply(t.Context(), []*update.Input{in})
			if fault == memory.FailConflict {
				if err != nil || result.Conflicts != 1 {
					t.Fatalf("%d conflicts, %v", result.Conflicts, err)
				}
			} else if !errors.Is(err, memory.ErrInjected) {
				t.Fatalf("error %v", err)
			} else {
				result = s.apply(in)
			}
			var ids []string
			for _, e := range result.Effects {
				ids = append(ids, e.ID)
			}
			want := []string{topic + "/2/2", topic + "/2/3"}
			if fault == memory.FailBefore { // it is not known that the settled ones were not cleared
				want = append([]string{topic + "/2/0", topic + "/2/1"}, want...)
			}
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if s.views("cookie:a") != 2 || s.views("email:x") != 2 {
				t.Errorf("%d views", s.views("cookie:a"))
			}
		})
	}
}

func TestConflictsEnd(t *testing.T) {
	s := newScene(t)
	n := 0
	s.store.SetFault(func(int, []update.Condition, []update.Write) memory.Fault { n++; return memory.FailConflict })
	result, err := s.worker.Apply(t.Context(), []*update.Input{s.event(0, "cookie:a")})
	if !errors.Is(err, update.ErrConflict) || n != 10 || result.Conflicts != 9 {
		t.Errorf("%d attempts, %d conflicts, %v", n, result.Conflicts, err)
	}
}

// Two workers that both believe that the partition is theirs apply each record once.
func TestZombie(t *testing.T) {
	s := newScene(t)
	var inputs []*update.Input
	for i := range 60 {
		inputs = append(inputs, s.event(int64(i), "cookie:"+string(rune('a'+i%3))))
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	events := 0
	byID := map[string]string{}
	for range 2 {
		wait.Go(func() {
			w := update.NewWorker(s.config, s.store)
			for i := range inputs {
				result, err := w.Apply(t.Context(), inputs[i:i+1])
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				events += result.Events
				for _, e := range result.Effects {
					if known, ok := byID[e.ID]; ok && known != string(e.Value) {
						t.Errorf("effect %s was %s and is %s", e.ID, known, e.Value)
					}
					byID[e.ID] = string(e.Value)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if events != 60 || s.views("cookie:a") != 20 || s.views("cookie:c") != 20 {
		t.Errorf("%d events applied, %d views", events, s.views("cookie:a"))
	}
}

func TestTopicCreatedAgain(t *testing.T) {
	s := newScene(t)
	s.settled(s.event(0, "cookie:a"))
	s.settled(s.put(markerRecord(event.Marker{Epoch: 4, Oldest: 2, Received: start + 50})))
	before, err := update.ReadProgress(t.Context(), s.store, "test")
	if err != nil {
		t.Fatal(err)
	}
	s.offset = 0
	in := s.event(1, "cookie:a")
	in.TopicID = [16]byte{10}
	_, err = s.worker.Apply(t.Context(), []*update.Input{in})
	var changed *update.TopicChangedError
	if !errors.As(err, &changed) || changed.Applied != [16]byte{9} || changed.Found != [16]byte{10} || !changed.Permanent() {
		t.Fatalf("error %v", err)
	}
	if text := err.Error(); !strings.Contains(text, topic+"/2 was deleted and created again") || !strings.Contains(text, "'braid topics accept "+topic+"'") {
		t.Errorf("message %q", text)
	}
	log := update.Log{TopicID: [16]byte{10}, Start: map[int32]int64{2: 0}, End: map[int32]int64{2: 100}}
	if err := log.Check(topic, map[int32]update.Progress{2: before[update.Partition{Topic: topic, Partition: 2}]}); !errors.As(err, &changed) {
		t.Errorf("the check says %v", err)
	}
	if n, err := update.AcceptTopic(t.Context(), s.store, "test", "another", log); n != 0 || err != nil {
		t.Errorf("accepting another topic: %d, %v", n, err)
	}
	if n, err := update.AcceptTopic(t.Context(), s.store, "test", topic, log); n != 1 || err != nil {
		t.Fatalf("accepting: %d partitions, %v", n, err)
	}
	if got := s.settled(in); got.Events != 1 {
		t.Errorf("after it was accepted: %+v", got)
	}
	after, err := update.ReadProgress(t.Context(), s.store, "test")
	if err != nil {
		t.Fatal(err)
	}
	p := update.Partition{Topic: topic, Partition: 2}
	want := before[p]
	want.TopicID, want.NextOffset = [16]byte{10}, 1
	if diff := cmp.Diff(map[update.Partition]update.Progress{p: want}, after); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if s.views("cookie:a") != 2 {
		t.Errorf("%d views", s.views("cookie:a"))
	}
}

func TestProgress(t *testing.T) {
	s := newScene(t)
	if clock, err := update.NewStreamClock(s.store, "test", topic).Now(t.Context()); clock != 0 || err != nil {
		t.Errorf("clock of nothing: %d, %v", clock, err)
	}
	if _, ok, err := update.NextDue(t.Context(), s.store, "test"); ok || err != nil {
		t.Errorf("due of nothing: %v, %v", ok, err)
	}
	in := s.event(500, "cookie:a")
	marker := s.put(markerRecord(event.Marker{Epoch: 3, Oldest: 1, Received: start}))
	bad := s.put(event.Record{Value: []byte("{"), Headers: []event.Header{{Key: event.HeaderReceived, Value: []byte("1700000000600")}}})
	late := s.event(400, "cookie:b")
	other := s.put(record(300, "o1", "cookie:c"))
	other.Position = event.Position{Topic: topic, Partition: 7, Offset: 41}
	elsewhere := s.put(record(10, "o2", "cookie:c"))
	elsewhere.Position = event.Position{Topic: "elsewhere", Offset: 3}
	result := s.settled(in, marker, bad, late, in, other, elsewhere,
		s.put(markerRecord(event.Marker{Epoch: 2, Oldest: 0, Received: start})))
	if result.Events != 4 || result.Markers != 2 || result.Skipped != 1 || result.Rejected[event.MalformedJSON] != 1 || result.Changes[update.ProfileCreated] != 3 {
		result.Effects = nil
		t.Errorf("result %+v", result)
	}
	got, err := update.ReadProgress(t.Context(), s.store, "test")
	if err != nil {
		t.Fatal(err)
	}
	want := map[update.Partition]update.Progress{
		{Topic: topic, Partition: 2}: {TopicID: [16]byte{9}, NextOffset: s.offset, Epoch: update.Epoch{Current: 3, Oldest: 1}, Clock: start + 600, NextEffect: 5},
		{Topic: topic, Partition: 7}: {TopicID: [16]byte{9}, NextOffset: 42, Clock: start + 300, NextEffect: 1},
		{Topic: "elsewhere"}:         {TopicID: [16]byte{9}, NextOffset: 4, Clock: start + 10, NextEffect: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if clock, err := update.NewStreamClock(s.store, "test", topic).Now(t.Context()); clock != start+300 || err != nil {
		t.Errorf("clock %d, %v", clock-start, err)
	}
	s.settled(s.event(700, "cookie:a"))
	s.settled(s.event(650, "cookie:b"))
	if at, ok, err := update.NextDue(t.Context(), s.store, "test"); at != start+1400 || !ok || err != nil {
		t.Errorf("next due at %d, %v, %v", at-start, ok, err)
	}
}

// The order within a bundle is that of the stream: a marker counts for what follows it.
func TestEpochsWithinABundle(t *testing.T) {
	s := newScene(t)
	s.settled(s.event(0, "cookie:a"), s.put(markerRecord(event.Marker{Epoch: 1, Received: start})), s.event(1, "cookie:a"),
		s.put(markerRecord(event.Marker{Epoch: 5, Received: start})), s.event(2, "cookie:a"), s.event(3, "cookie:a"))
	doc, err := update.NewReader(s.config, s.store).Document(t.Context(), profileID("cookie:a"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]uint64{}
	for _, b := range doc.Cells[0].Buckets {
		got[b.Epoch] = b.Events
	}
	if diff := cmp.Diff(map[uint64]uint64{0: 1, 1: 1, 5: 2}, got); diff != "" {
		t.Errorf("events by epoch (-want +got):\n%s", diff)
	}
}

// A damaged row stops the bundle with an error that names it; nothing panics and nothing is tried forever.
func TestDamagedRows(t *testing.T) {
	for _, c := range []struct {
		kind, value string
		want        error
		says        string
	}{
		{"i", "short", update.ErrDamaged, "identifier " + profileID("cookie:a").String()},
		{"i", "0123456789abcdef", update.ErrConflict, "not there any more"},
		{"d", "\xff", update.ErrDamaged, "document "},
		{"d", "\x02\x08\x63", update.ErrFormat, "document "},
		{"d", "\x04\x08\x02\x12\x00", update.ErrDamaged, "document "},
		{"d", "\x02\x08\x02\x00", update.ErrDamaged, "more cells than it lists"},
		{"c", "", update.ErrDamaged, "cell "},
		{"c", "\x08\x03", update.ErrFormat, "cell "},
		{"p", "", update.ErrDamaged, topic + "/2: progress row"},
		{"p", "\x08\x02", update.ErrFormat, topic + "/2: progress row"},
		{"o", "", update.ErrDamaged, topic + "/2: outbox row"},
		{"o", "\xff", update.ErrDamaged, topic + "/2: outbox row"},
		{"o", string(s2.Encode(nil, []byte("\x0a"))), update.ErrDamaged, topic + "/2: outbox row"},
		{"o", string(s2.Encode(nil, []byte("\x08\x02"))), update.ErrFormat, topic + "/2: outbox row"},
	} {
		t.Run(fmt.Sprintf("%s %q", c.kind, c.value), func(t *testing.T) {
			s := newScene(t)
			if c.kind == "c" {
				s.config.CellsWithin = -1
			}
			s.apply(s.event(0, "cookie:a"))
			rows, err := s.store.Scan(t.Context(), []byte("test/"+c.kind+"/"), []byte("test/"+c.kind+"0"), 1)
			if err != nil || len(rows) != 1 {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			if _, err = s.store.Commit(t.Context(), nil, []update.Write{{Key: rows[0].Key, Value: []byte(c.value)}}); err != nil {
				t.Fatal(err)
			}
			s.restart()
			_, err = s.worker.Apply(t.Context(), []*update.Input{s.event(1, "cookie:a")})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.says)
			}
			_, readErr := update.NewReader(s.config, s.store).Document(t.Context(), profileID("cookie:a"))
			_, progressErr := update.ReadProgress(t.Context(), s.store, "test")
			switch c.kind {
			case "i", "d", "c":
				err = readErr
			case "p":
				err = progressErr
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("reading: error %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

// An accumulator that cannot be read is told with the event that met it.
func TestDamagedAccumulator(t *testing.T) {
	s := newScene(t)
	s.config.CellsWithin = -1
	s.apply(s.event(0, "cookie:a"))
	rows, err := s.store.Scan(t.Context(), []byte("test/c/"), []byte("test/c0"), 1)
	if err != nil || len(rows) == 0 {
		t.Fatal(len(rows), err)
	}
	id := [16]byte(rows[0].Key[len("test/c/"):])
	c, err := profile.UnmarshalCell(id, rows[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	states := c.Buckets[0].States
	for i := range states {
		states[i].Data = []byte{1, 1, 0xff, 0xff} // a counter without its end
	}
	row, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Commit(t.Context(), nil, []update.Write{{Key: rows[0].Key, Value: row}}); err != nil {
		t.Fatal(err)
	}
	_, err = s.worker.Apply(t.Context(), []*update.Input{s.event(1, "cookie:a")})
	if err == nil || !strings.Contains(err.Error(), `event "e2" at `+topic+"/2 offset 1: cell ") {
		t.Errorf("error %v", err)
	}
}
