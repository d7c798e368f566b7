package update_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/braidhq/braid/transforms/update"
)

// FuzzRows puts anything in the place of a stored row: it is read, or an error says that it cannot be.
func FuzzRows(f *testing.F) {
	for _, kind := range []string{"d", "c", "p", "o", "i"} {
		for _, within := range []int{-1, 0} {
			s := newScene(&testing.T{})
			s.config.CellsWithin = within
			for _, in := range []*update.Input{s.event(0, "user_id:7 cookie:a"), s.event(1, "cookie:a")} {
				if _, err := s.worker.Apply(f.Context(), []*update.Input{in}); err != nil {
					f.Fatal(err)
				}
			}
			rows, err := s.store.Scan(f.Context(), []byte("test/"+kind+"/"), []byte("test/"+kind+"0"), 1)
			if err != nil {
				f.Fatal(err)
			}
			if len(rows) > 0 {
				f.Add(kind, rows[0].Value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind string, value []byte) {
		if len(kind) != 1 || !strings.Contains("dcpoi", kind) {
			return
		}
		s := newScene(t)
		if kind == "c" {
			s.config.CellsWithin = -1
		}
		s.apply(s.event(0, "user_id:7 cookie:a"))
		rows, err := s.store.Scan(t.Context(), []byte("test/"+kind+"/"), []byte("test/"+kind+"0"), 1)
		if err != nil || len(rows) == 0 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		if value == nil {
			value = []byte{}
		}
		if _, err := s.store.Commit(t.Context(), nil, []update.Write{{Key: rows[0].Key, Value: value}}); err != nil {
			t.Fatal(err)
		}
		s.restart()
		_, _ = s.worker.Apply(t.Context(), []*update.Input{s.event(1, "cookie:a")}) // progress may say anything
		_, readErr := update.NewReader(s.config, s.store).Document(t.Context(), profileID("cookie:a"))
		_, progressErr := update.ReadProgress(t.Context(), s.store, "test")
		for _, err := range []error{readErr, progressErr} {
			if err != nil && !errors.Is(err, update.ErrDamaged) && !errors.Is(err, update.ErrFormat) && !errors.Is(err, update.ErrConflict) {
				t.Errorf("%v", err)
			}
		}
	})
}
