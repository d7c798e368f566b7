package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/testing/faults"
	"github.com/braidhq/braid/testing/require"
	"github.com/braidhq/braid/transforms/update"
)

// witnesses are people whose events are all known: whoever asks for one, at any moment, must be told so many.
type witnesses struct {
	mu      sync.Mutex
	process *faults.Process
	asked   int
	wrong   []string
}

const (
	witnessed  = 20
	eventsEach = 7
)

func witness(i int) string { return fmt.Sprint(8_000_000_000 + i) }

// send sends their events: anonymous ones, then a log-in, then more as the customer.
func (w *witnesses) send(t *testing.T, process *faults.Process) {
	t.Helper()
	for i := range witnessed {
		cookie := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
		post := func(table, ids string, n int) {
			var events []string
			for e := range n {
				events = append(events, fmt.Sprintf(`{"event_id":"w%d-%s-%d","identifiers":{%s},"properties":{"type":"product","category":"c%d"}}`, i, table+fmt.Sprint(len(ids)), e, ids, e))
			}
			answer, err := faults.Post(t.Context(), process.Endpoints.HTTP, table, []byte(`{"events":[`+strings.Join(events, ",")+`]}`))
			if err != nil || answer.Status != http.StatusOK {
				t.Fatal(answer, err)
			}
		}
		post("page_view", fmt.Sprintf(`"anonymous_id":%q`, cookie), 3)
		post("login", fmt.Sprintf(`"anonymous_id":%q,"user_id":%q`, cookie, witness(i)), 1)
		post("page_view", fmt.Sprintf(`"user_id":%q`, witness(i)), 3)
	}
	for i := range witnessed {
		faults.Await(t, "a witness", func(ctx context.Context) error {
			p, err := process.Profile(ctx, "customer_id", witness(i))
			if err == nil && p.Events != eventsEach {
				err = fmt.Errorf("%d events", p.Events)
			}
			return err
		})
	}
}

// watch asks for witnesses until the context ends.
func (w *witnesses) watch(ctx context.Context) {
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for ctx.Err() == nil {
		w.mu.Lock()
		process := w.process
		w.mu.Unlock()
		if process == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		who := witness(random.IntN(witnessed))
		p, err := process.Profile(ctx, "customer_id", who)
		if err != nil { // it was killed, or is starting
			if process.Running() && ctx.Err() == nil && !strings.Contains(err.Error(), "connect") && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
				w.note("%s: %v", who, err)
			}
			continue
		}
		w.mu.Lock()
		w.asked++
		w.mu.Unlock()
		if views := string(p.Attributes["views"]); p.Events != eventsEach || views != "6" {
			w.note("%s has %d events and %s views", who, p.Events, views)
		}
	}
}

func (w *witnesses) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *witnesses) of(p *faults.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.process = p
}

