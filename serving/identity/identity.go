// Package identity is the HTTP side of who belongs together: GET /v1/identity/explain?a=KEY:VALUE&b=KEY:VALUE answers why two identifiers
// share a profile or do not; POST /v1/identity/rulings takes a decision about two identifiers into the stream and is acknowledged when
// the broker has it.
package identity

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/update"
)

// Where the handlers belong in a http.ServeMux.
const (
	PatternExplain = "GET /v1/identity/explain"
	PatternRule    = "POST /v1/identity/rulings"
)

// maxBody is the size that a ruling may have, and maxIdentifier the length of an identifier, in bytes.
const (
	maxBody       = 16 << 10
	maxIdentifier = 1024
)

// timeout is how long a ruling waits for the broker.
const timeout = 15 * time.Second

// Explain answers how two identifiers stand to each other, as JSON. An *identity.RefusedError says that one cannot be an identifier.
type Explain func(ctx context.Context, a, b string) ([]byte, error)

// Send sends an event and returns when the broker has it.
type Send func(ctx context.Context, d event.Draft) error

// ExplainHandler returns the handler of PatternExplain.
func ExplainHandler(explain Explain, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, b := r.URL.Query().Get("a"), r.URL.Query().Get("b")
		if a == "" || b == "" || len(a) > maxIdentifier || len(b) > maxIdentifier {
			problem.New(http.StatusBadRequest, "bad_parameter", "a and b are two identifiers, each as key:value of at most 1024 bytes").Write(w)
			return
		}
		answer, err := explain(r.Context(), a, b)
		var refused *identity.RefusedError
		switch {
		case r.Context().Err() != nil: // the client is gone
		case errors.As(err, &refused):
			problem.New(http.StatusBadRequest, "bad_identifier", refused.Error()).Write(w)
		case err != nil:
			logger.Error("identity: explaining failed", "error", err)
			problem.RetryAfter(w, 0)
			problem.New(http.StatusServiceUnavailable, "unavailable", "the profile store did not answer; try again").Write(w)
		default:
			write(w, http.StatusOK, answer)
		}
	})
}

// Ruled is the answer to a ruling.
type Ruled struct {
	EventID string `json:"event_id"`
}

// RuleHandler returns the handler of PatternRule. Rules say which identifiers there can be.
func RuleHandler(rules *identity.Rules, send Send, now func() time.Time, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p update.RulingProperties
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil || d.Decode(new(any)) != io.EOF {
			problem.New(http.StatusBadRequest, "bad_ruling", `send {"ruling":"unlink","a":"KEY:VALUE","b":"KEY:VALUE","reason":"..."} of at most 16 KiB`).Write(w)
			return
		}
		if err := check(rules, &p); err != nil {
			problem.New(http.StatusBadRequest, "bad_ruling", err.Error()).Write(w)
			return
		}
		properties, _ := json.Marshal(p) // texts only: cannot fail
		at := now().UnixMilli()
		draft := event.Draft{ID: uuid.Must(uuid.NewV7()).String(), Table: update.TableRulings, Time: at, Received: at, Source: "ruling", Properties: properties, Key: p.A}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		if err := send(ctx, draft); err != nil {
			logger.Error("identity: the broker did not take a ruling", "error", err)
			problem.RetryAfter(w, 0)
			problem.New(http.StatusServiceUnavailable, "unavailable", "the broker did not take the ruling; try again").Write(w)
			return
		}
		answer, _ := json.Marshal(Ruled{EventID: draft.ID})
		write(w, http.StatusAccepted, answer)
	})
}

// check says what is wrong with a ruling before it goes into the stream, where nobody would be told, and conceals what must not be there.
func check(rules *identity.Rules, p *update.RulingProperties) error {
	var ends [2]identity.Identifier
	for i, text := range []string{p.A, p.B} {
		var err error
		if ends[i], err = rules.Parse(text); err != nil {
			return err
		}
		if slices.Contains(rules.Conceals(), ends[i].Key) {
			*[]*string{&p.A, &p.B}[i] = ends[i].String()
		}
	}
	_, err := identity.NewRuling(p.Ruling, ends[0], ends[1], event.Order{ID: "check"})
	return err
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
