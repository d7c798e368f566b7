package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/serving/profiles"
	"github.com/braidhq/braid/transforms/event"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

var rewrite = flag.Bool("rewrite", false, "write the expected texts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"braid": func() { cmd.Main() }})
}

// TestScripts runs the command line as people do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), UpdateScripts: *rewrite, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"apply": apply, "code": code, "lock": lock},
	})
}

// code runs a command that must end with an exit code: code 2 braid --frob. Its output can be compared as after exec.
func code(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := new(exec.ExitError); err != nil {
		if e, ok := err.(*exec.ExitError); ok { // testscript returns it bare
			exit = e
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// lock holds the data directory as a running node does, until the end of the script.
func lock(ts *testscript.TestScript, _ bool, args []string) {
	l, err := embedded.LockDirectory(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { l.Release() })
}

// apply applies a file of events, one JSON object per line, to the store under braid-data; what is rejected goes to the embedded
// broker there.
func apply(ts *testscript.TestScript, _ bool, args []string) {
	s, err := segment.Parse("segment.yaml", []byte(ts.ReadFile("segment.yaml")))
	ts.Check(err)
	c := deployment.Default()
	c.Data = ts.MkAbs("braid-data")
	store, err := update.OpenStore(context.Background(), c.StoreURL())
	ts.Check(err)
	defer store.Close()
	config := s.Config()
	var inputs []*update.Input
	for n, line := range strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n") {
		inputs = append(inputs, config.Prepare(event.Record{
			Position: event.Position{Topic: topics.Name(s.Name, topics.Events), Offset: int64(n)}, Value: []byte(line),
			Headers: []event.Header{{Key: event.HeaderReceived, Value: []byte("1291161600000")}},
		}))
	}
	result, err := update.NewWorker(config, store).Apply(context.Background(), inputs)
	ts.Check(err)
	broker, err := embedded.StartBroker(context.Background(), c.Broker(nil))
	ts.Check(err)
	defer broker.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addresses()...))
	ts.Check(err)
	defer client.Close()
	specs, err := topics.Plan(s.Name, c.TopicOptions())
	ts.Check(err)
	_, err = topics.Ensure(context.Background(), kadm.NewClient(client), specs)
	ts.Check(err)
	for _, e := range result.Effects {
		if e.Topic == update.TopicRejected {
			record := &kgo.Record{Topic: topics.Name(s.Name, topics.Rejected), Key: e.Key, Value: e.Value}
			ts.Check(client.ProduceSync(context.Background(), record).FirstErr())
		}
	}
}

// run runs a command in this process.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cmd.Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestProfileGetAsksTheNode(t *testing.T) {
	view := `{"profile_id":"p1","identifiers":[{"key":"email","value":"a b/c@x.de"}],"events":3,"attributes":{"n":1}}`
	handler := profiles.NewHandler(profiles.LookupFunc(func(_ context.Context, q profiles.Query) ([]byte, bool, error) {
		return []byte(view), q.Key == "email" && q.Value == "a b/c@x.de", nil
	}), nil)
	mux := http.NewServeMux()
	mux.Handle(profiles.Pattern, handler)
	node := httptest.NewServer(mux)
	defer node.Close()
	t.Chdir(t.TempDir())

	if code, out, errs := run(t, "profile", "get", "email", "a b/c@x.de", "--json", "--url", node.URL); code != cmd.ExitDone || out != view+"\n" {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if code, out, errs := run(t, "profile", "get", "email", "a b/c@x.de", "--url", node.URL); code != cmd.ExitDone || !strings.Contains(out, "email:a b/c@x.de") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if code, _, errs := run(t, "profile", "get", "email", "nobody", "--url", node.URL); code != cmd.ExitNotFound || errs != "braid: no profile has this identifier\n" {
		t.Errorf("%d %s", code, errs)
	}
	c := deployment.Default()
	if _, err := c.Publish(deployment.Endpoints{HTTP: node.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, "profile", "get", "email", "a b/c@x.de", "--json"); code != cmd.ExitDone || out != view+"\n" {
		t.Errorf("found by its endpoints: %d %s %s", code, out, errs)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if code, _, errs := run(t, "profile", "get", "email", "x", "--url", other.URL); code != cmd.ExitFailed || !strings.Contains(errs, "is no braid node") {
		t.Errorf("%d %s", code, errs)
	}
	other.Close()
	if code, _, errs := run(t, "profile", "get", "email", "x", "--url", other.URL); code != cmd.ExitFailed || !strings.Contains(errs, "no node answers") {
		t.Errorf("%d %s", code, errs)
	}
}

// TestInterrupt ends a command that waits for an answer with a signal.
func TestInterrupt(t *testing.T) {
	asked := make(chan struct{})
	node := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer node.Close()
	braid := exec.Command("braid", "profile", "get", "email", "x", "--url", node.URL)
	stderr, err := braid.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := braid.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := braid.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(bufio.NewReader(stderr))
	if err != nil {
		t.Fatal(err)
	}
	_ = braid.Wait() // the code says it
	if code := braid.ProcessState.ExitCode(); code != cmd.ExitInterrupted || !strings.Contains(string(text), "braid: interrupted") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

// TestWorkerPoolEnds tells a pool of workers to stop, once it is ready.
func TestWorkerPoolEnds(t *testing.T) {
	pool := exec.Command("braid", "worker", "--listen", "127.0.0.1:0")
	stderr, err := pool.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if strings.Contains(lines.Text(), "worker pool is ready") {
			if err := pool.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := pool.Wait(); err != nil || strings.Contains(text.String(), "level=ERROR") {
		t.Errorf("%v: %s", err, text.String())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	twice := cmd.WithEvent("tag", func(d event.Draft) ([]event.Draft, error) { return []event.Draft{d}, nil })
	same := cmd.WithTransform("same", func(_ beam.Scope, events beam.PCollection) beam.PCollection { return events })
	var out, errs bytes.Buffer
	if code := cmd.Run(t.Context(), []string{"version"}, &out, &errs, twice, same); code != cmd.ExitDone {
		t.Errorf("%d %s", code, errs.String())
	}
	if code := cmd.Run(t.Context(), []string{"version"}, &out, &errs, twice, twice); code != cmd.ExitFailed || !strings.Contains(errs.String(), `event function "tag" is there twice`) {
		t.Errorf("%d %s", code, errs.String())
	}
}

func TestVersionJSON(t *testing.T) {
	code, out, _ := run(t, "version", "--json")
	var v struct{ Version, Go, Platform string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v.Version == "" || !strings.HasPrefix(v.Go, "go") || v.Platform == "" {
		t.Errorf("%d %s", code, out)
	}
}

func TestSchemasAreJSON(t *testing.T) {
	for _, which := range []string{"segment", "braid"} {
		if code, out, errs := run(t, "validate", "--schema", which); code != 0 || !json.Valid([]byte(out)) {
			t.Errorf("%s: %d %s", which, code, errs)
		}
	}
}
