package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// checkTimeout bounds one readiness check.
const checkTimeout = 2 * time.Second

// Check says whether a part that requests need is there. Its error says what is wrong, and holds no secret: anyone who can reach
// the server can read it.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// healthy answers that the process lives.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, `{"status":"ok"}`)
}

type readinessAnswer struct {
	Status string            `json:"status"` // ready or not_ready
	Checks map[string]string `json:"checks"` // "ok" or what is wrong
}

// readiness runs all checks at once: 200 when each passes, else 503.
func readiness(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		answer := readinessAnswer{Status: "ready", Checks: make(map[string]string, len(checks))}
		status := http.StatusOK
		var mu sync.Mutex
		var running sync.WaitGroup
		for _, check := range checks {
			running.Go(func() {
				err := runCheck(ctx, check)
				mu.Lock()
				defer mu.Unlock()
				answer.Checks[check.Name] = "ok"
				if err != nil {
					answer.Checks[check.Name] = err.Error()
					answer.Status, status = "not_ready", http.StatusServiceUnavailable
				}
			})
		}
		running.Wait()
		body, _ := json.Marshal(answer) // strings only: cannot fail
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		w.Write(append(body, '\n'))
	})
}

// runCheck returns in time even when the check does not.
func runCheck(ctx context.Context, check Check) error {
	done := make(chan error, 1)
	go func() { done <- check.Run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer in %v", checkTimeout)
	}
}
