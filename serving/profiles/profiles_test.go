package profiles_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/braidhq/braid/serving/problem"
	"github.com/braidhq/braid/serving/profiles"
	"github.com/braidhq/braid/transforms/update"
)

func TestLookup(t *testing.T) {
	lookup := profiles.LookupFunc(func(_ context.Context, q profiles.Query) ([]byte, bool, error) {
		switch {
		case q.Key == "profile_id":
			return nil, false, fmt.Errorf("looking: %w", &update.SplitError{})
		case q.Key == "broken":
			return nil, false, errors.New("disk full")
		case q.Explain && q.Key == "email":
			return []byte(`{"profile":{"profile_id":"p1"}}`), true, nil
		case q.Key == "email" && q.Value == "x/y@z.example":
			return []byte(`{"profile_id":"p1"}`), true, nil
		}
		return nil, false, nil
	})
	mux := http.NewServeMux()
	mux.Handle(profiles.Pattern, profiles.NewHandler(lookup, slog.New(slog.DiscardHandler)))
	for name, tc := range map[string]struct {
		method, path string
		status       int
		body         string // or the code of a problem
	}{
		"found":       {"GET", "/v1/profiles/email/x%2Fy@z.example", 200, `{"profile_id":"p1"}`},
		"explained":   {"GET", "/v1/profiles/email/x?explain=true", 200, `{"profile":{"profile_id":"p1"}}`},
		"explained 1": {"GET", "/v1/profiles/email/x?explain=1", 200, `{"profile":{"profile_id":"p1"}}`},
		"plain":       {"GET", "/v1/profiles/email/x%2Fy@z.example?explain=false", 200, `{"profile_id":"p1"}`},
		"split":       {"GET", "/v1/profiles/profile_id/aaaaaaaaaaaaaaaaaaaaaaaaaa", 410, "split"},
		"why unknown": {"GET", "/v1/profiles/cookie/x?explain=true", 404, "unknown_profile"},
		"odd":         {"GET", "/v1/profiles/email/x?explain=perhaps", 400, "bad_parameter"},
		"unknown":     {"GET", "/v1/profiles/email/a@b.example", 404, "unknown_profile"},
		"failed":      {"GET", "/v1/profiles/broken/x", 503, "unavailable"},
		"too long":    {"GET", "/v1/profiles/email/" + strings.Repeat("a", 1025), 400, "bad_identifier"},
		"zero byte":   {"GET", "/v1/profiles/email/a%00", 400, "bad_identifier"},
		"wrong verb":  {"POST", "/v1/profiles/email/a", 405, ""},
		"no value":    {"GET", "/v1/profiles/email", 404, ""},
		"head allows": {"HEAD", "/v1/profiles/email/x%2Fy@z.example", 200, `{"profile_id":"p1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tc.status, w.Body)
			}
			if tc.status == 200 {
				if w.Body.String() != tc.body || w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("answer %s %v", w.Body, w.Header())
				}
				return
			}
			if tc.body == "" {
				return
			}
			var p problem.Details
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if p.Code != tc.body || p.Status != tc.status || p.Title == "" || w.Header().Get("Content-Type") != problem.ContentType {
				t.Errorf("problem %+v %v", p, w.Header())
			}
			if tc.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
}
