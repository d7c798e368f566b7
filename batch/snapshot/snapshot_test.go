package snapshot_test

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/attribute/accumulator"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
)

var now = time.UnixMilli(1_700_000_000_000)

func id(n int) identity.ID {
	return identity.NewID("test", identity.Identifier{Key: "n", Value: fmt.Sprint(n)})
}

// counter is a set with one attribute, which counts.
func counter(t testing.TB) *attribute.Set {
	t.Helper()
	set, err := attribute.NewSet([]attribute.Definition{{Name: "n", Kind: "counter", Event: "any"}}, map[string]attribute.EventRef{"any": {}}, attribute.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// states returns those of so many events.
func states(t testing.TB, set *attribute.Set, n int) attribute.States {
	t.Helper()
	var s attribute.States
	for range n {
		var err error
		if s, _, err = set.Add(s, &event.Event{}, []int{0}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func count(t testing.TB, set *attribute.Set, s attribute.States) int {
	t.Helper()
	results, err := set.Results(0, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := results[0].Value.Int64()
	return int(n)
}

// cells are those of some numbers, each with so many events, in the order of their IDs.
func cells(t testing.TB, set *attribute.Set, counts map[int]int) iter.Seq2[snapshot.Cell, error] {
	var all []snapshot.Cell
	for n, events := range counts {
		all = append(all, snapshot.Cell{ID: id(n), Events: uint64(events), States: states(t, set, events).Append(nil), Seen: fmt.Appendf(nil, "%016d", events)})
	}
	slices.SortFunc(all, func(a, b snapshot.Cell) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return func(yield func(snapshot.Cell, error) bool) {
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func publish(t testing.TB, d *snapshot.Directory, epoch uint64, cells iter.Seq2[snapshot.Cell, error]) *snapshot.Snapshot {
	t.Helper()
	draft, err := d.Next("shop", epoch, []string{"1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Delta(cells); err != nil {
		t.Fatal(err)
	}
	s, err := draft.Publish(now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t testing.TB, dir string) *snapshot.Directory {
	t.Helper()
	d, err := snapshot.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Whatever came in whatever deltas, and however they were put together, a cell is what they add up to; others have nothing.
func TestDeltasAddUp(t *testing.T) {
	set := counter(t)
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		dir := filepath.Join(root, fmt.Sprint(run))
		d := open(t, dir)
		total, last := map[int]int{}, map[int]int{}
		for epoch := range uint64(rapid.IntRange(1, 14).Draw(rt, "snapshots")) {
			delta := rapid.MapOfN(rapid.IntRange(0, 40), rapid.IntRange(1, 5), 0, 12).Draw(rt, "delta")
			for n, events := range delta {
				total[n] += events
				last[n] = events
			}
			publish(t, d, epoch+1, cells(t, set, delta))
			if keep := rapid.IntRange(0, 4).Draw(rt, "keep"); keep > 0 {
				if err := d.Forget(keep); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for _, s := range []*snapshot.Snapshot{d.Latest(), reopened(t, dir)} {
			for n := range 41 {
				past, ok, err := s.Cell(id(n))
				if err != nil || ok != (total[n] > 0) || past.Events != uint64(total[n]) || count(t, set, past.States) != total[n] {
					rt.Fatalf("cell %d: %v %v %v, want %d events", n, past, ok, err, total[n])
				}
				if ok && string(s.Seen(id(n))) != fmt.Sprintf("%016d", last[n]) {
					rt.Fatalf("cell %d remembers %q, want %d", n, s.Seen(id(n)), last[n])
				}
			}
			var before identity.ID
			found := 0
			for c, err := range s.Cells() {
				if err != nil || slices.Compare(c.ID[:], before[:]) <= 0 {
					rt.Fatal(c.ID, before, err)
				}
				before, found = c.ID, found+1
			}
			if found != len(total) {
				rt.Fatalf("%d cells, want %d", found, len(total))
			}
		}
	})
}

// reopened opens a copy of a directory, so that nothing is shared with those who have it open.
func reopened(t testing.TB, dir string) *snapshot.Snapshot {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "copy"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return open(t, filepath.Join(to, "copy")).Latest()
}

func TestImportedRows(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "s"))
	set := counter(t)
	columns := []snapshot.Column{{"loyalty.tier", snapshot.Text}, {"loyalty.points", snapshot.Number}, {"loyalty.member", snapshot.Bool}, {"loyalty.since", snapshot.Time}}
	text := func(s string) *string { return &s }
	draft, err := d.Next("shop", 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := []snapshot.Row{
		{id(1), []*string{text("Gold"), text("12345678901234567.89"), text("true"), text("1700000000000")}},
		{id(2), []*string{nil, nil, text("false"), nil}},
	}
	slices.SortFunc(rows, func(a, b snapshot.Row) int { return slices.Compare(a.Identifier[:], b.Identifier[:]) })
	err = draft.Import(columns, func(yield func(snapshot.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	})
	if err == nil {
		err = draft.Delta(cells(t, set, nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := draft.Publish(now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Imported(id(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"loyalty.tier": `"Gold"`, "loyalty.points": "12345678901234567.89", "loyalty.member": "true", "loyalty.since": `"2023-11-14T22:13:20Z"`} {
		if text := string(got[name].AppendJSON(nil)); text != want {
			t.Errorf("%s is %s, want %s", name, text, want)
		}
	}
	if got, err = s.Imported(id(2)); err != nil || !got["loyalty.tier"].IsNull() || !got["loyalty.member"].Equal(accumulator.BoolValue(false)) {
		t.Error(got, err)
	}
	if got, err = s.Imported(id(3)); err != nil || got != nil {
		t.Error(got, err)
	}
	// What is imported stays until something else is.
	if got, err = publish(t, d, 8, cells(t, set, nil)).Imported(id(1)); err != nil || len(got) != 4 {
		t.Error(got, err)
	}
}

// Rows that come twice or out of order are refused, and what was published stays.
func TestRefused(t *testing.T) {
	set := counter(t)
	d := open(t, filepath.Join(t.TempDir(), "s"))
	publish(t, d, 1, cells(t, set, map[int]int{1: 2}))
	draft, err := d.Next("shop", 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	twice := func(yield func(snapshot.Cell, error) bool) {
		c := snapshot.Cell{ID: id(1), States: []byte{0}}
		if yield(c, nil) {
			yield(c, nil)
		}
	}
	if err := draft.Delta(twice); err == nil || !strings.Contains(err.Error(), "comes behind") {
		t.Error(err)
	}
	broken := errors.New("broken")
	if err := draft.Whole(func(yield func(snapshot.Cell, error) bool) { yield(snapshot.Cell{}, broken) }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if s := d.Latest(); s.Epoch() != 1 {
		t.Error(s.Epoch())
	}
}

// A file that is cut short, changed or gone, and a snapshot of a newer version, are said to be so; the last good snapshot stays in use.
func TestDamage(t *testing.T) {
	set := counter(t)
	for name, damage := range map[string]func(t *testing.T, dir, cells, manifest string) error{
		"cut":     func(t *testing.T, dir, cells, _ string) error { return os.Truncate(filepath.Join(dir, cells), 100) },
		"changed": func(t *testing.T, dir, cells, _ string) error { return flip(filepath.Join(dir, cells)) },
		"gone":    func(t *testing.T, dir, cells, _ string) error { return os.Remove(filepath.Join(dir, cells)) },
		"newer": func(t *testing.T, dir, _, m string) error {
			return replace(filepath.Join(dir, m), `"format": 1`, `"format": 2`)
		},
		"no JSON": func(t *testing.T, dir, _, m string) error { return os.Truncate(filepath.Join(dir, m), 10) },
		"elsewhere": func(t *testing.T, dir, cells, m string) error {
			return replace(filepath.Join(dir, m), cells, "../"+cells)
		},
		"CURRENT": func(t *testing.T, dir, _, _ string) error {
			return os.WriteFile(filepath.Join(dir, "CURRENT"), []byte("../x"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			reader, dir := open(t, filepath.Join(root, "read")), filepath.Join(root, "written")
			writer := open(t, dir)
			publish(t, writer, 1, cells(t, set, map[int]int{1: 2, 2: 3}))
			copyTo(t, dir, filepath.Join(root, "read"))
			if err := reader.Look(); err != nil {
				t.Fatal(err)
			}
			s := publish(t, writer, 2, cells(t, set, map[int]int{1: 1}))
			copyTo(t, dir, filepath.Join(root, "read"))
			if err := damage(t, filepath.Join(root, "read"), s.Manifest.Cells[len(s.Manifest.Cells)-1].Name, "0000000002.json"); err != nil {
				t.Fatal(err)
			}
			err := reader.Look()
			if want := map[bool]error{true: snapshot.ErrFormat, false: snapshot.ErrDamaged}[name == "newer"]; !errors.Is(err, want) {
				t.Fatal(err)
			}
			past, ok, err := reader.Current().Cell(id(1))
			if err != nil || !ok || past.Events != 2 || reader.Current().Epoch() != 1 {
				t.Error(past, ok, err)
			}
		})
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(path, b, 0o600)
}

func replace(path, from, to string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), from, to)), 0o600)
}

// Readers go on without a pause while snapshots are published and forgotten; each look-up is of one snapshot.
func TestReadersSwitch(t *testing.T) {
	set := counter(t)
	d := open(t, filepath.Join(t.TempDir(), "s"))
	publish(t, d, 1, cells(t, set, map[int]int{1: 1, 2: 1}))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				h := d.Current()
				past, ok, err := h.Cell(id(1))
				if err != nil || !ok || past.Events != h.Epoch() {
					t.Errorf("%d events in the snapshot of epoch %d, %v %v", past.Events, h.Epoch(), ok, err)
					return
				}
			}
		})
	}
	for epoch := uint64(2); epoch < 60; epoch++ {
		publish(t, d, epoch, cells(t, set, map[int]int{1: 1}))
		if err := d.Forget(1); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	readers.Wait()
	if oldest, ok, err := d.Oldest(); oldest != 59 || !ok || err != nil {
		t.Error(oldest, ok, err)
	}
}

func BenchmarkCell(b *testing.B) {
	const people = 1_000_000
	set := counter(b)
	ids := make([]identity.ID, people)
	for i := range ids {
		ids[i] = id(i)
	}
	slices.SortFunc(ids, func(a, b identity.ID) int { return slices.Compare(a[:], b[:]) })
	row := states(b, set, 3).Append(nil)
	d := open(b, filepath.Join(b.TempDir(), "s"))
	s := publish(b, d, 1, func(yield func(snapshot.Cell, error) bool) {
		for _, i := range ids {
			if !yield(snapshot.Cell{ID: i, Events: 3, States: row, Seen: make([]byte, 16)}, nil) {
				return
			}
		}
	})
	b.ReportAllocs()
	took := make([]time.Duration, 0, 1<<20)
	n := 0
	for b.Loop() {
		n = (n + 7919) % people
		began := time.Now()
		if _, ok, err := s.Cell(ids[n]); !ok || err != nil {
			b.Fatal(ok, err)
		}
		if len(took) < cap(took) {
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}
