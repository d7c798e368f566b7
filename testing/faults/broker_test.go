package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/braidhq/braid/io/embedded"
	"github.com/braidhq/braid/testing/faults"
)

// startBroker runs a broker outside of braid, as soon as the port is free.
func startBroker(t *testing.T, dir string, port int) *embedded.Broker {
	t.Helper()
	var broker *embedded.Broker
	faults.Await(t, "a broker", func(ctx context.Context) (err error) {
		broker, err = embedded.StartBroker(ctx, embedded.Options{Dir: dir, Port: port, Logger: slog.New(slog.DiscardHandler)})
		return err
	})
	t.Cleanup(func() { broker.Close() })
	return broker
}

// A broker that goes away and comes back on the same address: ingest says 503 and when to try again, the pipelines wait, the process
// stays, and in the end everything counts once.
func TestBrokerGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broker := startBroker(t, dir, 0)
	_, text, err := net.SplitHostPort(broker.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	place := faults.NewPlace(t, fmt.Sprintf("kafka: {brokers: ['127.0.0.1:%d']}", port))
	crowd := people(100)
	load := faults.StartLoader(crowd, 3, 20)
	process := place.Start().Ready()
	load.Target(process)
	for range outages() {
		more(t, load, 500)
		if err := broker.Close(); err != nil {
			t.Fatal(err)
		}
		process.NotReady(`"broker"`)
		before := load.Refused()
		faults.Await(t, "an answer 503", func(context.Context) error { // the loader fails without Retry-After
			if load.Refused() == before {
				return errors.New("there is none")
			}
			return nil
		})
		broker = startBroker(t, dir, port)
		process.Ready()
	}
	more(t, load, 500)
	settle(t, place, process, load, crowd)
	t.Logf("%d requests sent again, %d answers 503", load.Repeated(), load.Refused())
}

func outages() int {
	if os.Getenv("BRAID_LONG") != "" {
		return 5
	}
	return 1
}
