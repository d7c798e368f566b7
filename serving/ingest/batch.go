package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/transforms/event"
)

// Producer is what ingest needs of a Kafka client; *kgo.Client has it. The promise is called once per record, and at once with
// kgo.ErrMaxBuffered when the client's buffer is full.
type Producer interface {
	TryProduce(ctx context.Context, record *kgo.Record, promise func(*kgo.Record, error))
}

// maxBatchBytes is the largest batch NewProducer makes; topics must take it (topics.Options.MaxRecordBytes).
const maxBatchBytes = 2 << 20

// deliveryTimeout is how long a record may wait for the broker before it is given up.
const deliveryTimeout = 10 * time.Second

// NewProducer returns a client made for Handlers: it waits about 2 ms to make batches, is acknowledged by all replicas, keeps bounded
// buffers and gives a record up after 10 seconds. The options name the cluster.
func NewProducer(options ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ClientID("braid-ingest"),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(2 * time.Millisecond),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MaxBufferedRecords(500_000),
		kgo.MaxBufferedBytes(128 << 20),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.AllowIdempotentProduceCancellation(), // the sender was told 503 by then and sends it again; event IDs find duplicates
		kgo.DisableClientMetrics(),
	}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return client, nil
}

// Result is what became of one event.
type Result struct {
	EventID  string       `json:"event_id,omitempty"`
	Accepted bool         `json:"accepted"`
	Error    *ResultError `json:"error,omitempty"`
}

// ResultError says why an event was not accepted.
type ResultError struct {
	Code   string `json:"code"` // not_an_object, too_large, unavailable
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"` // where in the request, "events[3]"
}

// codeUnavailable marks events that may be sent again as they are.
const codeUnavailable = "unavailable"

// batch is the events of one request on their way.
type batch struct {
	mu      sync.Mutex
	results []Result
	records []*kgo.Record // nil where the event was refused
	left    int
	settled chan struct{} // closed when the broker has answered for every record
	failure error         // the first one that was the broker's
}

// records makes the Kafka records of a request.
func (h *Handler) records(table string, events []gjson.Result) *batch {
	now := h.config.Now().UnixMilli()
	received := strconv.AppendInt(nil, now, 10)
	b := &batch{results: make([]Result, len(events)), records: make([]*kgo.Record, len(events)), settled: make(chan struct{})}
	for i, raw := range events {
		if !raw.IsObject() {
			b.results[i].Error = refused("not_an_object", "an event must be a JSON object", i)
			continue
		}
		s := stamp(raw, table, now, i)
		b.results[i].EventID = s.id
		if len(s.value) > h.config.EventBytes {
			b.results[i].Error = refused("too_large", fmt.Sprintf("an event may have %d bytes, this one has %d", h.config.EventBytes, len(s.value)), i)
			continue
		}
		b.records[i] = &kgo.Record{
			Topic: h.config.Topic, Key: recordKey(h.config.Route(table, s.value)), Value: s.value,
			Headers: []kgo.RecordHeader{
				{Key: event.HeaderReceived, Value: received},
				{Key: event.HeaderSource, Value: []byte(h.config.Source)},
				{Key: event.HeaderSeq, Value: strconv.AppendUint(nil, s.seq, 10)},
			},
		}
		b.left++
	}
	return b
}

// recordKey leaves events without an identifier without a key: any partition will do for them.
func recordKey(identifier string) []byte {
	if identifier == "" {
		return nil
	}
	return []byte(identifier)
}

func refused(code, detail string, index int) *ResultError {
	return &ResultError{Code: code, Detail: detail, Field: "events[" + strconv.Itoa(index) + "]"}
}

// send produces the records. settled is called when the client has let go of all of them, be it long after the request has ended.
func (h *Handler) send(b *batch, settled func()) {
	if b.left == 0 {
		settled()
		close(b.settled)
		return
	}
	for i, record := range b.records {
		if record == nil {
			continue
		}
		h.producer.TryProduce(context.Background(), record, func(_ *kgo.Record, err error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.settle(i, err)
			if b.left--; b.left == 0 {
				settled()
				close(b.settled)
			}
		})
	}
}

func (b *batch) settle(i int, err error) {
	switch {
	case err == nil:
		b.results[i].Accepted, b.results[i].Error = true, nil
	case errors.Is(err, kerr.MessageTooLarge):
		b.results[i].Error = refused("too_large", "the broker takes no event of this size", i)
	default:
		b.results[i].Error = refused(codeUnavailable, "the broker has not confirmed this event; send it again with the same event_id", i)
		if b.failure == nil {
			b.failure = err
		}
	}
}

var errNoAnswer = errors.New("no answer from the broker in time")

// outcome waits for the broker and returns the results as they are then.
func (b *batch) outcome(timeout time.Duration) ([]Result, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-b.settled:
		return b.results, b.failure
	case <-timer.C:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.results {
		if r := &b.results[i]; !r.Accepted && r.Error == nil {
			b.settle(i, errNoAnswer)
		}
	}
	return append([]Result(nil), b.results...), b.failure // late answers may still change the original
}

// answer waits for the broker and tells the client.
func (h *Handler) answer(w http.ResponseWriter, table string, b *batch) int {
	results, failure := b.outcome(h.config.Timeout)
	h.metrics.count(table, results)
	body := struct {
		*problem.Details
		Results []Result `json:"results"`
	}{Results: results}
	status, contentType := http.StatusOK, "application/json"
	if failure != nil {
		h.config.Logger.Warn("ingest: events not confirmed by the broker", "table", table, "error", failure)
		details := problem.New(http.StatusServiceUnavailable, codeUnavailable, "the broker has not confirmed all events; send them again with the same event_id")
		if errors.Is(failure, kgo.ErrMaxBuffered) {
			details = errBusy
		}
		body.Details, status, contentType = &details, details.Status, problem.ContentType
		problem.RetryAfter(w, retryAfter)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return h.refuse(w, problem.New(http.StatusInternalServerError, "internal", "the answer could not be written"))
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
	return status
}
