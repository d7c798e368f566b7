package require_test

import (
	"testing"

	"github.com/braidhq/braid/testing/require"
)

// recorder is a test that notes how it ended.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatalf(string, ...any) { r.end("failed") }
func (r *recorder) Skipf(string, ...any)  { r.end("skipped") }

// end keeps the first ending: a real test would not go on after it.
func (r *recorder) end(how string) {
	if r.ended == "" {
		r.ended = how
	}
}

func TestComponent(t *testing.T) {
	for _, test := range []struct {
		name, required string
		found          bool
		want           string
	}{
		{"found", "all", true, ""},
		{"missing, nothing asked for", "", false, "skipped"},
		{"missing, all asked for", "all", false, "failed"},
		{"missing, asked for among others", "clickhouse,flink", false, "failed"},
		{"missing, others asked for", "clickhouse", false, "skipped"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(require.Variable, test.required)
			r := &recorder{TB: t}
			require.Component(r, "flink", test.found, "install it")
			if r.ended != test.want {
				t.Errorf("the test %s, want %s", r.ended, test.want)
			}
		})
	}
}
