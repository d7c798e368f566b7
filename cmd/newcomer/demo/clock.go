package demo

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// clock is the shop's: it stands at the receive time of the last event sent, so that nothing in the process is ever ahead of the
// stream. It never goes back.
type clock struct{ ms atomic.Int64 }

// Now returns the shop's time.
func (c *clock) Now() time.Time { return time.UnixMilli(c.ms.Load()).UTC() }

func (c *clock) set(ms int64) {
	for {
		now := c.ms.Load()
		if ms <= now || c.ms.CompareAndSwap(now, ms) {
			return
		}
	}
}

func (c *clock) pass(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// freeAddress returns the address or, when it is taken, one with a free port.
func freeAddress(ctx context.Context, address string) string {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		host, _, _ := net.SplitHostPort(address)
		return net.JoinHostPort(host, "0")
	}
	l.Close()
	return address
}

// sleep waits a moment of real time.
func sleep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}
