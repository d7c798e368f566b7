package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/braidhq/braid/transforms/update"
)

func testGet(t *testing.T, opener Opener) {
	s := open(t, opener)
	same(t, "empty store", get(t, s, "a"), []update.Row{absent("a")})
	same(t, "no keys", get(t, s), nil)
	v := commit(t, s, nil, put("b", "1"), put("a", "2"))
	w := commit(t, s, nil, put("c", "3"))
	same(t, "order of the keys asked for", get(t, s, "c", "x", "a", "b", "a"),
		[]update.Row{row("c", "3", w), absent("x"), row("a", "2", v), row("b", "1", v), row("a", "2", v)})
	commit(t, s, nil, remove("a"), remove("never there"))
	same(t, "deleted", get(t, s, "a", "b"), []update.Row{absent("a"), row("b", "1", v)})
	many := make([]string, 2000)
	var want []update.Row
	for i := range many {
		many[i] = fmt.Sprint("many", (i*7919)%2000)
		want = append(want, absent(many[i]))
	}
	same(t, "many absent", get(t, s, many...), want)
}

func testScan(t *testing.T, opener Opener) {
	s := open(t, opener)
	same(t, "empty store", scan(t, s, nil, nil, 10), nil)
	names := []string{"a", "a\x00", "a\x00b", "aa", "b", "b\xff", "b\xff\xff", "c", "\x00", "\xff", "\xff\xff"}
	sorted := []string{"\x00", "a", "a\x00", "a\x00b", "aa", "b", "b\xff", "b\xff\xff", "c", "\xff", "\xff\xff"}
	var writes []update.Write
	for _, name := range names {
		writes = append(writes, put(name, "v"+name))
	}
	v := commit(t, s, nil, writes...)
	all := make([]update.Row, 0, len(sorted))
	for _, name := range sorted {
		all = append(all, row(name, "v"+name, v))
	}
	for _, test := range []struct {
		name     string
		from, to []byte
		limit    int
		want     []update.Row
	}{
		{"all", nil, nil, 100, all},
		{"limit", nil, nil, 3, all[:3]},
		{"limit of one", []byte("b"), nil, 1, all[5:6]},
		{"from is included, to is not", []byte("a"), []byte("b"), 100, all[1:5]},
		{"bounds between rows", []byte("a\x00a"), []byte("bb"), 100, all[3:6]},
		{"no upper bound", []byte("c"), nil, 100, all[8:]},
		{"last row", []byte("\xff\xff"), nil, 100, all[10:]},
		{"behind the last row", []byte("\xff\xff\x00"), nil, 100, nil},
		{"empty range", []byte("b"), []byte("b"), 100, nil},
		{"reversed range", []byte("c"), []byte("a"), 100, nil},
		{"empty upper bound", nil, []byte{}, 100, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			same(t, "Scan", scan(t, s, test.from, test.to, test.limit), test.want)
		})
	}
	w := commit(t, s, nil, remove("a\x00"), remove("c"), put("aab", "new"))
	got := scan(t, s, []byte("a"), []byte("d"), 100)
	same(t, "after changes", got, []update.Row{all[1], all[3], all[4], row("aab", "new", w), all[5], all[6], all[7]})
	if _, err := s.Scan(t.Context(), nil, nil, 0); err == nil {
		t.Error("Scan with limit 0 succeeded")
	}
}

