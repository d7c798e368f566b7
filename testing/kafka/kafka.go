// Package kafka runs a throw-away Kafka broker for tests: the real one, in KRaft mode.
//
// In goes a test; out comes a broker of its own with its data in a temporary directory, reached at a port of the loopback address,
// which ends with the test.
package kafka

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/braidhq/braid/testing/java"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

//go:embed pom.xml
var pom []byte

// Jars are those of the broker.
var Jars = java.Jars{Name: "kafka", POM: pom}

// Broker is a running broker, the only one of its cluster.
type Broker struct {
	*java.Program

	t       testing.TB
	jars    []string
	dir     string
	address string
}

// flags keep the virtual machine small, and let it start fast on few cores rather than run fast in the end.
var flags = []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}

// Start starts a broker, with settings of server.properties such as "num.partitions=3" beside the usual ones, and waits until it
// answers. Without its jars the test is skipped, or fails where BRAID_REQUIRE asks for kafka.
func Start(t testing.TB, settings ...string) *Broker {
	t.Helper()
	jars := Jars.Require(t)
	for attempt := 1; ; attempt++ {
		b := &Broker{t: t, jars: jars, dir: t.TempDir()}
		b.configure(settings)
		err := b.up()
		if err == nil {
			return b
		}
		if attempt == 3 || !errors.Is(err, java.ErrEnded) { // else somebody may have taken the port
			t.Fatal(err)
		}
	}
}

func (b *Broker) file() string { return filepath.Join(b.dir, "server.properties") }

func (b *Broker) configure(settings []string) {
	b.t.Helper()
	ports := java.Ports(b.t, 2)
	b.address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
`, ports[0], ports[1], filepath.Join(b.dir, "data"))
	for _, setting := range settings {
		text += setting + "\n"
	}
	if err := os.WriteFile(b.file(), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	java.Run(b.t, java.Options{
		Name: "kafka storage", Jars: b.jars, Flags: flags, Main: "kafka.tools.StorageTool",
		Arguments: []string{"format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", b.file()}, Dir: b.dir,
	})
}

func (b *Broker) up() error {
	b.t.Helper()
	b.Program = java.Start(b.t, java.Options{Name: "kafka", Jars: b.jars, Flags: flags, Main: "kafka.Kafka", Arguments: []string{b.file()}, Dir: b.dir})
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	return b.Await(func(ctx context.Context) error {
		brokers, err := admin.ListBrokers(ctx)
		if err == nil && len(brokers) == 0 {
			err = errors.New("no broker has registered")
		}
		return err
	})
}

// Up starts the broker again after Kill, with its data and at its address, and waits until it answers.
func (b *Broker) Up() {
	b.t.Helper()
	if err := b.up(); err != nil {
		b.t.Fatal(err)
	}
}

// Addresses returns where the broker is reached, as HOST:PORT.
func (b *Broker) Addresses() []string { return []string{b.address} }
