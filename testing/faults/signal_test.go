package faults_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/braidhq/braid/testing/faults"
)

// more waits until the loader has n more events acknowledged.
func more(t *testing.T, load *faults.Loader, n int) {
	t.Helper()
	n += load.Acknowledged()
	faults.Await(t, "acknowledgements", func(context.Context) error {
		if have := load.Acknowledged(); have < n {
			return fmt.Errorf("%d events, want %d", have, n)
		}
		return nil
	})
}

// SIGTERM ends a process gracefully under load: exit code 0, and nothing is lost or counted twice.
func TestTerminate(t *testing.T) {
	place := faults.NewPlace(t, "")
	crowd := people(100)
	load := faults.StartLoader(crowd, 3, 20)
	for range 3 {
		process := place.Start().Reachable()
		load.Target(process)
		more(t, load, 500)
		process.Signal(syscall.SIGTERM)
		if code := process.Wait(); code != 0 {
			t.Fatalf("exit code %d:\n%s", code, process.Log())
		}
		if log := process.Log(); !strings.Contains(log, "msg=stopped") || strings.Contains(log, "level=ERROR") {
			t.Errorf("not a graceful end:\n%s", log)
		}
	}
	process := place.Start().Ready()
	load.Target(process)
	settle(t, place, process, load, crowd)
}

// A second signal ends a process that is stopping at once, with code 130, and nothing is lost or counted twice either.
func TestTerminateTwice(t *testing.T) {
	place := faults.NewPlace(t, "")
	crowd := people(100)
	load := faults.StartLoader(crowd, 3, 20)
	process := place.Start().Ready()
	load.Target(process)
	more(t, load, 500)

	// A request that does not come to its end keeps the process from ending soon.
	body, endless := io.Pipe()
	defer endless.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+process.Endpoints.HTTP+"/v1/events/page_view", body)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}()
	if _, err := io.WriteString(endless, `{"events":[`+strings.Repeat(" ", 1<<20)); err != nil { // more than what waits in between
		t.Fatal(err)
	}
	process.Signal(syscall.SIGTERM)
	process.Logs("once more ends it at once")
	begin := time.Now()
	process.Signal(syscall.SIGTERM)
	if code := process.Wait(); code != 130 {
		t.Fatalf("exit code %d after %v:\n%s", code, time.Since(begin), process.Log())
	}
	process.Logs("ended at once")
	endless.Close()
	<-ended

	process = place.Start().Ready()
	load.Target(process)
	settle(t, place, process, load, crowd)
}
