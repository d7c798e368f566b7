package grouping_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/braidhq/braid/pipelines/direct/element"
	"github.com/braidhq/braid/pipelines/direct/grouping"
)

// reader reads pairs of a byte string and a byte string in interval windows.
func reader(t testing.TB) *element.Reader {
	t.Helper()
	pair := coder.NewKV([]*coder.Coder{coder.NewBytes(), coder.NewBytes()})
	r, err := element.NewReader(pair, coder.NewIntervalWindow())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(s string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(s))), s...)
}

// pair encodes an element at a time, in the window from there to the end.
func pair(r *element.Reader, w element.Window, key, value string) []byte {
	b := r.AppendHeader(nil, w.Start, w, typex.NoFiringPane())
	return append(append(b, text(key)...), text(value)...)
}

// failer is what testing and rapid have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// fire returns what a table gives out at a watermark: window, key, values and pane.
func fire(t failer, table *grouping.Table, at mtime.Time) (out []string) {
	t.Helper()
	err := table.Fire(at, func(b []byte) error {
		start := int64(binary.BigEndian.Uint64(b[12:])) + -1<<63
		size, n := binary.Uvarint(b[20:])
		b = b[20+n:]
		pane := b[0]
		b = b[1:]
		for range pane >> 4 {
			_, n := binary.Uvarint(b)
			b = b[n:]
		}
		next := func() string {
			l, n := binary.Uvarint(b)
			s := string(b[n : n+int(l)])
			b = b[n+int(l):]
			return s
		}
		key := next()
		count := binary.BigEndian.Uint32(b)
		b = b[4:]
		var values []string
		for range count {
			values = append(values, next())
		}
		if len(b) > 0 {
			return fmt.Errorf("%d bytes too many", len(b))
		}
		slices.Sort(values)
		out = append(out, fmt.Sprintf("%d-%d %s: %s %v", start-int64(size), start, key, strings.Join(values, ","), typex.PaneTiming(pane>>2&3)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// model groups in the plainest way: all elements of a key and window, for windows that do not merge.
type model map[element.Window]map[string][]string

// TestTableAgainstModel feeds random elements to a table that holds almost nothing in memory and to a model, in windows that
// overlap or merge, and compares what they give out as the watermark moves.
func TestTableAgainstModel(t *testing.T) {
	r := reader(t)
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "grouping-test-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		memory := grouping.NewMemory(rapid.SampledFrom([]int64{1, 2000, 1 << 30}).Draw(t, "memory"), dir)
		defer memory.Close()
		table := grouping.NewTable(r, r, grouping.Windowing{}, memory)
		m := model{}
		var mark mtime.Time
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			var block []byte
			for range rapid.IntRange(0, 20).Draw(t, "elements") {
				start := mtime.Time(rapid.IntRange(0, 9).Draw(t, "window") * 10)
				w := element.Window{Start: start, End: start + 10}
				key, value := rapid.StringN(0, 3, 6).Draw(t, "key"), rapid.StringN(0, 5, 10).Draw(t, "value")
				block = append(block, pair(r, w, key, value)...)
				if w.Max() < mark {
					continue
				}
				if m[w] == nil {
					m[w] = map[string][]string{}
				}
				m[w][key] = append(m[w][key], value)
			}
			if _, err := table.Add(block, mark); err != nil {
				t.Fatal(err)
			}
			mark += mtime.Time(rapid.IntRange(0, 40).Draw(t, "step"))
			var want []string
			for w, keys := range m {
				if w.Max() >= mark {
					continue
				}
				for k, vs := range keys {
					slices.Sort(vs)
					want = append(want, fmt.Sprintf("%d-%d %s: %s ontime", w.Start, w.End, k, strings.Join(vs, ",")))
				}
				delete(m, w)
			}
			slices.Sort(want)
			got := fire(t, table, mark)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("at %d (-want +got):\n%s", mark, diff)
			}
			if hold := table.Hold(); hold < mark-1 {
				t.Fatalf("the hold is %d at watermark %d", hold, mark)
			}
		}
		for w := range m {
			if table.Hold() > w.Max() {
				t.Fatalf("the hold %d is beyond window %v", table.Hold(), w)
			}
		}
	})
}

// TestSessions: elements of a key within the gap of each other are one session, in whatever order they come.
func TestSessions(t *testing.T) {
	r := reader(t)
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "grouping-test-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		memory := grouping.NewMemory(rapid.SampledFrom([]int64{1, 1 << 30}).Draw(t, "memory"), dir)
		defer memory.Close()
		table := grouping.NewTable(r, r, grouping.Windowing{Merging: true}, memory)
		times := rapid.SliceOfN(rapid.IntRange(0, 200), 1, 30).Draw(t, "times")
		for _, at := range times {
			w := element.Window{Start: mtime.Time(at), End: mtime.Time(at + 10)}
			if _, err := table.Add(pair(r, w, "k", fmt.Sprintf("%03d", at)), mtime.MinTimestamp); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(times)
		var want []string
		for i := 0; i < len(times); {
			values := []string{fmt.Sprintf("%03d", times[i])}
			j := i + 1
			for ; j < len(times) && times[j] < times[j-1]+10; j++ {
				values = append(values, fmt.Sprintf("%03d", times[j]))
			}
			want = append(want, fmt.Sprintf("%d-%d k: %s ontime", times[i], times[j-1]+10, strings.Join(values, ",")))
			i = j
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, fire(t, table, 1000)); diff != "" {
			t.Fatalf("sessions (-want +got):\n%s", diff)
		}
	})
}

