package deployment

import (
	"path/filepath"
	"strings"

	"github.com/braidhq/braid/io/clickhouseio"
)

// Words for ClickHouse beside a URL.
const (
	ClickHouseOff      = "off"
	ClickHouseEmbedded = "embedded"
)

// ClickHouseDir returns the directory of the embedded ClickHouse.
func (c *Config) ClickHouseDir() string { return filepath.Join(c.Data, "clickhouse") }

// ClickHouseClient returns how to reach the ClickHouse that ClickHouse names; ok is false if that is no URL.
func (c *Config) ClickHouseClient() (client clickhouseio.Client, ok bool) {
	if c.ClickHouse == ClickHouseOff || c.ClickHouse == ClickHouseEmbedded {
		return clickhouseio.Client{}, false
	}
	return clickhouseio.Client{URL: c.ClickHouse}, true
}

func (v *validator) checkClickHouse() {
	client, ok := v.config.ClickHouseClient()
	if !ok || v.doc.Failed("clickhouse") {
		return
	}
	const hint = "clickhouse: off, clickhouse: embedded, or 'clickhouse://USER@HOST:9440?secure=true&password=${VARIABLE}'"
	if !strings.Contains(v.config.ClickHouse, ":") {
		v.doc.Report("clickhouse", hint, "%q is neither off nor embedded, and no URL", v.config.ClickHouse)
		return
	}
	if err := client.Validate(); err != nil {
		v.doc.Report("clickhouse", hint, "%v", err)
		return
	}
	if client.Database() != "" {
		v.doc.Report("clickhouse", hint, "the URL names a database; each segment has one of its own")
	}
}
