package deployment

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/braidhq/braid/io/embedded"
	_ "github.com/braidhq/braid/io/store/memory" // the stores that a deployment can name
	_ "github.com/braidhq/braid/io/store/pebble"
	_ "github.com/braidhq/braid/io/store/postgres"
)

// StoreURL returns the URL for update.OpenStore: Store, where a pebble: without a directory lies under Data, and one that does not
// say how durable it is follows the embedded broker.
func (c *Config) StoreURL() string {
	u, err := url.Parse(storeText(c.Store))
	if err != nil || u.Scheme != "pebble" {
		return storeText(c.Store)
	}
	dir, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return c.Store
	}
	if dir += u.Path; dir == "" {
		dir = c.StoreDir()
	}
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	query := u.Query()
	if c.Kafka.Embedded != nil && c.Kafka.Embedded.Durability == embedded.DurabilityFsync && !query.Has("durability") {
		query.Set("durability", string(embedded.DurabilityFsync))
	}
	return (&url.URL{Scheme: u.Scheme, OmitHost: true, Path: filepath.ToSlash(dir), RawQuery: query.Encode()}).String()
}

// storeText completes a store that is only named.
func storeText(store string) string {
	if !strings.Contains(store, ":") {
		return store + ":"
	}
	return store
}

// StoreEmbedded reports whether the store is a directory that one process at a time can open.
func (c *Config) StoreEmbedded() bool { return strings.HasPrefix(storeText(c.Store), "pebble:") }
