// Package problem answers HTTP requests that fail, as RFC 9457 problem details.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// ContentType is the media type of problem details.
const ContentType = "application/problem+json"

// Details is the body of an answer that is not a success.
type Details struct {
	Type   string `json:"type"`             // "about:blank": the status says it all, Code the rest
	Title  string `json:"title"`            // the status in words
	Status int    `json:"status"`           // the HTTP status
	Code   string `json:"code"`             // stable, for programs: "too_large", "unknown_table", ...
	Detail string `json:"detail,omitempty"` // what is wrong with this request, and how to put it right
}

// New returns the details of a status.
func New(status int, code, detail string) Details {
	return Details{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Error returns the detail, so that a problem can travel as an error.
func (d Details) Error() string { return d.Code + ": " + d.Detail }

// Write answers with the details.
func (d Details) Write(w http.ResponseWriter) {
	body, _ := json.Marshal(d) // strings and a number: cannot fail
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(d.Status)
	w.Write(append(body, '\n'))
}

// RetryAfter tells the client when to come again, in whole seconds, at least one.
func RetryAfter(w http.ResponseWriter, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int((after+time.Second-1)/time.Second))))
}
