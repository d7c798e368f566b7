// Package profiles answers what is known about a person: GET /v1/profiles/{key}/{value} in, the profile as JSON out; with
// ?explain=true what it was made of.
package profiles

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/transforms/update"
)

// Pattern is where the Handler belongs in a http.ServeMux.
const Pattern = "GET /v1/profiles/{key}/{value}"

// maxIdentifier is the longest key or value that is looked up, in bytes.
const maxIdentifier = 1024

// Query is what is asked.
type Query struct {
	Key, Value string // an identifier, as it came; the value is not normalized
	Explain    bool   // what the profile was made of, instead of the profile
}

// Lookup finds the profile that an identifier belongs to and returns the answer as JSON. It normalizes the value by the key's rules.
// It is safe for concurrent use. An *update.SplitError says that the profile of a profile ID is several by now.
type Lookup interface {
	Lookup(ctx context.Context, q Query) (answer []byte, found bool, err error)
}

// LookupFunc is a Lookup made of a function.
type LookupFunc func(ctx context.Context, q Query) (answer []byte, found bool, err error)

// Lookup calls f.
func (f LookupFunc) Lookup(ctx context.Context, q Query) ([]byte, bool, error) { return f(ctx, q) }

// NewHandler returns the handler. Failed look-ups go to the log; neither it nor the answer holds the identifier's value, which may be
// personal data.
func NewHandler(lookup Lookup, logger *slog.Logger) http.Handler {
	return &handler{lookup: lookup, logger: logger}
}

type handler struct {
	lookup Lookup
	logger *slog.Logger
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := Query{Key: r.PathValue("key"), Value: r.PathValue("value")}
	if len(q.Key) > maxIdentifier || len(q.Value) > maxIdentifier || strings.ContainsRune(q.Key+q.Value, 0) {
		problem.New(http.StatusBadRequest, "bad_identifier", "key and value have at most 1024 bytes each, and no zero byte").Write(w)
		return
	}
	if text := r.URL.Query().Get("explain"); text != "" {
		var err error
		if q.Explain, err = strconv.ParseBool(text); err != nil {
			problem.New(http.StatusBadRequest, "bad_parameter", "explain is true or false").Write(w)
			return
		}
	}
	var split *update.SplitError
	profile, found, err := h.lookup.Lookup(r.Context(), q)
	switch {
	case r.Context().Err() != nil: // the client is gone
		return
	case errors.As(err, &split):
		problem.New(http.StatusGone, "split", split.Error()).Write(w)
	case err != nil:
		h.logger.Error("profiles: lookup failed", "key", q.Key, "error", err)
		problem.RetryAfter(w, 0)
		problem.New(http.StatusServiceUnavailable, "unavailable", "the profile store did not answer; try again").Write(w)
	case !found:
		problem.New(http.StatusNotFound, "unknown_profile", "no profile has this identifier").Write(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(profile)
	}
}
