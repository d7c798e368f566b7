package bench

import (
	"context"
	"time"

	"github.com/braidhq/braid/testing/exact"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/update"
)

// check compares every profile with what was sent and returns how many there are.
func check(ctx context.Context, people *shop.People, reader *update.Reader) (int, error) {
	profiles, err := exact.Check(ctx, people, reader, time.Now().UnixMilli())
	return len(profiles), err
}
