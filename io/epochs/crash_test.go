package epochs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/braidhq/braid/io/epochs"
)

// TestCrashAnywhere kills controllers at each of their writes, before or after the broker has it, and checks that what is recorded
// always agrees with the stream.
func TestCrashAnywhere(t *testing.T) {
	for _, applied := range []bool{false, true} {
		for at := int64(1); at <= 14; at++ {
			t.Run(fmt.Sprintf("applied=%v/write %d", applied, at), func(t *testing.T) {
				b := newBench(t, 3)
				crashAt(t, b, at, applied)
				after := b.check(t)
				c := b.controller(t, nil)
				latest, err := c.Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if known, ok := after.Latest(); ok && latest.Epoch < known.Epoch {
					t.Errorf("went back from epoch %d to %d", known.Epoch, latest.Epoch)
				}
				b.produce(t, 2, 1)
				next, err := c.Advance(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if next.Epoch <= after.Highest {
					t.Errorf("epoch %d was used before: highest begun is %d", next.Epoch, after.Highest)
				}
				b.check(t)
			})
		}
	}
}

func TestManyCrashes(t *testing.T) {
	b := newBench(t, 2)
	random := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		crashAt(t, b, 1+random.Int64N(12), random.IntN(2) == 0)
		b.check(t)
	}
	c := b.controller(t, nil)
	if _, err := c.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.check(t)
}

// crashAt runs a controller for some epochs and stops it at its write number at.
func crashAt(t *testing.T, b *bench, at int64, applied bool) {
	t.Helper()
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	c := b.controller(t, nil)
	var writes atomic.Int64
	b.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if writes.Add(1) < at {
			return nil, nil, false
		}
		crash()
		if applied {
			return nil, nil, false
		}
		return nil, errors.New("gone"), true
	})
	if _, err := c.Start(ctx); err == nil {
		for range 4 {
			if _, err := c.Advance(ctx); err != nil {
				break
			}
		}
	}
	c.Close()
	// Replace the control by one that removes itself.
	b.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, nil, false })
	writes.Store(-1 << 40)
}

func TestOtherControllerIsNoticed(t *testing.T) {
	b := newBench(t, 2)
	one, two := b.controller(t, nil), b.controller(t, nil)
	for _, c := range []*epochs.Controller{one, two} {
		if _, err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	noticed := false
	for range 5 {
		for _, c := range []*epochs.Controller{one, two} {
			if _, err := c.Advance(t.Context()); errors.Is(err, epochs.ErrOtherController) {
				noticed = true
			} else if err != nil {
				t.Fatal(err)
			}
			b.check(t)
		}
	}
	if !noticed {
		t.Error("nobody noticed")
	}
	if _, err := one.Advance(t.Context()); err != nil && !errors.Is(err, epochs.ErrOtherController) {
		t.Error(err)
	}
	if _, err := one.Advance(t.Context()); err != nil {
		t.Errorf("alone again: %v", err)
	}
}

func TestFloorWhenTheTopicOfEpochsIsLost(t *testing.T) {
	b := newBench(t, 1)
	c := b.controller(t, func(config *epochs.Config) {
		config.Floor = func(context.Context) (uint64, error) { return 41, nil }
	})
	if e, err := c.Start(t.Context()); err != nil || e.Epoch != 42 {
		t.Errorf("epoch %v, %v", e, err)
	}
}

func TestStepGivesUpOnABrokerThatIsSilent(t *testing.T) {
	b := newBench(t, 1)
	c := b.controller(t, func(config *epochs.Config) { config.Timeout = 100 * time.Millisecond })
	if _, err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	b.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		<-release
		return nil, nil, false
	})
	b.now = b.now.Add(time.Hour)
	err := c.Step(t.Context())
	close(release)
	if err == nil {
		t.Error("a step succeeded without an answer")
	}
	for range 100 { // what arrived late costs at most some attempts
		if err = c.Step(t.Context()); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("after the broker answers again: %v", err)
	}
	b.check(t)
}
