package aggregate

import (
	"sync"
	"sync/atomic"
)

var counters sync.Map // run -> *atomic.Int64

func counter(run string) *atomic.Int64 {
	c, _ := counters.LoadOrStore(run, new(atomic.Int64))
	return c.(*atomic.Int64)
}

// Progress returns how many events the workers in this process have read for a run, those of bundles that failed among them.
func Progress(run string) int64 { return counter(run).Load() }

// Forget forgets a run.
func Forget(run string) { counters.Delete(run) }
