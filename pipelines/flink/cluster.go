package flink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Cluster is a Flink cluster as its REST interface shows it. The job server tells less than the truth of a job, and its Cancel does
// not reach it; Flink's own interface does both.
type Cluster struct {
	// URL of the REST interface, for example http://127.0.0.1:8081.
	URL string
	// Client asks; default http.DefaultClient.
	Client *http.Client
}

// ClusterJob is a job as Flink knows it.
type ClusterJob struct {
	ID    string `json:"jid"`
	Name  string `json:"name"`
	State string `json:"state"` // RUNNING, RESTARTING, CANCELED, FINISHED, FAILED and others
	// Start is when the job was submitted, in epoch milliseconds.
	Start int64 `json:"start-time"`
}

// Ended reports whether the job will never run again.
func (j ClusterJob) Ended() bool {
	return j.State == "CANCELED" || j.State == "FINISHED" || j.State == "FAILED"
}

// TaskManagers returns how many task managers have registered.
func (c Cluster) TaskManagers(ctx context.Context) (int, error) {
	var answer struct {
		TaskManagers int `json:"taskmanagers"`
	}
	err := c.ask(ctx, http.MethodGet, "/overview", &answer)
	return answer.TaskManagers, err
}

// Jobs returns all jobs that the cluster remembers.
func (c Cluster) Jobs(ctx context.Context) ([]ClusterJob, error) {
	var answer struct {
		Jobs []ClusterJob `json:"jobs"`
	}
	err := c.ask(ctx, http.MethodGet, "/jobs/overview", &answer)
	return answer.Jobs, err
}

// ErrNoJob is wrapped by the error about a job that the cluster does not run.
var ErrNoJob = errors.New("no such job runs")

// Cancel ends the jobs of a name and waits until they have ended. What they were at is done again by the next job on the same group
// and store.
func (c Cluster) Cancel(ctx context.Context, name string) error {
	asked := false
	for {
		jobs, err := c.Jobs(ctx)
		if err != nil {
			return err
		}
		running := false
		for _, j := range jobs {
			if j.Name != name || j.Ended() {
				continue
			}
			running = true
			if !asked {
				if err := c.ask(ctx, http.MethodPatch, "/jobs/"+j.ID+"?mode=cancel", nil); err != nil {
					return err
				}
			}
		}
		switch {
		case running:
		case asked:
			return nil
		default:
			return fmt.Errorf("flink: %q: %w", name, ErrNoJob)
		}
		asked = true
		select {
		case <-ctx.Done():
			return fmt.Errorf("flink: %q was cancelled, but goes on: %w", name, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c Cluster) ask(ctx context.Context, method, path string, answer any) error {
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("flink: cluster: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("flink: cluster: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("flink: cluster: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("flink: cluster: %s %s: %s: %.200s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("flink: cluster: %s %s: %w", method, path, err)
	}
	return nil
}