func testEmpty(t *testing.T, opener Opener) {
	s := opener(t)
	v := commit(t, s, []update.Condition{at("e", 0)}, update.Write{Key: []byte("e"), Value: []byte{}}, update.Write{Key: []byte{}, Value: []byte("root")})
	want := []update.Row{row("", "root", v), {Key: []byte("e"), Value: []byte{}, Version: v}}
	same(t, "Get", get(t, s, "", "e"), want)
	same(t, "Scan", scan(t, s, nil, nil, 9), want)
	conflict(t, s, []update.Condition{at("e", 0)}, put("e", "x"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, opener)
	same(t, "Get after opening again", get(t, s, "", "e"), want)
	commit(t, s, []update.Condition{at("e", v)}, remove("e"), remove(""))
	same(t, "Get after delete", get(t, s, "", "e"), []update.Row{absent(""), absent("e")})
}

func testLarge(t *testing.T, opener Opener) {
	s := opener(t)
	rng := rand.NewChaCha8([32]byte{1})
	var writes []update.Write
	var want []update.Row
	for i, size := range []int{1 << 10, 64<<10 + 1, 1 << 20, 5 << 20, 9<<20 + 17} {
		value := make([]byte, size)
		_, _ = rng.Read(value)
		key := bytes.Repeat([]byte{'k', byte('0' + i)}, 1+i*100)
		writes = append(writes, update.Write{Key: key, Value: value})
		want = append(want, update.Row{Key: key, Value: value})
	}
	check := func(s update.Store, v update.Version) {
		t.Helper()
		var all [][]byte
		for i := range want {
			want[i].Version = v
			all = append(all, want[i].Key)
		}
		got, err := s.Get(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		scanned := scan(t, s, nil, nil, 100)
		for i := range want {
			for _, r := range []update.Row{got[i], scanned[i]} {
				if !bytes.Equal(r.Key, want[i].Key) || !bytes.Equal(r.Value, want[i].Value) || r.Version != v {
					t.Fatalf("row of %d bytes came back as %d bytes at version %d, want version %d", len(want[i].Value), len(r.Value), r.Version, v)
				}
			}
		}
	}
	v := commit(t, s, nil, writes...)
	check(s, v)
	v = commit(t, s, []update.Condition{{Key: want[3].Key, Version: v}}, writes...)
	check(s, v)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(open(t, opener), v)
}

func testArguments(t *testing.T, opener Opener) {
	s := open(t, opener)
	if _, err := s.Commit(t.Context(), nil, []update.Write{put("a", "1"), put("b", "2"), put("a", "3")}); err == nil || errors.Is(err, update.ErrConflict) {
		t.Errorf("key written twice: got %v, want an error of its own", err)
	}
	if _, err := s.Commit(t.Context(), nil, []update.Write{put("a", "1"), remove("a")}); err == nil {
		t.Error("key written and deleted in one commit: no error")
	}
	same(t, "nothing was written", get(t, s, "a", "b"), []update.Row{absent("a"), absent("b")})
	if _, err := s.Scan(t.Context(), nil, nil, -1); err == nil {
		t.Error("Scan with limit -1 succeeded")
	}
	if v := commit(t, s, nil); v != 0 {
		t.Errorf("a commit without writes returned version %d", v)
	}
}

func testCancelled(t *testing.T, opener Opener) {
	s := open(t, opener)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, keys("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Scan(ctx, nil, nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan: %v", err)
	}
	if _, err := s.Commit(ctx, nil, []update.Write{put("a", "1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v", err)
	}
	commit(t, s, nil, put("b", "1"))
}

func testClose(t *testing.T, opener Opener) {
	s := opener(t)
	commit(t, s, nil, put("a", "1"))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if _, err := s.Get(t.Context(), keys("a")); err == nil {
		t.Error("Get after Close succeeded")
	}
	if _, err := s.Scan(t.Context(), nil, nil, 1); err == nil {
		t.Error("Scan after Close succeeded")
	}
	if _, err := s.Commit(t.Context(), nil, []update.Write{put("a", "2")}); err == nil {
		t.Error("Commit after Close succeeded")
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func testReopen(t *testing.T, opener Opener) {
	var want []update.Row
	for round := range 5 {
		s := opener(t)
		same(t, "rows after opening again", scan(t, s, nil, nil, 1000), want)
		v := commit(t, s, nil, put(fmt.Sprintf("row%d", round), "x"), put("all", fmt.Sprint(round)))
		want = append(want, row(fmt.Sprintf("row%d", round), "x", v))
		if round == 0 {
			want = append([]update.Row{{}}, want...)
		}
		want[0] = row("all", fmt.Sprint(round), v)
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}
