package faults_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/faults"
)

// A second process on a data directory says who has it and ends; the first does not notice.
func TestSecondProcess(t *testing.T) {
	place := faults.NewPlace(t, "")
	first := place.Start().Ready()
	code, _, stderr := place.Run("run")
	if code == 0 {
		t.Error("the second process ended with code 0")
	}
	for _, want := range []string{place.Data, fmt.Sprintf("process %d", first.ID()), "stop that process or name another directory"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the message lacks %q:\n%s", want, stderr)
		}
	}
	first.Ready()
	if e, ok, err := place.Deployment().Published(); err != nil || !ok || e.Process != first.ID() {
		t.Errorf("endpoints are now %+v %v %v, those of process %d were", e, ok, err, first.ID())
	}
	first.Kill()
	place.Start().Ready().Stop() // a killed process holds nothing
}
