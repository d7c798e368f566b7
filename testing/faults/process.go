package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/braidhq/braid/cmd/deployment"
)

// Process is one life of "braid run", or of another command that stays, on a place.
type Process struct {
	Endpoints deployment.Endpoints // valid once Reachable or Ready returned

	t     testing.TB
	place *Place
	cmd   *exec.Cmd
	log   logBuffer
	ended chan struct{}
}

// logBuffer collects what a process writes while it is being read.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Start starts "braid run" and returns at once. What still runs at the end of the test is killed; the log of a failed test's last
// process is shown.
func (p *Place) Start(args ...string) *Process {
	p.t.Helper()
	return p.StartCommand(append([]string{"run"}, args...)...)
}

// StartCommand is Start for another command than run.
func (p *Place) StartCommand(args ...string) *Process {
	p.t.Helper()
	process := &Process{t: p.t, place: p, cmd: p.command(args...), ended: make(chan struct{})}
	process.cmd.Stdout, process.cmd.Stderr = &process.log, &process.log
	if err := process.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		process.cmd.Wait()
		close(process.ended)
	}()
	p.t.Cleanup(func() {
		running := process.Running()
		process.Kill()
		if p.t.Failed() && running {
			p.t.Logf("log of process %d:\n%s", process.cmd.Process.Pid, process.tail())
		}
	})
	return process
}

func (p *Process) tail() string {
	text := p.Log()
	return text[max(0, len(text)-8000):]
}

// Log returns what the process has written so far.
func (p *Process) Log() string { return p.log.String() }

// ID returns the process ID.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Reachable waits until the process has published where it can be reached.
func (p *Process) Reachable() *Process {
	p.t.Helper()
	Await(p.t, "endpoints of braid", func(context.Context) error {
		if !p.Running() {
			p.t.Fatalf("braid ended with code %d:\n%s", p.cmd.ProcessState.ExitCode(), p.tail())
		}
		return p.find()
	})
	return p
}

var errNotPublished = errors.New("not published yet")

func (p *Process) find() error {
	e, ok, err := (&deployment.Config{Data: p.place.Data}).Published()
	if err != nil {
		return err
	}
	if !ok || e.Process != p.ID() {
		return errNotPublished
	}
	p.Endpoints = e
	return nil
}

// Ready waits until the process says that it is ready.
func (p *Process) Ready() *Process {
	p.t.Helper()
	p.Reachable()
	Await(p.t, "readiness of braid", func(ctx context.Context) error {
		if !p.Running() {
			p.t.Fatalf("braid ended with code %d:\n%s", p.cmd.ProcessState.ExitCode(), p.tail())
		}
		status, body, err := p.Get(ctx, "/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	return p
}

// NotReady waits until the process says that it is not ready, with a text in the answer.
func (p *Process) NotReady(text string) {
	p.t.Helper()
	Await(p.t, "the end of readiness", func(ctx context.Context) error {
		status, body, err := p.Get(ctx, "/readyz")
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(body, text)) {
			err = fmt.Errorf("%d %s, want one with %q", status, body, text)
		}
		return err
	})
}

// Logs waits until the log contains a text.
func (p *Process) Logs(text string) {
	p.t.Helper()
	Await(p.t, "the log", func(context.Context) error {
		if log := p.Log(); !strings.Contains(log, text) {
			return fmt.Errorf("there is no %q in\n%s", text, p.tail())
		}
		return nil
	})
}

// Get asks the process over HTTP.
func (p *Process) Get(ctx context.Context, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Endpoints.HTTP+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// Profile is what GET /v1/profiles says, as far as tests look at it.
type Profile struct {
	ID         string                     `json:"profile_id"`
	Events     int                        `json:"events"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

// Profile asks for a profile; the error tells that there is none.
func (p *Process) Profile(ctx context.Context, key, value string) (Profile, error) {
	var profile Profile
	path := "/v1/profiles/" + key + "/" + value
	status, body, err := p.Get(ctx, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, status, body)
	}
	if err != nil {
		return profile, err
	}
	return profile, json.Unmarshal([]byte(body), &profile)
}

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// Used returns the processor time that the process, and those it started and waited for, have used; it must have ended.
func (p *Process) Used() time.Duration {
	<-p.ended
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Wait waits for the end of the process and returns its exit code.
func (p *Process) Wait() int {
	p.t.Helper()
	Await(p.t, "the end of braid", func(context.Context) error {
		if p.Running() {
			return errors.New("it still runs")
		}
		return nil
	})
	return p.cmd.ProcessState.ExitCode()
}

// Stop ends the process gracefully.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(os.Interrupt)
	if code := p.Wait(); code != 0 {
		p.t.Fatalf("braid ended with code %d:\n%s", code, p.tail())
	}
}