// batchRuns has a process do one batch run after the other until the context ends, and counts them.
func batchRuns(ctx context.Context, process *faults.Process, done, failed *atomic.Int64) {
	for ctx.Err() == nil && process.Running() {
		answer, err := post(ctx, process, "/v1/batch/runs", "{}")
		if err != nil {
			continue
		}
		var begun struct{ Task string }
		if json.Unmarshal([]byte(answer), &begun) != nil || begun.Task == "" {
			continue
		}
		for ctx.Err() == nil && process.Running() {
			_, body, err := process.Get(ctx, "/v1/tasks/"+begun.Task)
			var s struct {
				Running bool
				Error   string
			}
			if err != nil || json.Unmarshal([]byte(body), &s) != nil {
				break
			}
			if !s.Running {
				if s.Error == "" {
					done.Add(1)
				} else {
					failed.Add(1)
				}
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func post(ctx context.Context, process *faults.Process, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+process.Endpoints.HTTP+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// TestKillDuringBatchRuns kills "braid run", and with it ClickHouse, at random moments while batch runs follow one another and events come
// in. At every moment those who ask are told the whole truth; in the end everything counts once, and live profiles are what the archive
// adds up to.
func TestKillDuringBatchRuns(t *testing.T) {
	_, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	begin := time.Now()
	place := faults.NewPlace(t, "clickhouse: embedded")
	crowd := people(300)
	load := faults.StartLoader(crowd, 2, 20)
	random := rand.New(rand.NewPCG(rand.Uint64(), 1))
	w := &witnesses{}
	watching, stop := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	var done, failed atomic.Int64
	for round := range *kills {
		process := place.Start().Ready()
		if round == 0 {
			w.send(t, process)
			for range 2 {
				watchers.Go(func() { w.watch(watching) })
			}
		}
		load.Target(process)
		w.of(process)
		working, cancel := context.WithCancel(t.Context())
		var runs sync.WaitGroup
		runs.Go(func() { batchRuns(working, process, &done, &failed) })
		enough, also := load.Acknowledged()+500+random.IntN(3_000), done.Load()+random.Int64N(4)
		for load.Acknowledged() < enough || done.Load() < also {
			time.Sleep(time.Millisecond)
			if !process.Running() {
				t.Fatalf("braid ended; its log:\n%s", process.Log())
			}
		}
		w.of(nil)
		process.Kill()
		cancel()
		runs.Wait()
	}
	process := place.Start().Ready()
	load.Target(process)
	w.of(process)
	for range 3 {
		if code, out, log := place.Run("batch", "run"); code != 0 {
			t.Fatal(code, out, log)
		}
	}
	if err := load.Stop(); err != nil {
		t.Fatal(err)
	}
	process.Applied()
	process.Agrees(crowd)
	code, out, log := place.Run("verify", "--all", "--json")
	var v batch.Verification
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v.Differences != 0 || v.Compared < crowd.Profiles()+witnessed || v.Changed != 0 {
		t.Fatal(code, err, out, log)
	}
	file := filepath.Join(t.TempDir(), "profiles.parquet")
	faults.Await(t, "all profiles in ClickHouse", func(context.Context) error { // they are archived a moment later
		code, out, log := place.Run("export", "profiles", file, "--json")
		var done struct{ Rows int }
		if err := json.Unmarshal([]byte(out), &done); err != nil || code != 0 || done.Rows != v.Profiles {
			return fmt.Errorf("%d %v: %d rows, want %d %s", code, err, done.Rows, v.Profiles, log)
		}
		return nil
	})
	if code, out, log := place.Run("export", "training", filepath.Join(t.TempDir(), "t.csv"), "--label", "viewed", "--horizon", "1s", "--every", "1s", "--json"); code != 0 || !strings.Contains(out, `"label"`) {
		t.Error(code, out, log)
	}
	if code, out, log := place.Run("batch", "run", "--full", "--json"); code != 0 || !strings.Contains(out, `"different": 0`) {
		t.Fatal(code, out, log)
	}
	stop()
	watchers.Wait()
	w.of(nil)
	if len(w.wrong) > 0 {
		t.Fatalf("%d of %d answers were wrong, the first: %s", len(w.wrong), w.asked, w.wrong[0])
	}
	process.Stop()
	pruned, cells := pruned(t, place)
	if pruned == 0 && done.Load() > 6 {
		t.Error("after so many runs nothing was pruned")
	}
	t.Logf("%d of %d cells have let go of what snapshots hold", pruned, cells)
	t.Logf("%d kills, %d batch runs done and %d failed under way, %d events acknowledged, %d answers right, %d profiles compared: %v",
		*kills, done.Load(), failed.Load(), load.Acknowledged(), w.asked, v.Compared, time.Since(begin).Round(time.Second))
}

// pruned counts cells while no process runs.
func pruned(t *testing.T, place *faults.Place) (pruned, cells int) {
	t.Helper()
	for d, err := range update.NewReader(place.Segment().Config(), place.Store()).Documents(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range d.Cells {
			if cells++; c.Pruned {
				pruned++
			}
		}
	}
	return pruned, cells
}
