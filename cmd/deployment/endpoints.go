package deployment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Endpoints say where a running node can be reached. It leaves them in the data directory, so that commands find it whatever ports
// it took.
type Endpoints struct {
	Process int      `json:"process"`         // ID of the process
	Segment string   `json:"segment"`         // name
	HTTP    string   `json:"http"`            // HOST:PORT
	Kafka   []string `json:"kafka,omitempty"` // brokers, HOST:PORT
	// ClickHouse is where analysts reach the segment's tables, if it is embedded: a URL without the password.
	ClickHouse string `json:"clickhouse,omitempty"`
}

func (c *Config) endpointsFile() string { return filepath.Join(c.Data, "endpoints.json") }

// Publish leaves endpoints in the data directory, which it makes if needed, and returns what takes them away again. Only the
// process that has locked the directory may do so.
func (c *Config) Publish(e Endpoints) (withdraw func() error, err error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("endpoints: %w", err)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("endpoints: %w", err)
	}
	name := c.endpointsFile()
	if err := os.WriteFile(name+".new", append(raw, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("endpoints: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return nil, fmt.Errorf("endpoints: %w", err)
	}
	return func() error { return os.Remove(name) }, nil
}

// Published returns what a node left in the data directory; ok is false when there is nothing. A node that was killed leaves its
// endpoints behind, so they may lead nowhere.
func (c *Config) Published() (e Endpoints, ok bool, err error) {
	raw, err := os.ReadFile(c.endpointsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err != nil {
		return e, false, fmt.Errorf("endpoints in %s: %w", c.endpointsFile(), err)
	}
	return e, true, nil
}
