package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/scenario"
	"github.com/google/go-cmp/cmp"
)

// Scripts that cannot be run are told apart from those that fail, with every mistake in its place. Beside each script stands what is
// said of it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.scenario")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = scenario.Load(filepath.Base(file), data, scenario.Source{
				Read: func(string) ([]byte, error) { return nil, os.ErrNotExist }, MaxRecords: 10_000,
			})
			if err == nil {
				t.Fatal("nothing is wrong with it")
			}
			told := strings.TrimSuffix(file, ".scenario") + ".txt"
			if *rewrite {
				if err := os.WriteFile(told, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(told)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
