// Package task is the HTTP side of work that takes long, such as a batch run: a request begins it and is answered at once; GET
// /v1/tasks/{id} says how far it is, and in the end what came of it.
package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/braidhq/braid/serving/problem"
)

// PatternGet is where Board.Get belongs in a http.ServeMux.
const PatternGet = "GET /v1/tasks/{id}"

// kept is how many tasks that ended are remembered.
const kept = 100

// Work does a task. It tells progress, and returns what came of it; both are written as JSON.
type Work func(ctx context.Context, progress func(any)) (any, error)

// Begun is the answer to a request that begins a task.
type Begun struct {
	Task string `json:"task"`
}

// Status is how a task stands.
type Status struct {
	Task     string `json:"task"`
	Name     string `json:"name"`
	Running  bool   `json:"running"`
	Progress any    `json:"progress,omitempty"`
	Result   any    `json:"result,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Board holds the tasks of a process. It is safe for concurrent use.
type Board struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	next  int
	tasks map[string]*Status
	order []string
	group sync.WaitGroup
	ended bool
}

// NewBoard returns an empty board.
func NewBoard() *Board {
	b := &Board{tasks: map[string]*Status{}}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// Close ends all tasks and waits until they have.
func (b *Board) Close() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.cancel()
	b.group.Wait()
}

// errEnded says that no task begins any more.
var errEnded = errors.New("the node is stopping")

// Begin begins a task and returns its ID.
func (b *Board) Begin(name string, work Work) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return "", errEnded
	}
	b.next++
	s := &Status{Task: strconv.Itoa(b.next), Name: name, Running: true}
	b.tasks[s.Task], b.order = s, append(b.order, s.Task)
	for len(b.order) > kept && !b.tasks[b.order[0]].Running {
		delete(b.tasks, b.order[0])
		b.order = slices.Delete(b.order, 0, 1)
	}
	b.group.Add(1)
	go func() {
		defer b.group.Done()
		result, err := work(b.ctx, func(p any) {
			b.mu.Lock()
			defer b.mu.Unlock()
			s.Progress = p
		})
		b.mu.Lock()
		defer b.mu.Unlock()
		if s.Running, s.Result = false, result; err != nil {
			s.Error = err.Error()
		}
	}()
	return s.Task, nil
}

// Get returns the handler of PatternGet.
func (b *Board) Get() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		s, ok := b.tasks[r.PathValue("id")]
		var body []byte
		var err error
		if ok {
			body, err = json.Marshal(s)
		}
		b.mu.Unlock()
		switch {
		case !ok:
			problem.New(http.StatusNotFound, "not_found", "there is no such task, or it ended long ago").Write(w)
		case err != nil:
			problem.New(http.StatusInternalServerError, "internal", err.Error()).Write(w)
		default:
			write(w, http.StatusOK, body)
		}
	})
}

// maxBody is the size of a request that begins a task.
const maxBody = 16 << 10

// Handler returns a handler that begins a task for each request, whose body is read into an Options.
func Handler[Options any](b *Board, name string, work func(Options) (Work, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o Options
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil && !errors.Is(err, io.EOF) {
			problem.New(http.StatusBadRequest, "bad_body", fmt.Sprintf("the body is no JSON object of options: %v", err)).Write(w)
			return
		}
		do, err := work(o)
		if err != nil {
			problem.New(http.StatusConflict, "unavailable", err.Error()).Write(w)
			return
		}
		id, err := b.Begin(name, do)
		if err != nil {
			problem.New(http.StatusServiceUnavailable, "stopping", err.Error()).Write(w)
			return
		}
		body, _ := json.Marshal(Begun{id}) // a text: cannot fail
		write(w, http.StatusAccepted, body)
	})
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
