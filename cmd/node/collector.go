package node

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The garbage collector runs when as much was allocated as the heap has live bytes, times a percentage. What is live here is a few
// dozen megabytes, for what is remembered of the store lies outside of the heap, so a fixed percentage would either make it run all
// the time or let the heap of a node with much to hold grow to a multiple of it. Instead it may allocate spareHeap, or leastPercent
// where that is more.
const (
	spareHeap    = 80 << 20 // bytes
	leastPercent = 50
)

// TuneCollector makes the garbage collector spare with memory or with work, whichever matters; GOGC in the environment overrides it.
func TuneCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	set := -1
	var tune func(*collected)
	tune = func(c *collected) {
		metrics.Read(live)
		percent := max(leastPercent, int(spareHeap*100/max(live[0].Value.Uint64(), 1<<20)))
		if percent != set {
			set = percent
			debug.SetGCPercent(percent)
		}
		runtime.SetFinalizer(c, tune) // it is found dead again by the next collection
	}
	tune(&collected{})
}

// collected is found dead by each collection.
type collected struct{ _ [16]byte }
