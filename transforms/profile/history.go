package profile

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/identity"
)

// History is what a batch run found: what all epochs before one of them add up to, and what was imported. It does not change, and is
// safe for concurrent use.
type History interface {
	// Epoch is the first epoch that is not part of it.
	Epoch() uint64
	// Cell returns what the events of a cell before Epoch add up to; ok is false when it had none.
	Cell(id identity.ID) (past Bucket, ok bool, err error)
	// Imported returns what was imported for an identifier; nil when nothing was.
	Imported(id identity.ID) (attribute.Imported, error)
}

// Histories has the history of the latest batch run.
type Histories interface {
	// Current returns it, or nil while there is none. It is safe for concurrent use.
	Current() History
}

// HistoriesOpener opens histories named by a URL.
type HistoriesOpener func(ctx context.Context, u *url.URL) (Histories, error)

var openers sync.Map // scheme -> HistoriesOpener

// RegisterHistories makes histories with a URL scheme available to OpenHistories. It panics when a scheme is registered twice, so it
// belongs into an init function.
func RegisterHistories(scheme string, open HistoriesOpener) {
	if _, known := openers.LoadOrStore(scheme, open); known {
		panic("profile.RegisterHistories: scheme " + scheme + " registered twice")
	}
}

// OpenHistories opens the histories at a URL.
func OpenHistories(ctx context.Context, rawURL string) (Histories, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("histories: %w", err)
	}
	open, ok := openers.Load(u.Scheme)
	if !ok {
		return nil, fmt.Errorf("histories: unknown kind %q", u.Scheme)
	}
	return open.(HistoriesOpener)(ctx, u)
}

// ErrHistory is wrapped by errors about cells that dropped what a history holds, where that history, or a later one, is not at hand.
var ErrHistory = errors.New("a snapshot of the batch path is needed; if it was lost, 'braid batch run --full' makes one")

// Contents returns buckets that hold each event of the cell once: what the history has of it, and what came since.
func (c *Cell) Contents(h History) ([]Bucket, error) {
	switch {
	case c.Whole || h == nil && !c.Pruned:
		return c.Buckets, nil
	case h == nil || h.Epoch() < c.Floor:
		if !c.Pruned {
			return c.Buckets, nil
		}
		return nil, fmt.Errorf("cell %s keeps epochs from %d on: %w", c.ID, c.Floor, ErrHistory)
	}
	past, ok, err := h.Cell(c.ID)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cell %s: %w", c.ID, err)
	case !ok && c.Pruned:
		return nil, fmt.Errorf("cell %s is not in the snapshot of epoch %d: %w", c.ID, h.Epoch(), ErrHistory)
	case !ok: // the archive took its events for those of another set
		return c.Buckets, nil
	}
	i, _ := slices.BinarySearchFunc(c.Buckets, h.Epoch(), compareBucket)
	return append([]Bucket{past}, c.Buckets[i:]...), nil
}

// settle makes the cell one that no history applies to: it takes over what the history has of it.
func (c *Cell) settle(h History) error {
	if c.Whole {
		return nil
	}
	contents, err := c.Contents(h)
	if err != nil {
		return err
	}
	c.Buckets, c.Whole, c.Pruned = slices.Clone(contents), true, false
	return nil
}

// imported returns what was imported for a document: for its value of the profile key.
func (f *Folder) imported(d *Document) (attribute.Imported, error) {
	if f.History == nil {
		return nil, nil
	}
	for _, m := range d.Members {
		if m.Key == f.Rules.ProfileKey() {
			return f.History.Imported(identity.NewID(f.Namespace, m))
		}
	}
	return nil, nil
}
