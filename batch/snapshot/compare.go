package snapshot

import (
	"bytes"
	"iter"

	"github.com/braidhq/braid/transforms/identity"
)

// Compare says of each cell whether a base and a delta add up to what whole has of it. All are in the order of their IDs.
func Compare(base, delta, whole iter.Seq2[Cell, error]) iter.Seq2[bool, error] {
	return func(yield func(bool, error) bool) {
		next := [3]func() (Cell, error, bool){}
		var heads [3]*Cell
		advance := func(i int) error {
			c, err, ok := next[i]()
			heads[i] = nil
			if ok && err == nil {
				heads[i] = &Cell{c.ID, c.Events, bytes.Clone(c.States), nil}
			}
			return err
		}
		for i, s := range []iter.Seq2[Cell, error]{base, delta, whole} {
			pull, stop := iter.Pull2(s)
			defer stop()
			next[i] = pull
			if err := advance(i); err != nil {
				yield(false, err)
				return
			}
		}
		for {
			var id identity.ID
			any := false
			for _, h := range heads {
				if h != nil && (!any || less(h.ID, id)) {
					id, any = h.ID, true
				}
			}
			if !any {
				return
			}
			var sum, want Cell
			for i, h := range heads {
				if h == nil || h.ID != id {
					continue
				}
				var err error
				if i == 2 {
					want = *h
				} else if sum, err = sum.plus(*h); err != nil {
					yield(false, err)
					return
				}
				if err := advance(i); err != nil {
					yield(false, err)
					return
				}
			}
			if !yield(sum.Events == want.Events && bytes.Equal(sum.States, want.States), nil) {
				return
			}
		}
	}
}
