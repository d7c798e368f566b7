package pebble_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/io/store/storetest"
	"github.com/braidhq/braid/transforms/update"
	"pgregory.net/rapid"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// small makes tables and logs turn over quickly.
func small(d pebble.Durability) pebble.Options {
	return pebble.Options{Durability: d, MemTable: 1 << 20, Cache: 1 << 20, Rows: 1 << 20, Logger: quiet}
}

func open(t testing.TB, dir string, options pebble.Options) *pebble.Store {
	t.Helper()
	s, err := pebble.Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	for _, d := range []pebble.Durability{pebble.Process, pebble.Fsync} {
		t.Run(string(d), func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) storetest.Opener {
				dir := t.TempDir()
				return func(t testing.TB) update.Store { return open(t, dir, small(d)) }
			})
		})
	}
}

// What is remembered of rows is what they are, however often the memory for it is used anew, whatever sizes they take.
func TestRemembered(t *testing.T) {
	s := open(t, t.TempDir(), small(pebble.Process))
	defer s.Close()
	cases := 0
	rapid.Check(t, func(rt *rapid.T) {
		cases++
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		keys := make([][]byte, 40+random.IntN(200))
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "%d/%d", cases, i)
		}
		keys[0] = append(bytes.Repeat([]byte{'k'}, 100_000), keys[0]...)
		want := make([]update.Row, len(keys))
		for range 200 {
			i := random.IntN(len(keys))
			if random.IntN(3) == 0 {
				some := random.Perm(len(keys))[:1+random.IntN(20)]
				asked := make([][]byte, len(some))
				for j, i := range some {
					asked[j] = keys[i]
				}
				rows, err := s.Get(t.Context(), asked)
				if err != nil {
					rt.Fatal(err)
				}
				for j, i := range some {
					if rows[j].Version != want[i].Version || !bytes.Equal(rows[j].Value, want[i].Value) {
						rt.Fatalf("key %d: %d bytes of version %d, want %d of %d", i, len(rows[j].Value), rows[j].Version, len(want[i].Value), want[i].Version)
					}
				}
				continue
			}
			var value []byte
			if random.IntN(10) > 0 {
				value = bytes.Repeat([]byte{byte(random.Uint32())}, random.IntN([]int{30, 300, 3000, 40_000}[random.IntN(4)]))
			}
			v, err := s.Commit(t.Context(), []update.Condition{{Key: keys[i], Version: want[i].Version}}, []update.Write{{Key: keys[i], Value: value}})
			if err != nil {
				rt.Fatal(err)
			}
			if value == nil {
				v = 0
			}
			want[i] = update.Row{Version: v, Value: value}
		}
	})
}

func TestURL(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b", "store")
	raw := (&url.URL{Scheme: "pebble", Opaque: url.PathEscape(dir), RawQuery: "durability=fsync&memtable=2MiB&cache=4MB"}).String()
	s, err := update.OpenStore(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "BRAID-STORE")); err != nil {
		t.Error(err)
	}
}

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url, dir string
		want     string // a part of the error, or "" when it is good
		options  pebble.Options
	}{
		{"pebble:/var/lib/braid", "/var/lib/braid", "", pebble.Options{}},
		{"pebble:///var/lib/braid", "/var/lib/braid", "", pebble.Options{}},
		{"pebble:braid-data/store", "braid-data/store", "", pebble.Options{}},
		{"pebble:a%20b?durability=fsync", "a b", "", pebble.Options{Durability: pebble.Fsync}},
		{"pebble:x?memtable=64MiB&cache=128MiB", "x", "", pebble.Options{MemTable: 64 << 20, Cache: 128 << 20}},
		{"pebble:", "", "pebble:DIRECTORY", pebble.Options{}},
		{"pebble://host/dir", "", "pebble:DIRECTORY", pebble.Options{}},
		{"pebble:x?durability=never", "", `"process" or "fsync"`, pebble.Options{}},
		{"pebble:x?cache=lots", "", "not a size", pebble.Options{}},
		{"pebble:x?memtable=1KB", "", "1 MiB to 1 GiB", pebble.Options{}},
		{"pebble:x?sync=on", "", "unknown; known are durability, memtable, cache", pebble.Options{}},
		{"pebble:x?cache=1MiB&cache=2MiB", "", "more than once", pebble.Options{}},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		dir, options, err := pebble.ParseURL(u)
		switch {
		case test.want != "":
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want an error with %q", test.url, err, test.want)
			}
		case err != nil || dir != test.dir || options != test.options:
			t.Errorf("%s: got %q, %+v, %v", test.url, dir, options, err)
		}
	}
}

func TestLockedDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small(pebble.Process))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, dir + "/../" + filepath.Base(dir), link} {
		_, err := pebble.Open(name, small(pebble.Process))
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("opened twice, as %s: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir, small(pebble.Process)).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedDirectories(t *testing.T) {
	for _, test := range []struct {
		name, file, text, want string
	}{
		{"newer format", "BRAID-STORE", "braid store, format 2\n", "newer braid"},
		{"damaged format", "BRAID-STORE", "something else", "damaged"},
		{"other things in it", "letters.txt", "dear", "is no store"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the lock is given back
				_, err := pebble.Open(dir, small(pebble.Process))
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
					t.Fatalf("got %v, want an error with %q and the directory", err, test.want)
				}
			}
		})
	}
	t.Run("a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pebble.Open(name, small(pebble.Process)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v", err)
		}
	})
}

func TestManyVersions(t *testing.T) {
	// More commits than one reservation of versions holds, with the store opened anew in between.
	dir := t.TempDir()
	seen := update.Version(0)
	for range 3 {
		s := open(t, dir, small(pebble.Process))
		for range 3 {
			v, err := s.Commit(t.Context(), nil, []update.Write{{Key: []byte("a"), Value: []byte("1")}})
			if err != nil || v <= seen {
				t.Fatalf("version %d after %d, %v", v, seen, err)
			}
			seen = v
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, small(pebble.Process))
	for range 70_000 {
		v, err := s.Commit(t.Context(), nil, []update.Write{{Key: []byte("a"), Value: nil}})
		if err != nil || v <= seen {
			t.Fatalf("version %d after %d, %v", v, seen, err)
		}
		seen = v
	}
	if err := errors.Join(s.Close()); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkStore(b *testing.B) {
	for _, d := range []pebble.Durability{pebble.Process, pebble.Fsync} {
		b.Run(string(d), func(b *testing.B) {
			s := open(b, b.TempDir(), pebble.Options{Durability: d, Logger: quiet})
			b.Cleanup(func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			})
			storetest.Benchmark(b, s)
		})
	}
}
