package update_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/transforms/update"
)

// registered counts what becomes of stores of the scheme counted.
var registered struct{ opened, closed int }

type countedStore struct{ *memory.Store }

func (s countedStore) Close() error {
	registered.closed++
	return s.Store.Close()
}

var errNoDisk = errors.New("no such disk")

func init() {
	update.RegisterStore("counted", func(_ context.Context, u *url.URL) (update.Store, error) {
		if u.Opaque == "broken" {
			return nil, errNoDisk
		}
		registered.opened++
		return countedStore{memory.New()}, nil
	})
}

func TestStoresAreShared(t *testing.T) {
	registered.opened, registered.closed = 0, 0
	open := func(url string) update.Store {
		t.Helper()
		s, err := update.OpenStore(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two, other := open("counted:a"), open("counted:a"), open("counted:b")
	if registered.opened != 2 {
		t.Fatalf("%d stores opened for two URLs", registered.opened)
	}
	if _, err := one.Commit(t.Context(), nil, []update.Write{{Key: []byte("k"), Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[update.Store]string{two: "v", other: ""} {
		if rows, err := s.Get(t.Context(), [][]byte{[]byte("k")}); err != nil || string(rows[0].Value) != want {
			t.Errorf("the row is %q, %v, want %q", rows[0].Value, err, want)
		}
	}
	for i, s := range []update.Store{one, one, other} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if want := i / 2; registered.closed != want {
			t.Fatalf("%d stores closed after %d calls of Close, want %d", registered.closed, i+1, want)
		}
	}
	if _, err := two.Get(t.Context(), nil); err != nil {
		t.Errorf("the share that is left: %v", err)
	}
	if err := two.Close(); err != nil || registered.closed != 2 {
		t.Errorf("%d closed, %v", registered.closed, err)
	}
	again := open("counted:a")
	if registered.opened != 3 {
		t.Error("a store that was closed is not opened again")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStoresThatCannotBeOpened(t *testing.T) {
	for url, want := range map[string]string{
		"nothing://user:secret@host/db": `store "nothing://user:xxxxx@host/db": unknown kind "nothing", known are: counted, memory`,
		"counted:broken":                errNoDisk.Error(),
		"%":                             "store URL: ",
	} {
		if s, err := update.OpenStore(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v; want an error with %q", url, s, err, want)
		}
	}
	if schemes := update.StoreSchemes(); !slices.Contains(schemes, "counted") || !slices.IsSorted(schemes) {
		t.Errorf("schemes %v", schemes)
	}
}
