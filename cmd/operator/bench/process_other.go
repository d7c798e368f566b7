//go:build !linux

package bench

// Only Linux tells these figures in a way that needs no further library.

func processorSeconds() float64 { return 0 }
func resident() int64           { return 0 }
func peakResident() int64       { return 0 }
func resetPeak()                {}
func cpuName() string           { return "" }
func loadAverage() float64      { return 0 }
