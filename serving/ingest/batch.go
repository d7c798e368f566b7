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
	Code   string `json:"code"` // not_an_object, too_large, unavailable; with Config.Apply also refused, failed, bad_event, unknown_table
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"` // where in the request, "events[3]"
}

// codeUnavailable marks events that may be sent again as they are.
const codeUnavailable = "unavailable"

// batch is the events of one request on their way.
type batch struct {
	mu      sync.Mutex
	results []Result
	sent    []sent
	waiting []int         // by event: records that the broker has not confirmed
	left    int           // records that the broker has not answered for
	settled chan struct{} // closed when the broker has answered for every record
	failure error         // the first one that was the broker's
}

// sent is a record with the event it was made from.
type sent struct {
	event  int
	record *kgo.Record
}

// records makes the Kafka records of a request.
func (h *Handler) records(table string, events []gjson.Result) *batch {
	now := h.config.Now().UnixMilli()
	b := &batch{results: make([]Result, len(events)), waiting: make([]int, len(events)), settled: make(chan struct{})}
	b.sent = make([]sent, 0, len(events))
	for i, raw := range events {
		if !raw.IsObject() {
			b.refuse(i, &ResultError{Code: "not_an_object", Detail: "an event must be a JSON object"})
			continue
		}
		s := stamp(raw, table, now, i, h.config.Apply != nil)
		b.results[i].EventID = s.id
		if refusal := h.tooLarge(s.value); refusal != nil {
			b.refuse(i, refusal)
			continue
		}
		if h.config.Apply == nil {
			b.add(i, h.record(table, s.value, now, h.config.Source, s.seq))
			continue
		}
		records, refusal := h.apply(table, s, now)
		if refusal != nil {
			b.refuse(i, refusal)
			continue
		}
		b.results[i].Accepted = len(records) == 0 // it was dropped on purpose
		for _, record := range records {
			b.add(i, record)
		}
	}
	return b
}

// tooLarge refuses an event that is.
func (h *Handler) tooLarge(value []byte) *ResultError {
	if len(value) <= h.config.EventBytes {
		return nil
	}
	return &ResultError{Code: "too_large", Detail: fmt.Sprintf("an event may have %d bytes, this one has %d", h.config.EventBytes, len(value))}
}

func (h *Handler) record(table string, value []byte, now int64, source string, seq uint64) *kgo.Record {
	if h.config.Conceal != nil {
		value = h.config.Conceal(table, value)
	}
	return &kgo.Record{
		Topic: h.config.Topic, Key: recordKey(h.config.Route(table, value)), Value: value,
		Headers: []kgo.RecordHeader{
			{Key: event.HeaderReceived, Value: strconv.AppendInt(nil, now, 10)},
			{Key: event.HeaderSource, Value: []byte(source)},
			{Key: event.HeaderSeq, Value: strconv.AppendUint(nil, seq, 10)},
		},
	}
}

func (b *batch) add(i int, record *kgo.Record) {
	b.sent = append(b.sent, sent{i, record})
	b.waiting[i]++
	b.left++
}

// refuse notes why an event is not accepted.
func (b *batch) refuse(i int, why *ResultError) {
	why.Field = "events[" + strconv.Itoa(i) + "]"
	b.results[i].Accepted, b.results[i].Error = false, why
}

// recordKey leaves events without an identifier without a key: any partition will do for them.
func recordKey(identifier string) []byte {
	if identifier == "" {
		return nil
	}
	return []byte(identifier)
}

// send produces the records. settled is called when the client has let go of all of them, be it long after the request has ended.
func (h *Handler) send(b *batch, settled func()) {
	if b.left == 0 {
		settled()
		close(b.settled)
		return
	}
	for _, s := range b.sent {
		h.producer.TryProduce(context.Background(), s.record, func(_ *kgo.Record, err error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.settle(s.event, err)
			if b.left--; b.left == 0 {
				settled()
				close(b.settled)
			}
		})
	}
}

// settle takes the broker's answer for one record of an event, which is accepted when all of them are confirmed.
func (b *batch) settle(i int, err error) {
	switch {
	case err == nil:
		if b.waiting[i]--; b.waiting[i] == 0 {
			b.results[i].Accepted = true
		}
	case errors.Is(err, kerr.MessageTooLarge):
		b.refuse(i, &ResultError{Code: "too_large", Detail: "the broker takes no event of this size"})
	default:
		b.refuse(i, &ResultError{Code: codeUnavailable, Detail: "the broker has not confirmed this event; send it again with the same event_id"})
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
