package batch

import (
	"context"
	"fmt"
	"reflect"

	"github.com/braidhq/braid/batch/snapshot"
	"github.com/braidhq/braid/transforms/attribute"
	"github.com/braidhq/braid/transforms/identity"
	"github.com/braidhq/braid/transforms/profile"
	"github.com/braidhq/braid/transforms/update"
)

// tell has the real-time path look anew at the people for whom something else was imported than before: they may enter or leave audiences,
// and their profiles are published.
func (r *run) tell(ctx context.Context) error {
	now, err := update.NewStreamClock(r.Store, r.Segment.Name, r.Events).Now(ctx)
	if err != nil {
		return err
	}
	after := r.directory.Latest()
	names := r.Segment.Attributes.Imports()
	if now == 0 || len(names) == 0 {
		return nil
	}
	seen := uint64(0)
	n, err := update.Revisit(ctx, r.Segment.Config().WithHistories(r.directory), r.Store, now, func(d *profile.Document) (bool, error) {
		if seen++; seen%10_000 == 0 {
			r.say("telling", seen, r.report.Profiles, "profiles")
		}
		for _, m := range d.Members {
			if m.Key != r.Segment.ProfileKey {
				continue
			}
			return differ(names, r.before, after, identity.NewID(r.Segment.Name, m))
		}
		return false, nil
	})
	r.report.Revisited = uint64(n)
	if err != nil {
		return fmt.Errorf("looking at people anew: %w", err)
	}
	return nil
}

// differ reports whether what two snapshots have imported for an identifier differs in what attributes take from it.
func differ(names []string, before, after *snapshot.Snapshot, id identity.ID) (bool, error) {
	var a, b attribute.Imported
	var err error
	if before != nil {
		if a, err = before.Imported(id); err != nil {
			return false, err
		}
	}
	if b, err = after.Imported(id); err != nil {
		return false, err
	}
	for _, name := range names {
		if !reflect.DeepEqual(a[name], b[name]) {
			return true, nil
		}
	}
	return false, nil
}
