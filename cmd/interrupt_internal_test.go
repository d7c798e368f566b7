package cmd

import (
	"context"
	"os"
	"syscall"
	"testing"
)

func TestTheSecondSignalEndsAtOnce(t *testing.T) {
	signals := make(chan os.Signal)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go interrupt(signals, cancel, func() { close(ended) })
	signals <- syscall.SIGINT
	<-ctx.Done()
	select {
	case <-ended:
		t.Fatal("ended at the first signal")
	default:
	}
	signals <- syscall.SIGTERM
	<-ended
}
