package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/cmd/deployment"
	_ "github.com/braidhq/braid/io/catalogues" // opens catalogues
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// CoreConfig returns what the core works by, with what batch runs found.
func CoreConfig(config *deployment.Config, s *segment.Segment) (*update.Config, error) {
	d, err := snapshot.Open(config.SnapshotsDir())
	if d == nil || err != nil && d.Latest() == nil {
		return nil, err
	}
	core, err := s.OpenConfig()
	if err != nil {
		return nil, err
	}
	return core.WithHistories(d), nil
}

// OpenStore opens the store of a deployment without making a new one. The store of a running node is locked.
func OpenStore(ctx context.Context, config *deployment.Config) (update.Store, error) {
	u, err := url.Parse(config.StoreURL())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if config.StoreEmbedded() {
		if _, err := os.Stat(u.Path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no store in %s yet; 'braid run' makes it, or name another directory with --data", u.Path)
		}
	}
	return update.OpenStore(ctx, u.String())
}
