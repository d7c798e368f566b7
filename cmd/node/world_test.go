package node_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/cmd/node"
	"github.com/braidhq/braid/io/store/memory"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// storeTrouble is what reads of the flaky: store answer, when it is set.
var storeTrouble atomic.Pointer[error]

// flaky is a store in memory that may have trouble.
type flaky struct{ *memory.Store }

// Get fails while there is trouble.
func (s flaky) Get(ctx context.Context, keys [][]byte) ([]update.Row, error) {
	if err := storeTrouble.Load(); err != nil {
		return nil, *err
	}
	return s.Store.Get(ctx, keys)
}

func init() {
	update.RegisterStore("flaky", func(context.Context, *url.URL) (update.Store, error) { return flaky{memory.New()}, nil })
}

// options are those of the shop's node, with a store in memory of its own.
func options(t *testing.T) node.Options {
	t.Helper()
	d := deployment.Default()
	d.Data, d.Listen, d.Store = t.TempDir(), "127.0.0.1:0", "memory:"+strings.ReplaceAll(t.Name(), "/", ".")
	return node.Options{Deployment: d, Segment: parse(t, string(shop.Segment)), Logger: slog.New(slog.DiscardHandler)}
}

func parse(t *testing.T, yaml string) *segment.Segment {
	t.Helper()
	s, err := segment.Parse("segment.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run starts a node that is stopped at the end of the test, however it stands then.
func run(t *testing.T, o node.Options) *node.Node {
	t.Helper()
	n, err := node.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Log("stopped: ", err)
		}
	})
	return n
}

// cluster is a broker that is not the node's own.
func cluster(t *testing.T, topics ...string) (*kfake.Cluster, []deployment.Address) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, []deployment.Address{deployment.Address(c.ListenAddrs()[0])}
}

func produce(t *testing.T, n *node.Node, topic string, values ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka().Brokers...), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, v := range values {
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// ask returns status and body of an answer.
func ask(t *testing.T, n *node.Node, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + n.Address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// send posts events, which are all accepted.
func send(t *testing.T, n *node.Node, table string, events ...string) {
	t.Helper()
	response, err := http.Post("http://"+n.Address()+"/v1/events/"+table, "application/json", strings.NewReader(`{"events":[`+strings.Join(events, ",")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || strings.Contains(string(body), `"accepted":false`) {
		t.Fatal(response.Status, string(body))
	}
}

// ready waits until one of the checks of /readyz says something that contains a text, and the status is the one that goes with it.
func ready(t *testing.T, n *node.Node, check, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		status, body := ask(t, n, "/readyz")
		var answer struct {
			Status string
			Checks map[string]string
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(status, body)
		}
		if (status == 200) != (answer.Status == "ready") {
			t.Errorf("%d with %s", status, body)
		}
		if strings.Contains(answer.Checks[check], text) && (text == "ok" || status == 503) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %s: %s never said %q", status, body, check, text)
		}
	}
}
