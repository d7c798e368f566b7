package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/braidhq/braid/transforms/update"
)

// testModel drives the store and a sorted map side by side with random calls, opening the store anew in between.
func testModel(t *testing.T, opener Opener) {
	s := opener(t)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		m := &model{prefix: []byte(fmt.Sprintf("%06d/", round)), rows: map[string]cell{}, given: map[update.Version]bool{}}
		r.Repeat(map[string]func(*rapid.T){
			"get":    func(r *rapid.T) { m.get(r, t, s) },
			"scan":   func(r *rapid.T) { m.scan(r, t, s) },
			"commit": func(r *rapid.T) { m.commit(r, t, s) },
			"reopen": func(r *rapid.T) {
				if rapid.IntRange(0, 19).Draw(r, "seldom") > 0 {
					return
				}
				if err := s.Close(); err != nil {
					r.Fatalf("Close: %v", err)
				}
				s = opener(t)
			},
		})
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

type model struct {
	prefix []byte
	rows   map[string]cell // by key without the prefix; absent rows have no entry
	given  map[update.Version]bool
}

var modelKey = rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 0xff}), 0, 2)

func (m *model) key(r *rapid.T, label string) []byte { return modelKey.Draw(r, label) }

func (m *model) full(key []byte) []byte { return append(slices.Clone(m.prefix), key...) }

func (m *model) get(r *rapid.T, t testing.TB, s update.Store) {
	asked := rapid.SliceOfN(modelKey, 0, 6).Draw(r, "keys")
	var full [][]byte
	for _, key := range asked {
		full = append(full, m.full(key))
	}
	rows, err := s.Get(t.Context(), full)
	if err != nil || len(rows) != len(asked) {
		r.Fatalf("Get: %d rows, %v", len(rows), err)
	}
	for i, got := range rows {
		m.compare(r, got, asked[i])
	}
}

func (m *model) compare(r *rapid.T, got update.Row, key []byte) {
	want, ok := m.rows[string(key)]
	if !bytes.Equal(got.Key, m.full(key)) || string(got.Value) != want.value || got.Version != want.version || (got.Value == nil) == ok {
		r.Fatalf("row %q: got %+v, want %+v", key, got, want)
	}
}

func (m *model) scan(r *rapid.T, t testing.TB, s update.Store) {
	from, to := m.key(r, "from"), m.key(r, "to")
	limit := rapid.IntRange(1, 5).Draw(r, "limit")
	var want []string
	for key := range m.rows {
		if key >= string(from) && key < string(to) {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	want = want[:min(limit, len(want))]
	rows, err := s.Scan(t.Context(), m.full(from), m.full(to), limit)
	if err != nil || len(rows) != len(want) {
		r.Fatalf("Scan: %d rows, %v, want %q", len(rows), err, want)
	}
	for i, key := range want {
		m.compare(r, rows[i], []byte(key))
	}
}

func (m *model) commit(r *rapid.T, t testing.TB, s update.Store) {
	var conditions []update.Condition
	holds := true
	for _, key := range rapid.SliceOfN(modelKey, 0, 3).Draw(r, "conditions") {
		v := m.rows[string(key)].version
		if rapid.IntRange(0, 9).Draw(r, "spoil") == 0 {
			v, holds = v+1, false
		}
		conditions = append(conditions, update.Condition{Key: m.full(key), Version: v})
	}
	var writes []update.Write
	next := map[string]cell{}
	for _, key := range rapid.SliceOfNDistinct(modelKey, 0, 4, func(k []byte) string { return string(k) }).Draw(r, "writes") {
		w := update.Write{Key: m.full(key)}
		if rapid.IntRange(0, 2).Draw(r, "delete") > 0 {
			w.Value = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(r, "value")...)
		}
		writes = append(writes, w)
		next[string(key)] = cell{value: string(w.Value)}
	}
	v, err := s.Commit(t.Context(), conditions, writes)
	if !holds {
		if !errors.Is(err, update.ErrConflict) {
			r.Fatalf("Commit: %v, want ErrConflict", err)
		}
		return
	}
	if err != nil {
		r.Fatalf("Commit: %v", err)
	}
	if len(writes) > 0 && (v == 0 || m.given[v]) {
		r.Fatalf("Commit returned version %d, zero or given out before", v)
	}
	m.given[v] = true
	for i, w := range writes {
		key := string(writes[i].Key[len(m.prefix):])
		if w.Value == nil {
			delete(m.rows, key)
		} else {
			m.rows[key] = cell{next[key].value, v}
		}
	}
}