// TestLateSession: a late element that touches a session given out makes a late pane, one beyond the lateness is dropped.
func TestLateSession(t *testing.T) {
	r := reader(t)
	memory := grouping.NewMemory(1<<30, t.TempDir())
	table := grouping.NewTable(r, r, grouping.Windowing{Merging: true, Lateness: 20}, memory)
	add := func(at, mark mtime.Time) {
		t.Helper()
		if _, err := table.Add(pair(r, element.Window{Start: at, End: at + 10}, "k", fmt.Sprint(at)), mark); err != nil {
			t.Fatal(err)
		}
	}
	add(0, 0)
	got := fire(t, table, 15)
	add(5, 15) // late: 0-15 is over
	got = append(got, fire(t, table, 16)...)
	add(12, 16) // 0-22 is not over yet
	got = append(got, fire(t, table, 30)...)
	add(3, 60) // 0-22 and 20 more
	got = append(got, fire(t, table, 61)...)
	want := []string{"0-10 k: 0 ontime", "0-15 k: 5 late", "0-22 k: 12 ontime"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("panes (-want +got):\n%s", diff)
	}
	if table.Late() != 1 || table.Bytes() != 0 {
		t.Errorf("%d late, %d bytes held, want 1 and 0", table.Late(), table.Bytes())
	}
}

// TestConcurrentAdds: nothing is lost or doubled when many goroutines add and one fires.
func TestConcurrentAdds(t *testing.T) {
	r := reader(t)
	memory := grouping.NewMemory(10_000, t.TempDir())
	t.Cleanup(func() { memory.Close() })
	table := grouping.NewTable(r, r, grouping.Windowing{Lateness: 1 << 40}, memory)
	var wg sync.WaitGroup
	const each = 500
	for g := range 4 {
		wg.Go(func() {
			for i := range each {
				w := element.Window{Start: mtime.Time(i), End: mtime.Time(i + 1)}
				if _, err := table.Add(pair(r, w, fmt.Sprint("key", i%7), fmt.Sprint(g)), mtime.Time(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	values := 0
	count := func(at mtime.Time) {
		for _, line := range fire(t, table, at) {
			values += 1 + strings.Count(line, ",")
		}
	}
	for at := range mtime.Time(each) {
		count(at)
	}
	wg.Wait()
	count(each + 1)
	if values != 4*each || table.Late() != 0 {
		t.Errorf("%d values came out, %d were late; want %d and 0", values, table.Late(), 4*each)
	}
	if memory.Spilled() == 0 {
		t.Error("nothing went to disk")
	}
}

// TestClose leaves nothing on disk.
func TestClose(t *testing.T) {
	r, dir := reader(t), t.TempDir()
	memory := grouping.NewMemory(1, dir)
	table := grouping.NewTable(r, r, grouping.Windowing{}, memory)
	if _, err := table.Add(pair(r, element.Window{Start: 0, End: 10}, "k", "v"), 0); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%d directories, error %v", len(names), err)
	}
	if err := memory.Close(); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("%v is left, error %v", names, err)
	}
}

// TestDiskFails: a directory that cannot be written is an error, not a loss.
func TestDiskFails(t *testing.T) {
	r := reader(t)
	table := grouping.NewTable(r, r, grouping.Windowing{}, grouping.NewMemory(1, t.TempDir()+"/missing"))
	if _, err := table.Add(pair(r, element.Window{Start: 0, End: 10}, "k", "v"), 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestMalformed(t *testing.T) {
	r := reader(t)
	table := grouping.NewTable(r, r, grouping.Windowing{}, grouping.NewMemory(1<<20, ""))
	if _, err := table.Add(bytes.Repeat([]byte{0xff}, 40), 0); !errors.Is(err, element.ErrMalformed) {
		t.Errorf("error %v, want %v", err, element.ErrMalformed)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := reader(b)
	table := grouping.NewTable(r, r, grouping.Windowing{}, grouping.NewMemory(1<<40, ""))
	var block []byte
	for i := range 1000 {
		block = append(block, pair(r, element.Window{Start: 0, End: 10}, fmt.Sprint("key", i%100), "value")...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Add(block, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/element")
}
