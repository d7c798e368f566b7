package deployment_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/io/kafkaio"
	"github.com/braidhq/braid/io/topics"
	"github.com/braidhq/braid/transforms/strict"
)

var rewrite = flag.Bool("rewrite", false, "write the expected texts anew")

const password = "open sesame"

func env(name string) (string, bool) {
	if name == "KAFKA_PASSWORD" {
		return password, true
	}
	return "", false
}

func files(t testing.TB, bad bool) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "*.yml"))
	if err != nil || len(names) == 0 {
		t.Fatal("no files", err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		if strings.HasSuffix(name, ".bad.yml") != bad {
			continue
		}
		if out[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func parse(t testing.TB, name string) *deployment.Config {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	c, err := deployment.Parse(name, data, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBadFiles(t *testing.T) {
	for name, data := range files(t, true) {
		t.Run(name, func(t *testing.T) {
			c, err := deployment.Parse(name, data, env)
			if c != nil || strict.AsErrors(err) == nil {
				t.Fatalf("configuration %v, error %v", c, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a secret is in the error")
			}
			path := filepath.Join("testdata", strings.TrimSuffix(name, ".yml")+".txt")
			if *rewrite {
				if err := os.WriteFile(path, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(path)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	want := deployment.Default()
	for _, name := range []string{"empty.yml", "words.yml", "nothing.yml"} {
		t.Run(name, func(t *testing.T) {
			got := parse(t, name)
			if name == "words.yml" {
				got.Store = want.Store // another way to write it
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b strict.Secret) bool { return a.Reveal() == b.Reveal() })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if o := want.TopicOptions(); o.Partitions != 4 || o.RetentionAge != 7*24*time.Hour {
		t.Errorf("%+v", o)
	}
}

func TestEmbedded(t *testing.T) {
	c := parse(t, "embedded.yml")
	b := c.Broker(nil)
	if b.Dir != filepath.Join("data", "kafka") || b.Port != 9092 || b.Durability != embedded.DurabilityFsync {
		t.Errorf("%+v", b)
	}
	if err := b.Validate(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(topics.Options{Partitions: 8, RetentionAge: -1, RetentionBytes: -1}, c.TopicOptions()); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
	if r := c.Runner; r.Kind != deployment.RunnerDirect || r.Workers != 4 || r.MaxRecords != 500 || r.MaxDelay.Std() != 2*time.Millisecond {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"127.0.0.1:1234"}, c.Client("127.0.0.1:1234").Brokers); diff != "" {
		t.Errorf("brokers (-want +got):\n%s", diff)
	}
	if c.Epochs.Interval.Std() != 15*time.Minute {
		t.Error(c.Epochs)
	}
}

func TestCluster(t *testing.T) {
	c := parse(t, "cluster.yml")
	want := kafkaio.Client{
		Brokers: []string{"kafka1:9093", "kafka2:9093"}, ClientID: "braid",
		TLS:  &kafkaio.TLS{CAFile: "ca.pem", CertFile: "client.pem", KeyFile: "client.key", ServerName: "kafka.example.com"},
		SASL: &kafkaio.SASL{Mechanism: kafkaio.ScramSHA512, User: "braid", Password: "${KAFKA_PASSWORD}"},
	}
	if diff := cmp.Diff(want, c.Client()); diff != "" {
		t.Errorf("client (-want +got):\n%s", diff)
	}
	if err := c.Client().Validate(); err != nil {
		t.Error(err)
	}
	if c.Kafka.Embedded != nil || c.StoreURL() != "memory:trial" || c.StoreEmbedded() {
		t.Errorf("%+v", c)
	}
	if text := fmt.Sprintf("%+v %#v", c.Kafka.SASL, c.Kafka.SASL); strings.Contains(text, password) {
		t.Error("printing shows the password")
	}
	if diff := cmp.Diff(topics.Options{Partitions: 32, Replicas: 3, RetentionAge: 30 * 24 * time.Hour, RetentionBytes: 100 << 30}, c.TopicOptions()); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
}

func TestStoreURL(t *testing.T) {
	for _, test := range []struct{ name, yaml, want string }{
		{"default", "data: /data", "pebble:/data/store"},
		{"a word", "{data: /data, store: pebble}", "pebble:/data/store"},
		{"a directory with a blank", "data: '/my data'", "pebble:/my%20data/store"},
		{"options", "{data: /data, store: 'pebble:?cache=1GiB'}", "pebble:/data/store?cache=1GiB"},
		{"elsewhere", "{data: /data, store: 'pebble:/elsewhere'}", "pebble:/elsewhere"},
		{"as durable as the broker", "{data: /data, kafka: {embedded: {durability: fsync}}}", "pebble:/data/store?durability=fsync"},
		{"durable by itself", "{data: /data, store: 'pebble:?durability=fsync'}", "pebble:/data/store?durability=fsync"},
		{"less durable on purpose", "{data: /data, store: 'pebble:?durability=process', kafka: {embedded: {durability: fsync}}}", "pebble:/data/store?durability=process"},
		{"in memory", "store: memory:x", "memory:x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := deployment.Parse("braid.yaml", []byte(test.yaml), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.StoreURL(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	if _, err := deployment.Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	t.Setenv("KAFKA_PASSWORD", password)
	c, err := deployment.Load(filepath.Join("testdata", "cluster.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Kafka.SASL.Password.Reveal() != password {
		t.Error("the password is another")
	}
}

func TestEndpoints(t *testing.T) {
	c := deployment.Default()
	c.Data = filepath.Join(t.TempDir(), "data")
	if _, ok, err := c.Published(); ok || err != nil {
		t.Fatal(ok, err)
	}
	want := deployment.Endpoints{Process: 7, Segment: "retail", HTTP: "127.0.0.1:1", Kafka: []string{"127.0.0.1:2"}}
	withdraw, err := c.Publish(want)
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := c.Published()
	if diff := cmp.Diff(want, got); !ok || err != nil || diff != "" {
		t.Error(ok, err, diff)
	}
	if err := withdraw(); err != nil {
		t.Error(err)
	}
	if _, ok, err := c.Published(); ok || err != nil {
		t.Error(ok, err)
	}
	if err := os.WriteFile(filepath.Join(c.Data, "endpoints.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Published(); err == nil {
		t.Error("damaged endpoints were read")
	}
}

// TestSchema checks that the schema accepts the good files and that what it refuses Parse refuses too.
func TestSchema(t *testing.T) {
	raw, err := deployment.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("braid.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("braid.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(data []byte) error {
		asJSON, err := yaml.YAMLToJSON(data)
		if err != nil || len(bytes.TrimSpace(asJSON)) == 0 {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	for name, data := range files(t, false) {
		if name == "empty.yml" {
			continue // nothing has no schema
		}
		if err := check(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{
		"kafka_word", "embedded_port", "embedded_durability", "sasl_mechanism", "sasl_password", "sasl_user", "partitions", "retention_form",
		"runner_unknown", "runner_later", "runner_options", "prepare_none", "prepare_twice", "sections_later", "unknown_fields", "brokers_quotes",
	} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".bad.yml"))
		if err != nil {
			t.Fatal(err)
		}
		if check(data) == nil {
			t.Errorf("the schema accepts %s", name)
		}
	}
	if !json.Valid(raw) || bytes.Contains(raw, []byte("MISSING")) {
		t.Error("no JSON")
	}
}

func FuzzParse(f *testing.F) {
	for _, bad := range []bool{false, true} {
		for _, data := range files(f, bad) {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := deployment.Parse("braid.yaml", data, env)
		if err != nil {
			if strict.AsErrors(err) == nil {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if err := c.TopicOptions().Validate(); err != nil {
			t.Error(err)
		}
		if c.Kafka.Embedded == nil {
			if err := c.Client().Validate(); err != nil {
				t.Error(err)
			}
		} else if err := c.Broker(nil).Validate(); err != nil {
			t.Error(err)
		}
		if c.StoreURL() == "" {
			t.Error("no store")
		}
	})
}
