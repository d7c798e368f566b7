// Package flink runs a throw-away Flink cluster for tests, with Beam's job server in front of it.
//
// In goes a test; out comes a Cluster of three Java programs: job manager, task manager, job server. All listen on ports of the
// loopback address and end with the test. What runs on it needs a worker pool, see pipelines/flink.
package flink

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/braidhq/braid/pipelines/flink"
	"github.com/braidhq/braid/testing/java"
)

//go:embed pom.xml
var pom []byte

// Jars are those of Flink and of Beam's runner for it.
var Jars = java.Jars{Name: "flink", POM: pom}

// Cluster is a running cluster.
type Cluster struct {
	JobManager, TaskManager, JobServer *java.Program
	// Address is that of the job server, HOST:PORT.
	Address string
	// REST is Flink's own interface.
	REST flink.Cluster

	t    testing.TB
	jars []string
	dir  string
}

// Start starts a cluster with a number of task slots and waits until it can take jobs. Without its jars the test is skipped, or fails
// where BRAID_REQUIRE asks for flink.
func Start(t testing.TB, slots int) *Cluster {
	t.Helper()
	jars := Jars.Require(t)
	for attempt := 1; ; attempt++ {
		c := &Cluster{t: t, jars: jars, dir: t.TempDir()}
		err := c.up(slots)
		if err == nil {
			return c
		}
		if attempt == 3 || !errors.Is(err, java.ErrEnded) { // else somebody may have taken a port
			t.Fatal(err)
		}
	}
}

func (c *Cluster) up(slots int) error {
	c.t.Helper()
	ports := java.Ports(c.t, 3)
	c.configure(ports[0], ports[1], slots)
	c.REST = flink.Cluster{URL: fmt.Sprintf("http://127.0.0.1:%d", ports[1])}
	c.Address = fmt.Sprintf("127.0.0.1:%d", ports[2])
	c.JobManager = c.start("job manager", "-Xmx512m", "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", "--configDir", c.dir)
	c.TaskManager = c.start("task manager", "-Xmx1g", "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", "--configDir", c.dir)
	c.JobServer = c.start("job server", "-Xmx512m", "org.apache.beam.runners.flink.FlinkJobServerDriver",
		"--flink-master", strings.TrimPrefix(c.REST.URL, "http://"), "--job-host", "127.0.0.1", "--job-port", fmt.Sprint(ports[2]),
		"--artifact-port", "0", "--expansion-port", "0", "--artifacts-dir", filepath.Join(c.dir, "artifacts"))
	if err := c.JobManager.Await(func(ctx context.Context) error {
		n, err := c.REST.TaskManagers(ctx)
		if err == nil && n == 0 {
			err = errors.New("no task manager has registered")
		}
		return err
	}); err != nil {
		return errors.Join(err, c.TaskManager.Await(func(context.Context) error { return nil }))
	}
	return c.JobServer.Await(func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", c.Address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// opened are the packages of the Java library that Flink looks into.
var opened = []string{"java.base/java.util", "java.base/java.lang", "java.base/java.util.concurrent", "java.base/java.net", "java.base/java.time"}

func (c *Cluster) start(name, memory, main string, arguments ...string) *java.Program {
	c.t.Helper()
	// Small, and fast to start on few cores rather than fast in the end.
	flags := []string{memory, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"}
	for _, name := range opened {
		flags = append(flags, "--add-opens="+name+"=ALL-UNNAMED")
	}
	return java.Start(c.t, java.Options{Name: name, Jars: c.jars, Flags: flags, Main: main, Arguments: arguments, Dir: c.dir})
}

func (c *Cluster) configure(rpc, rest, slots int) {
	c.t.Helper()
	text := fmt.Sprintf(`jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: %d
jobmanager.bind-host: 127.0.0.1
jobmanager.execution.failover-strategy: full
rest.address: 127.0.0.1
rest.port: %d
rest.bind-address: 127.0.0.1
blob.server.port: 0
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: %d
taskmanager.cpu.cores: 2.0
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 768m
taskmanager.memory.task.off-heap.size: 0m
taskmanager.memory.network.min: 128m
taskmanager.memory.network.max: 128m
taskmanager.memory.managed.size: 64m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
task.cancellation.timeout: 20000
io.tmp.dirs: %s
`, rpc, rest, slots, c.dir)
	if err := os.WriteFile(filepath.Join(c.dir, "flink-conf.yaml"), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}
