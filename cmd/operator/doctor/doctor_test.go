package doctor_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/operator/doctor"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/segment"
)

func options(t *testing.T) doctor.Options {
	t.Helper()
	s, err := segment.Parse("segment.yaml", []byte("segment: shop\nprofile_key: customer\nkeys: [{name: customer}]\ntables: {visits: }\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := deployment.Default()
	c.Data = filepath.Join(t.TempDir(), "data")
	c.Listen = "127.0.0.1:0"
	return doctor.Options{
		Version: "v1", SegmentFile: "segment.yaml", Segment: s, Deployment: c,
		Compare: func(context.Context, *deployment.Config, []topics.Spec, bool) (topics.Report, error) {
			return topics.Report{}, nil
		},
	}
}

// find returns the finding about a subject.
func find(t *testing.T, findings []doctor.Finding, subject string) doctor.Finding {
	t.Helper()
	for _, f := range findings {
		if f.Subject == subject {
			return f
		}
	}
	t.Fatalf("nothing about %s in %+v", subject, findings)
	return doctor.Finding{}
}

func TestFindings(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(t *testing.T, o *doctor.Options)
		subject string
		state   doctor.State
		text    string
	}{
		{"segment", func(*testing.T, *doctor.Options) {}, "segment.yaml", doctor.OK, "segment shop"},
		{"no braid.yaml", func(*testing.T, *doctor.Options) {}, "braid.yaml", doctor.OK, "there is none"},
		{"new data directory", func(*testing.T, *doctor.Options) {}, "data directory", doctor.OK, "not made yet"},
		{"no store yet", func(*testing.T, *doctor.Options) {}, "store", doctor.OK, "none yet"},
		{"topics as planned", func(*testing.T, *doctor.Options) {}, "topics", doctor.OK, "all 9 as planned"},
		{"wrong segment", func(_ *testing.T, o *doctor.Options) { o.Segment, o.SegmentError = nil, errors.New("line 7") }, "segment.yaml", doctor.Fail, "line 7"},
		{"wrong braid.yaml", func(_ *testing.T, o *doctor.Options) { o.Deployment, o.DeploymentError = nil, errors.New("line 8") }, "braid.yaml", doctor.Fail, "line 8"},
		{"data is a file", func(t *testing.T, o *doctor.Options) {
			if err := os.WriteFile(o.Deployment.Data, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "data directory", doctor.Fail, "no directory"},
		{"port taken", func(t *testing.T, o *doctor.Options) { o.Deployment.Listen = taken(t) }, "http", doctor.Fail, "cannot be listened on"},
		{"kafka port taken", func(t *testing.T, o *doctor.Options) {
			_, port, _ := net.SplitHostPort(taken(t))
			number, err := net.LookupPort("tcp", port)
			if err != nil {
				t.Fatal(err)
			}
			o.Deployment.Kafka.Embedded.Port = number
		}, "kafka port", doctor.Fail, "cannot be listened on"},
		{"brokers away", func(_ *testing.T, o *doctor.Options) {
			o.Deployment.Kafka.Embedded, o.Deployment.Kafka.Brokers = nil, []deployment.Address{"kafka1:9092"}
			o.Compare = func(context.Context, *deployment.Config, []topics.Spec, bool) (topics.Report, error) {
				return topics.Report{}, errors.New("no answer")
			}
		}, "kafka", doctor.Fail, "no answer"},
		{"topics missing", func(_ *testing.T, o *doctor.Options) {
			o.Compare = func(context.Context, *deployment.Config, []topics.Spec, bool) (topics.Report, error) {
				return topics.Report{Missing: []string{"braid.shop.config"}}, nil
			}
		}, "topics", doctor.Warn, "braid.shop.config"},
		{"topics differ", func(_ *testing.T, o *doctor.Options) {
			o.Compare = func(context.Context, *deployment.Config, []topics.Spec, bool) (topics.Report, error) {
				return topics.Report{Differences: []topics.Difference{{Topic: "braid.shop.events", Setting: "partitions", Want: "4", Have: "1"}}}, nil
			}
		}, "topics", doctor.Warn, "partitions is 1"},
		{"damaged store", func(t *testing.T, o *doctor.Options) {
			if err := os.MkdirAll(o.Deployment.StoreDir(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(o.Deployment.StoreDir(), "letter.txt"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "store", doctor.Fail, "is no store"},
		{"locked without a node", func(t *testing.T, o *doctor.Options) { lock(t, o) }, "http", doctor.Warn, "no node answers"},
		{"node not ready", func(t *testing.T, o *doctor.Options) { lock(t, o); node(t, o, http.StatusServiceUnavailable) }, "http", doctor.Warn, "not ready"},
		{"node", func(t *testing.T, o *doctor.Options) { lock(t, o); node(t, o, http.StatusOK) }, "http", doctor.OK, "is ready"},
		{"locked", func(t *testing.T, o *doctor.Options) { lock(t, o) }, "data directory", doctor.OK, "in use by process"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t)
			test.change(t, &o)
			findings := doctor.Examine(t.Context(), o)
			got := find(t, findings, test.subject)
			if got.State != test.state || !strings.Contains(got.Text, test.text) {
				t.Errorf("%+v, want %s with %q", got, test.state, test.text)
			}
			if got.State != doctor.OK && got.Next == "" && test.subject != "store" {
				t.Error("it does not say what to do")
			}
			if test.state == doctor.Fail && !doctor.Failed(findings) {
				t.Error("not failed")
			}
		})
	}
}

// TestNothingIsMade checks that looking leaves no trace.
func TestNothingIsMade(t *testing.T) {
	o := options(t)
	findings := doctor.Examine(t.Context(), o)
	if doctor.Failed(findings) {
		t.Errorf("%+v", findings)
	}
	entries, err := os.ReadDir(filepath.Dir(o.Deployment.Data))
	if err != nil || len(entries) > 0 {
		t.Error(entries, err)
	}
}

func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func lock(t *testing.T, o *doctor.Options) {
	t.Helper()
	l, err := embedded.LockDirectory(o.Deployment.Data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Release() })
}

func node(t *testing.T, o *doctor.Options, status int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	if _, err := o.Deployment.Publish(deployment.Endpoints{HTTP: server.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
}
