package bench_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/braidhq/braid/cmd/operator/bench"
)

func options(t *testing.T) bench.Options {
	return bench.Options{Events: 3000, People: 300, Rate: 2000, For: -1, Data: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
}

// A small run goes through all that a large one does, and comes to the same profiles in the pipeline and by hand.
func TestRealtime(t *testing.T) {
	o := options(t)
	var out bytes.Buffer
	o.For, o.Bare, o.Out = 500*time.Millisecond, true, &out
	o.Report = filepath.Join(t.TempDir(), "report.json")
	o.CPUProfile, o.MemProfile = filepath.Join(t.TempDir(), "cpu"), filepath.Join(t.TempDir(), "mem")
	report, err := bench.Realtime(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Backlog.Events != 3000 || report.Bare.Events != 3000 || report.Paced.Events != 1000 || !report.Passed {
		t.Errorf("backlog of %d events, %d by hand, %d paced, passed: %v", report.Backlog.Events, report.Bare.Events, report.Paced.Events, report.Passed)
	}
	if report.Backlog.Profiles < 300 || report.Backlog.Profiles != report.Bare.Profiles {
		t.Errorf("%d profiles, %d by hand", report.Backlog.Profiles, report.Bare.Profiles)
	}
	if report.Backlog.EventsPerSecond <= 0 || report.Paced.LatencyMS.P50 <= 0 || report.Paced.IntendedMS.Max < report.Paced.IntendedMS.P50 || len(report.Paced.Samples) < 2 {
		t.Errorf("figures are missing: %+v, %+v", report.Backlog, report.Paced)
	}
	for _, file := range []string{o.CPUProfile, o.MemProfile} {
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("profile %s: %v, %v", file, info, err)
		}
	}
	var saved bench.Report
	if text, err := os.ReadFile(o.Report); err != nil || json.Unmarshal(text, &saved) != nil || saved.Backlog == nil || *saved.Backlog != *report.Backlog {
		t.Errorf("the file holds %+v, %v", saved.Backlog, err)
	}
	for _, line := range []string{"machine ", "backlog ", "paced ", "by hand "} {
		if !strings.Contains(out.String(), "\n"+line) {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*bench.Options){
		"negative":            func(o *bench.Options) { o.Events = -1 },
		"far too fast":        func(o *bench.Options) { o.Rate = 1_000_001 },
		"directory not empty": func(o *bench.Options) { o.Data = filepath.Dir(o.Data) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			change(&o)
			if report, err := bench.Realtime(t.Context(), o); err == nil || report.Passed {
				t.Errorf("it ran: %+v", report)
			}
		})
	}
}
