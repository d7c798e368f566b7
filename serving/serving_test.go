package serving_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/braidhq/braid/serving"
)

func get(t *testing.T, h http.Handler, path, host string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestListenAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		"":                 true,
		"127.0.0.1:0":      true,
		"127.1.2.3:80":     true,
		"[::1]:80":         true,
		"localhost:80":     true,
		":8080":            false,
		"0.0.0.0:80":       false,
		"[::]:80":          false,
		"192.168.1.1:80":   false,
		"example.test:80":  false,
		"127.0.0.1":        false,
		"localhost.com:80": false,
	} {
		if err := (serving.Config{Listen: address}).Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
	if err := (serving.Config{Listen: ":8080", AllowRemote: true}).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := serving.Listen(serving.Config{Listen: "0.0.0.0:0"}); err == nil {
		t.Error("listened on all interfaces")
	}
}

func TestHealthAndReadiness(t *testing.T) {
	broken := errors.New("broker away")
	var failing error
	h := serving.Handler(serving.Config{Checks: []serving.Check{
		{Name: "kafka", Run: func(context.Context) error { return failing }},
		{Name: "store", Run: func(context.Context) error { return nil }},
	}})
	if w := get(t, h, "/healthz", "localhost"); w.Code != 200 || !strings.Contains(w.Body.String(), "ok") {
		t.Errorf("health: %d %s", w.Code, w.Body)
	}
	for _, tc := range []struct {
		err    error
		status int
		want   string
	}{
		{nil, 200, `{"status":"ready","checks":{"kafka":"ok","store":"ok"}}`},
		{broken, 503, `{"status":"not_ready","checks":{"kafka":"broker away","store":"ok"}}`},
	} {
		failing = tc.err
		w := get(t, h, "/readyz", "localhost")
		if w.Code != tc.status || strings.TrimSpace(w.Body.String()) != tc.want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("readiness: %d %s", w.Code, w.Body)
		}
	}
	if w := get(t, h, "/metrics", "localhost"); w.Code != 404 {
		t.Errorf("metrics without a registry: %d", w.Code)
	}
}

func TestReadinessDoesNotWaitForAHangingCheck(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	h := serving.Handler(serving.Config{Checks: []serving.Check{{Name: "stuck", Run: func(context.Context) error { <-release; return nil }}}})
	if w := get(t, h, "/readyz", "localhost"); w.Code != 503 || !strings.Contains(w.Body.String(), "no answer") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "braid_test_total"})
	registry.MustRegister(counter)
	counter.Add(3)
	h := serving.Handler(serving.Config{Metrics: registry})
	if w := get(t, h, "/metrics", "localhost"); w.Code != 200 || !strings.Contains(w.Body.String(), "braid_test_total 3") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestForeignHostsAreRefusedOnLoopback(t *testing.T) {
	local := serving.Handler(serving.Config{Hosts: []string{"proxy.example"}})
	remote := serving.Handler(serving.Config{Listen: "0.0.0.0:80", AllowRemote: true})
	for host, status := range map[string]int{
		"localhost:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200, "proxy.example": 200, "proxy.example:80": 200,
		"evil.example": 421, "evil.example:8080": 421, "": 421, "127.0.0.1.evil.example": 421,
	} {
		if w := get(t, local, "/healthz", host); w.Code != status {
			t.Errorf("host %q: %d, want %d", host, w.Code, status)
		}
		if w := get(t, remote, "/healthz", host); w.Code != 200 {
			t.Errorf("remote, host %q: %d", host, w.Code)
		}
	}
}

func TestRequestLogLeavesThePathOut(t *testing.T) {
	var log bytes.Buffer
	config := serving.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	h := serving.Handler(config, serving.Route{Pattern: "GET /who/{name}", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	})})
	get(t, h, "/who/secret@x.example", "localhost")
	for _, part := range []string{"status=418", "bytes=15", `pattern="GET /who/{name}"`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %s in %s", part, &log)
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the path is in the log: %s", &log)
	}
}

func TestGracefulEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slow := serving.Route{Pattern: "GET /slow", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		fmt.Fprint(w, "done")
	})}
	server, err := serving.Listen(serving.Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, slow)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	body := make(chan string, 1)
	go func() {
		answer, err := http.Get("http://" + server.Address() + "/slow")
		if err != nil {
			body <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		body <- string(text)
	}()
	<-entered
	stop()
	select {
	case err := <-served:
		t.Fatalf("ended with a request under way: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if got := <-body; got != "done" {
		t.Errorf("answer %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestEndCutsOffWhatTakesTooLong(t *testing.T) {
	entered := make(chan struct{})
	stuck := serving.Route{Pattern: "GET /stuck", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})}
	server, err := serving.Listen(serving.Config{Listen: "127.0.0.1:0", ShutdownTimeout: time.Millisecond, Logger: slog.New(slog.DiscardHandler)}, stuck)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	go http.Get("http://" + server.Address() + "/stuck")
	<-entered
	stop()
	if err := <-served; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(true, server.Address() != ""); diff != "" {
		t.Error(diff)
	}
}
