package deployment

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/braidhq/braid/io/clickhouseio"
	"github.com/braidhq/braid/transforms/strict"
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

func (v *validator) checkArchive() {
	a := v.config.Archive
	path := strict.Path("archive")
	const day = Age(24 * time.Hour)
	if a.Retention != -1 && (a.Retention < day || a.Retention%day != 0) && !v.doc.Failed(path.Key("retention")) {
		v.doc.Report(path.Key("retention"), "for example 400d, or forever", "a whole number of days is needed, at least 1d")
	}
	if a.Cluster != "" && v.config.ClickHouse == ClickHouseEmbedded {
		v.doc.Report(path.Key("cluster"), "name a cluster of your own: 'clickhouse://USER@HOST:9440?...'", "the embedded server is no cluster")
	}
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
