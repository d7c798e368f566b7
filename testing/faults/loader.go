package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/braidhq/braid/testing/shop"
)

// client keeps connections for as many workers as a test may want.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

// Loader posts what people do, from several workers at once. A request that was not acknowledged is sent again as it was, with the
// same event IDs, until it is; so what the people did and what was acknowledged is the same once Stop has returned.
type Loader struct {
	workers sync.WaitGroup
	stop    context.CancelFunc
	address atomic.Pointer[string]

	mu     sync.Mutex
	people *shop.People
	batch  int
	err    error

	acknowledged atomic.Int64
	repeated     atomic.Int64
	refused      atomic.Int64
}

// StartLoader starts workers that post batches. They wait until Target says where to.
func StartLoader(people *shop.People, workers, batch int) *Loader {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Loader{people: people, batch: batch, stop: cancel}
	for range workers {
		l.workers.Go(func() {
			for ctx.Err() == nil {
				if err := l.work(); err != nil {
					l.fail(err)
					return
				}
			}
		})
	}
	return l
}

// Target says where events go from now on.
func (l *Loader) Target(p *Process) { l.address.Store(&p.Endpoints.HTTP) }

// Acknowledged returns how many events were acknowledged so far.
func (l *Loader) Acknowledged() int { return int(l.acknowledged.Load()) }

// Repeated returns how many requests were sent more than once.
func (l *Loader) Repeated() int { return int(l.repeated.Load()) }

// Refused returns how many answers were 503.
func (l *Loader) Refused() int { return int(l.refused.Load()) }

// Stop lets the workers finish what they have begun, which needs a process that takes it, and returns what went wrong.
func (l *Loader) Stop() error {
	l.stop()
	l.workers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Loader) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, err)
}

// work takes a batch of events and posts it, table by table.
func (l *Loader) work() error {
	bodies := map[string]*bytes.Buffer{}
	count := map[string]int{}
	l.mu.Lock()
	for range l.batch {
		e := l.people.Next()
		b := bodies[e.Table]
		if b == nil {
			b = bytes.NewBufferString(`{"events":[`)
			bodies[e.Table] = b
		} else {
			b.WriteByte(',')
		}
		b.Write(e.Value)
		count[e.Table]++
	}
	l.mu.Unlock()
	for table, body := range bodies {
		body.WriteString(`]}`)
		if err := l.post(table, body.Bytes()); err != nil {
			return err
		}
		l.acknowledged.Add(int64(count[table]))
	}
	return nil
}

// post sends a request until it is acknowledged.
func (l *Loader) post(table string, body []byte) error {
	for start, tries := time.Now(), 0; ; tries++ {
		if tries == 1 {
			l.repeated.Add(1)
		}
		err := l.try(table, body)
		var final finalError
		if err == nil || errors.As(err, &final) {
			return err
		}
		if time.Since(start) > 2*Patience {
			return fmt.Errorf("no acknowledgement in %v: %w", 2*Patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// finalError is an answer that no repetition changes.
type finalError struct{ text string }

func (e finalError) Error() string { return e.text }

var errNoTarget = errors.New("there is nowhere to send to yet")

func (l *Loader) try(table string, body []byte) error {
	address := l.address.Load()
	if address == nil {
		return errNoTarget
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := Post(ctx, *address, table, body)
	switch {
	case err != nil:
		return err
	case answer.Status == http.StatusOK:
		for _, r := range answer.Results {
			if !r.Accepted {
				return finalError{fmt.Sprintf("an event was refused: %+v", r)}
			}
		}
		return nil
	case answer.Status == http.StatusServiceUnavailable || answer.Status == http.StatusTooManyRequests:
		l.refused.Add(1)
		if answer.RetryAfter == "" {
			return finalError{fmt.Sprintf("answer %d without Retry-After", answer.Status)}
		}
		return fmt.Errorf("%d %s", answer.Status, answer.Body)
	}
	return finalError{fmt.Sprintf("%d %s", answer.Status, answer.Body)}
}

// Answer is what ingest answered.
type Answer struct {
	Status     int
	RetryAfter string
	Body       string
	Results    []struct {
		EventID  string `json:"event_id"`
		Accepted bool   `json:"accepted"`
		Error    *struct {
			Code string `json:"code"`
		} `json:"error"`
	}
}

// Post sends one request to POST /v1/events/{table} at an address.
func Post(ctx context.Context, address, table string, body []byte, headers ...string) (Answer, error) {
	var answer Answer
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v1/events/"+table, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, err
	}
	answer.Status, answer.RetryAfter, answer.Body = response.StatusCode, response.Header.Get("Retry-After"), string(text)
	if response.StatusCode != http.StatusOK {
		return answer, nil
	}
	return answer, json.Unmarshal(text, &answer)
}
