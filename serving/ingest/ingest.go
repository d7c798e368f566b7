// Package ingest takes events over HTTP and acknowledges them when the broker has them: POST /v1/events/{table} with
// {"events":[{...},...]} in; records in the topic of events, and one result per event in the answer, out.
//
// An event is any JSON object. What it lacks is added: event_id (a UUIDv7, returned), time (now), and the table from the path always
// wins. Everything else goes on as it came; whether it makes sense is decided by the pipeline, which keeps what does not in the
// topic of rejected events. Only what is no object or is too large is refused here, one by one, in the results. A record carries
// the headers received (this process's clock, set once), source, and seq, the event's place in the request (or its own field seq).
// Nothing a client sends becomes a header, so it cannot write markers.
//
// With Config.Apply each event passes through functions of the company's own on its way. An event that became several has one
// result: it is accepted when all of them are confirmed, also when it became none. They are the events ID, ID/1, ID/2 and so on, so
// that a retry gives the same ones. An error refuses the one event, with its text.
//
// An answer other than 200 means that not all events are certain to have arrived: send the same events again, with the
// same event_id, and duplicates are recognized. 503 answers carry the results too, so that assigned IDs can be kept.
package ingest

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/transforms/event"
)

// Patterns are where the Handler belongs in a http.ServeMux: clients differ in the trailing slash, and many take no redirect.
var Patterns = []string{"POST /v1/events/{table}", "POST /v1/events/{table}/{$}"}

// Config says what is taken in and where it goes.
type Config struct {
	// Topic of events. Required.
	Topic string
	// Table reports whether a table exists. Required.
	Table func(name string) bool
	// Route returns the record key, "key:value" of the event's leading identifier, or "" when it has none. The event is JSON, only lent
	// for the call. Required.
	Route func(table string, event []byte) string
	// Conceal returns an event of a table, as JSON, with what must not be stored raw concealed, after Apply. Default: as it is.
	Conceal func(table string, event []byte) []byte
	// Apply is what events pass through after ID, table and time are known; it is called concurrently. Default: nothing, at no cost.
	Apply ApplyFunc
	// Limits say what Apply is called for: events that Decode accepts. Default event.Limits.
	Limits event.Limits
	// Source is the header that names where events came from. Default "http".
	Source string
	// Events is the largest number of events in one request. Default 500.
	Events int
	// EventBytes is the largest size of one event as stored. Default 1 MiB.
	EventBytes int
	// RequestBytes is the largest size of a request's body, before and after decompression. Default 5 MiB.
	RequestBytes int64
	// BufferBytes bounds the bodies of all requests under way together. Beyond it, answers are 429. Default 64 MiB.
	BufferBytes int64
	// Timeout is how long a request waits for the broker. Default 15 seconds.
	Timeout time.Duration
	// Now is the process's clock. Default time.Now.
	Now func() time.Time
	// Metrics is where the handler registers its metrics. Nil: nowhere.
	Metrics prometheus.Registerer
	// Logger receives failures of the broker. Default slog.Default.
	Logger *slog.Logger
}

// Validate reports the first setting that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Topic == "" || c.Table == nil || c.Route == nil:
		return errors.New("ingest: topic, tables and routing must be given")
	case c.Events < 0 || c.EventBytes < 0 || c.RequestBytes < 0 || c.BufferBytes < 0 || c.Timeout < 0:
		return errors.New("ingest: a limit is negative")
	case c.EventBytes > maxBatchBytes/2:
		return errors.New("ingest: an event may have at most " + strconv.Itoa(maxBatchBytes/2) + " bytes")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Source == "" {
		c.Source = "http"
	}
	if c.Events == 0 {
		c.Events = 500
	}
	if c.EventBytes == 0 {
		c.EventBytes = 1 << 20
	}
	if c.RequestBytes == 0 {
		c.RequestBytes = 5 << 20
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 64 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Handler is the endpoint. It is safe for concurrent use.
type Handler struct {
	config   Config
	producer Producer
	budget   budget
	metrics  metrics
}

// New returns a handler that produces through producer, which others may share.
func New(config Config, producer Producer) (*Handler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	h := &Handler{config: config, producer: producer, metrics: newMetrics()}
	h.budget.left.Store(config.BufferBytes)
	if config.Metrics != nil {
		if err := h.metrics.register(config.Metrics); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now() // a duration for the metrics, not event data
	status := h.serve(w, r)
	h.metrics.seconds.WithLabelValues(strconv.Itoa(status)).Observe(time.Since(begin).Seconds())
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) int {
	table := r.PathValue("table")
	if !h.config.Table(table) {
		return h.refuse(w, problem.New(http.StatusNotFound, "unknown_table", "the segment has no table of this name"))
	}
	share := h.budget.share()
	body, err := h.readBody(w, r, share)
	if err != nil {
		share.release()
		return h.refuse(w, err)
	}
	events, err := decode(body, h.config.Events)
	if err != nil {
		share.release()
		return h.refuse(w, err)
	}
	batch := h.records(table, events)
	h.send(batch, share.release)
	return h.answer(w, table, batch)
}

// retryAfter is what clients are told to wait when the broker or our memory is the bottleneck.
const retryAfter = 2 * time.Second

func (h *Handler) refuse(w http.ResponseWriter, err error) int {
	details, ok := errors.AsType[problem.Details](err)
	if !ok {
		details = problem.New(http.StatusBadRequest, "unreadable_body", err.Error())
	}
	if details.Status == http.StatusTooManyRequests {
		problem.RetryAfter(w, retryAfter)
	}
	details.Write(w)
	return details.Status
}
