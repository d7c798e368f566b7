package update

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Version identifies one committed state of a row. Zero means that the row is absent. A version is never given out twice in the
// life of a store, not even when a row is deleted and written again.
type Version uint64

// Row is a key with its value as of one moment. An absent row has Version 0 and a nil Value.
type Row struct {
	Key     []byte
	Value   []byte
	Version Version
}

// Condition holds when the row at Key still has Version; Version 0 demands that the row is absent.
type Condition struct {
	Key     []byte
	Version Version
}

// Write sets the row at Key to Value, or deletes it when Value is nil. An empty, non-nil Value is stored as such.
type Write struct {
	Key   []byte
	Value []byte
}

// ErrConflict is returned by Store.Commit when a condition does not hold. Nothing was written; read again and retry.
var ErrConflict = errors.New("a row changed since it was read")

// Store is a transactional ordered key-value store: all that the real-time path asks of a database. Keys sort as bytes.
// Implementations are safe for concurrent use; callers do not change a slice they passed in or were given.
type Store interface {
	// Get returns one row per key, in the order of keys, all as of one moment. A key may be asked for twice.
	Get(ctx context.Context, keys [][]byte) ([]Row, error)

	// Scan returns at most limit rows with from <= key < to in ascending order, all as of one moment. A nil to means no upper
	// bound; limit must be positive.
	Scan(ctx context.Context, from, to []byte, limit int) ([]Row, error)

	// Commit applies all writes at once if every condition holds, and returns the version that the written rows now have, or an
	// error that wraps ErrConflict. A key may not be written twice in one commit. When Commit returns without error the writes
	// survive the death of the process; after any other error than ErrConflict it is unknown whether they were applied.
	Commit(ctx context.Context, conditions []Condition, writes []Write) (Version, error)

	// Close releases the store. Calls under way end first.
	Close() error
}

// StoreOpener opens the store a URL names.
type StoreOpener func(ctx context.Context, u *url.URL) (Store, error)

var stores struct {
	sync.Mutex
	openers map[string]StoreOpener
	open    map[string]*sharedStore
}

// RegisterStore makes stores with the given URL scheme available to OpenStore. It panics when a scheme is registered twice, so
// it belongs into an init function.
func RegisterStore(scheme string, open StoreOpener) {
	stores.Lock()
	defer stores.Unlock()
	if stores.openers == nil {
		stores.openers = map[string]StoreOpener{}
		stores.open = map[string]*sharedStore{}
	}
	if _, ok := stores.openers[scheme]; ok {
		panic("update.RegisterStore: scheme " + scheme + " registered twice")
	}
	stores.openers[scheme] = open
}

// OpenStore opens the store at rawURL, for example "pebble:/var/lib/braid/store". Within a process one URL is opened once and
// shared: DoFns of many bundles open it, and the last Close releases it.
func OpenStore(ctx context.Context, rawURL string) (Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) { // without the URL, which may hold a password
			err = wrong.Err
		}
		return nil, fmt.Errorf("store URL: %w", err)
	}
	stores.Lock()
	defer stores.Unlock()
	if s, ok := stores.open[rawURL]; ok {
		s.users++
		return &storeHandle{sharedStore: s}, nil
	}
	open, ok := stores.openers[u.Scheme]
	if !ok {
		return nil, fmt.Errorf("store %q: unknown kind %q, known are: %s", u.Redacted(), u.Scheme, strings.Join(storeSchemes(), ", "))
	}
	s, err := open(ctx, u)
	if err != nil {
		return nil, err
	}
	shared := &sharedStore{Store: s, url: rawURL, users: 1}
	stores.open[rawURL] = shared
	return &storeHandle{sharedStore: shared}, nil
}

// StoreSchemes returns the URL schemes that OpenStore knows, ascending.
func StoreSchemes() []string {
	stores.Lock()
	defer stores.Unlock()
	return storeSchemes()
}

func storeSchemes() []string {
	names := make([]string, 0, len(stores.openers))
	for name := range stores.openers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type sharedStore struct {
	Store
	url   string
	users int
	turn  sync.RWMutex // see Worker
}

// storeHandle is one user's share of an open store; closing it twice is harmless.
type storeHandle struct {
	*sharedStore
	closed sync.Once
}

// Close gives the share back; the last one closes the store.
func (h *storeHandle) Close() (err error) {
	h.closed.Do(func() {
		stores.Lock()
		defer stores.Unlock()
		h.users--
		if h.users == 0 {
			delete(stores.open, h.url)
			err = h.Store.Close()
		}
	})
	return err
}
