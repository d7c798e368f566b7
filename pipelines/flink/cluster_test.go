package flink_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/braidhq/braid/pipelines/flink"
)

// rest is Flink's REST interface with two jobs, which take a while to end.
type rest struct {
	mu        sync.Mutex
	cancelled []string
	looks     int // until a cancelled job has ended; negative: never
}

// ServeHTTP answers as Flink does.
func (f *rest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/overview":
		w.Write([]byte(`{"taskmanagers":3,"slots-total":6,"flink-version":"1.19.0"}`))
	case r.Method == http.MethodGet && r.URL.Path == "/jobs/overview":
		state := "RUNNING"
		if len(f.cancelled) > 0 {
			state = "CANCELLING"
			if f.looks--; f.looks == 0 {
				state = "CANCELED"
			}
		}
		json.NewEncoder(w).Encode(map[string]any{"jobs": []flink.ClusterJob{
			{ID: "0", Name: "shop", State: "FAILED"}, {ID: "1", Name: "shop", State: state, Start: 17}, {ID: "2", Name: "other", State: "RUNNING"},
		}})
	case r.Method == http.MethodPatch && r.URL.Query().Get("mode") == "cancel":
		f.cancelled = append(f.cancelled, r.URL.Path)
		w.WriteHeader(http.StatusAccepted)
	default:
		http.Error(w, "what?", http.StatusNotFound)
	}
}

func startREST(t *testing.T, looks int) (*rest, flink.Cluster) {
	t.Helper()
	f := &rest{looks: looks}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, flink.Cluster{URL: server.URL + "/", Client: server.Client()}
}

// A job is cancelled once, by its name, and Cancel returns when it has ended; the others go on.
func TestCancel(t *testing.T) {
	f, c := startREST(t, 3)
	if n, err := c.TaskManagers(t.Context()); n != 3 || err != nil {
		t.Errorf("%d task managers, %v", n, err)
	}
	if err := c.Cancel(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if len(f.cancelled) != 1 || f.cancelled[0] != "/jobs/1" || f.looks != 0 {
		t.Errorf("cancelled %v, %d looks too few", f.cancelled, f.looks)
	}
	if jobs, err := c.Jobs(t.Context()); err != nil || len(jobs) != 3 || jobs[1].Start != 17 {
		t.Errorf("%v, %v", jobs, err)
	}
	if err := c.Cancel(t.Context(), "nobody's"); !errors.Is(err, flink.ErrNoJob) {
		t.Errorf("error %v", err)
	}
}

func TestCancelFails(t *testing.T) {
	_, c := startREST(t, -1)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Cancel(ctx, "shop"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a job that goes on: error %v", err)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if err := (flink.Cluster{URL: server.URL}).Cancel(t.Context(), "shop"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("no Flink: error %v", err)
	}
	if err := (flink.Cluster{URL: "http://127.0.0.1:1"}).Cancel(t.Context(), "shop"); err == nil {
		t.Error("nobody listens, and no error")
	}
}
