// Package deployment is braid.yaml, where things run: in goes YAML, out comes a Config with every default filled in, or all the
// mistakes of the file, each with its place.
//
// Everything has a default: without a file all is embedded under ./braid-data. Paths are relative to the working directory.
package deployment

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/braidhq/braid/transforms/strict"
)

// File is the name of the file that is looked for when none is named.
const File = "braid.yaml"

// Config is braid.yaml as it is written, with the defaults of Default.
type Config struct {
	// Data is the directory of all that is embedded; default ./braid-data.
	Data string `yaml:"data" json:"data,omitempty" jsonschema:"default=./braid-data,description=Directory of all that is embedded\\, relative to the working directory."`
	// Listen is the address of the HTTP API, HOST:PORT; port 0 takes a free one; default 127.0.0.1:8080.
	Listen string `yaml:"listen" json:"listen,omitempty" jsonschema:"default=127.0.0.1:8080,description=Address of the HTTP API\\, HOST:PORT. Port 0 takes a free one."`
	// ListenBeyondLoopback permits a Listen address that other machines reach; default false.
	ListenBeyondLoopback bool `yaml:"listen_beyond_loopback" json:"listen_beyond_loopback,omitempty" jsonschema:"default=false,description=Permits a listen address that other machines reach."`
	// Kafka is the stream; default embedded.
	Kafka Kafka `yaml:"kafka" json:"kafka,omitzero"`
	// Runner runs the pipelines; default direct.
	Runner Runner `yaml:"runner" json:"runner,omitzero"`
	// Store holds the real-time state: pebble:, postgres://..., memory:NAME or another registered URL; default pebble:, which lies
	// under Data and is as durable as the embedded broker. See StoreURL.
	Store string `yaml:"store" json:"store,omitempty" jsonschema:"default=pebble:,description=Where real-time state is kept: 'pebble:' (under the data directory)\\, 'pebble:DIRECTORY?durability=fsync&memtable=64MiB&cache=128MiB'\\, 'postgres://USER@HOST/DATABASE?sslmode=verify-full&table=braid&password=${VARIABLE}' or 'memory:NAME'."`
	// ClickHouse is where the stream is archived for analysts: off, embedded (a server as a child of this process), or a URL; default off.
	ClickHouse string `yaml:"clickhouse" json:"clickhouse,omitempty" jsonschema:"default=off,description=Where the stream is archived for analysts: off\\, embedded (a server as a child of this process; its library is fetched once) or 'clickhouse://USER@HOST:9440?secure=true&password=${VARIABLE}'."`
	// Archive says how the stream is kept in ClickHouse.
	Archive Archive `yaml:"archive" json:"archive,omitzero" jsonschema:"description=How the stream is kept in ClickHouse."`
	// Prepare says what the prepare job reads; default nothing.
	Prepare Prepare `yaml:"prepare" json:"prepare,omitzero" jsonschema:"description=The prepare job: records of raw topics become events."`
	// Epochs says how the stream is cut.
	Epochs Epochs `yaml:"epochs" json:"epochs,omitzero" jsonschema:"description=How the stream is cut into epochs."`
}

// Epochs says how the stream is cut.
type Epochs struct {
	// Interval is the time from one marker to the next, at least 1s; default 1m.
	Interval strict.Duration `yaml:"interval" json:"interval,omitzero" jsonschema:"default=1m,description=Time from one marker to the next; at least 1s."`
}

// Archive says how the stream is kept in ClickHouse.
type Archive struct {
	// Retention is how long events and logs are kept, whole days; default for ever.
	Retention Age `yaml:"retention" json:"retention,omitzero" jsonschema:"default=forever,description=How long events and logs are kept\\, in whole days. What is older is in snapshots only\\, and cannot be read anew."`
	// Cluster is the cluster of ClickHouse on which tables are made, replicated; default none.
	Cluster string `yaml:"cluster" json:"cluster,omitempty" jsonschema:"description=Cluster of ClickHouse on which tables are made\\, replicated. Default: none\\, a single server."`
}

// Days returns the retention in days; 0: for ever.
func (a Archive) Days() int {
	if a.Retention <= 0 {
		return 0
	}
	return int(time.Duration(a.Retention) / (24 * time.Hour))
}

// Default returns what runs without a file.
func Default() *Config {
	return &Config{
		Data: "./braid-data", Listen: "127.0.0.1:8080", Kafka: defaultKafka(), Runner: defaultRunner(), Store: "pebble:", ClickHouse: ClickHouseOff, Archive: Archive{Retention: -1},
		Epochs: Epochs{Interval: strict.Duration(time.Minute)},
	}
}

// Load reads the file at path; secrets come from the environment. Mistakes in it come as strict.Errors.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, data, os.LookupEnv)
}

// Parse reads the content of a file; file is the name that errors carry, and env gives secrets their values. The error is of type
// strict.Errors.
func Parse(file string, data []byte, env strict.Environment) (*Config, error) {
	c := Default()
	v := &validator{doc: strict.Decode(file, data, c, env), config: c}
	v.validate()
	if err := v.doc.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// KafkaDir returns the directory of the embedded broker.
func (c *Config) KafkaDir() string { return filepath.Join(c.Data, "kafka") }

// SnapshotsDir returns the directory of what batch runs found.
func (c *Config) SnapshotsDir() string { return filepath.Join(c.Data, "snapshots") }

// StoreDir returns the directory of the embedded store.
func (c *Config) StoreDir() string { return filepath.Join(c.Data, "store") }
