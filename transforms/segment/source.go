package segment

import (
	"context"
	"fmt"
	"sync"

	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// Source is a segment as it is carried to where it is compiled: the text of its file.
type Source struct {
	File string // name of the file, for messages
	Text string // YAML
	// Snapshots is where what batch runs found lies, a URL that profile.OpenHistories takes; "" when there is no batch path.
	Snapshots string
}

var configs sync.Map // Source -> *update.Config: compiled once per process

// Config compiles the segment, once per process.
func (s Source) Config() (*update.Config, error) {
	if c, ok := configs.Load(s); ok {
		return c.(*update.Config), nil
	}
	parsed, err := Parse(s.File, []byte(s.Text))
	if err != nil {
		return nil, fmt.Errorf("segment: %w", err)
	}
	config, err := parsed.OpenConfig()
	if err != nil {
		return nil, err
	}
	if s.Snapshots != "" {
		histories, err := profile.OpenHistories(context.Background(), s.Snapshots)
		if err != nil {
			return nil, err
		}
		config = config.WithHistories(histories)
	}
	c, _ := configs.LoadOrStore(s, config)
	return c.(*update.Config), nil
}
