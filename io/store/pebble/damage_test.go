package pebble_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/io/store/storetest"
)

// TestDamagedFiles overwrites, cuts off and removes one file after another of a store at rest. Whatever that does, it ends in an
// error that names the directory or in a store that answers, never in a panic or the end of the process.
func TestDamagedFiles(t *testing.T) {
	whole := t.TempDir()
	s := open(t, whole, small(pebble.Process))
	for range 150 { // enough for tables beside the log
		if _, err := (storetest.Ledger{}).Append(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []struct {
		name string
		do   func(name string, content []byte) error
	}{
		{"overwritten", func(name string, content []byte) error {
			for i := len(content) / 3; i < len(content)*2/3; i++ {
				content[i] ^= 0x5a
			}
			return os.WriteFile(name, content, 0o600)
		}},
		{"cut off", func(name string, content []byte) error { return os.WriteFile(name, content[:len(content)/2], 0o600) }},
		{"removed", func(name string, _ []byte) error { return os.Remove(name) }},
	} {
		for _, file := range files {
			t.Run(damage.name+"/"+file.Name(), func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				name := filepath.Join(dir, file.Name())
				content, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := damage.do(name, content); err != nil {
					t.Fatal(err)
				}
				s, err := pebble.Open(dir, small(pebble.Process))
				if err == nil {
					_, err = storetest.Ledger{}.Append(t.Context(), s)
					_, _ = s.Scan(t.Context(), nil, nil, 1000)
					_ = s.Close()
				}
				if err != nil && !strings.Contains(err.Error(), dir) {
					t.Errorf("the error does not name the directory: %v", err)
				}
			})
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("pebble:/var/lib/braid?durability=fsync&memtable=64MiB&cache=1GB")
	f.Add("pebble:a%20b?cache=-1")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		if dir, _, err := pebble.ParseURL(u); (err == nil) != (dir != "") {
			t.Errorf("directory %q, %v", dir, err)
		}
	})
}
