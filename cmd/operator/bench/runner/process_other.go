//go:build !linux

package runner

// processor is known on Linux only.
func (p *process) processor() float64 { return 0 }
