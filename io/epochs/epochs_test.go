package epochs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/braidhq/braid/io/epochs"
)

func TestRecordRoundTrip(t *testing.T) {
	for name, tc := range map[string]struct {
		epoch epochs.Epoch
		value string
	}{
		"complete": {
			epochs.Epoch{Epoch: 7, Oldest: 5, Time: 1291190400000, Positions: map[int32]int64{0: 12, 10: 0}},
			`{"v":1,"epoch":7,"oldest":5,"time":1291190400000,"positions":{"0":12,"10":0}}`,
		},
		"begun": {
			epochs.Epoch{Epoch: 7, Oldest: 7, Time: 5},
			`{"v":1,"epoch":7,"oldest":7,"time":5}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			key, value, err := tc.epoch.Record()
			if err != nil {
				t.Fatal(err)
			}
			if string(key) != "7" || string(value) != tc.value {
				t.Errorf("record %s %s, want %s", key, value, tc.value)
			}
			back, err := epochs.Parse(key, value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.epoch, back); diff != "" || back.Complete() != (name == "complete") {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ key, value, want string }{
		"key":             {"x", `{}`, "not a decimal number"},
		"json":            {"1", `{`, "unexpected end"},
		"newer":           {"1", `{"v":2,"epoch":1}`, "newer version"},
		"no version":      {"1", `{"epoch":1}`, "format 0"},
		"other epoch":     {"1", `{"v":1,"epoch":2}`, "says epoch 2"},
		"zero":            {"0", `{"v":1,"epoch":0}`, "says epoch 0"},
		"oldest later":    {"1", `{"v":1,"epoch":1,"oldest":2}`, "oldest epoch in use is 2"},
		"partition":       {"1", `{"v":1,"epoch":1,"positions":{"a":1}}`, `position "a"`},
		"negative offset": {"1", `{"v":1,"epoch":1,"positions":{"0":-1}}`, `position "0": -1`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := epochs.Parse([]byte(tc.key), []byte(tc.value))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("7"), []byte(`{"v":1,"epoch":7,"oldest":5,"time":1,"positions":{"0":12}}`))
	f.Add([]byte("7"), []byte(`{"v":1,"epoch":7}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := epochs.Parse(key, value)
		if err != nil {
			return
		}
		k, v, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		back, err := epochs.Parse(k, v)
		if err != nil {
			t.Fatalf("%s %s: %v", k, v, err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Error(diff)
		}
	})
}
