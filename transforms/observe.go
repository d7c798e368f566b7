package transforms

import (
	"sync"
	"time"

	"github.com/braidhq/braid/transforms/update"
)

// Applied is a bundle that was committed.
type Applied struct {
	Inputs           []*update.Input // empty where time alone was the cause
	Result           update.Result
	Began, Committed time.Time
}

var observers struct {
	sync.RWMutex
	all map[int]func(Applied)
	n   int
}

// Observe has f called after each commit of Update and Advance in this process, from the goroutine of the bundle; f must not keep
// the inputs. The function it returns ends that.
func Observe(f func(Applied)) (stop func()) {
	observers.Lock()
	defer observers.Unlock()
	if observers.all == nil {
		observers.all = map[int]func(Applied){}
	}
	observers.n++
	n := observers.n
	observers.all[n] = f
	return func() {
		observers.Lock()
		defer observers.Unlock()
		delete(observers.all, n)
	}
}

func observe(a Applied) {
	observers.RLock()
	defer observers.RUnlock()
	for _, f := range observers.all {
		f(a)
	}
}
