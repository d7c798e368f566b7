// Package require is how a test says that it needs a component which a machine may lack.
//
// In goes what was found; a test without its component is skipped on a developer's machine, and fails where BRAID_REQUIRE asks for
// the component, as the continuous integration does with BRAID_REQUIRE=all. It is the only place that skips a test.
package require

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Variable names the environment variable that lists, separated by commas, the components a machine must have; "all" stands for
// every one.
const Variable = "BRAID_REQUIRE"

// Component ends the test when the named component was not found: it skips it, or fails it when BRAID_REQUIRE asks for the
// component. The hint says how to get it, for example "install Java 17 or newer".
func Component(t testing.TB, name string, found bool, hint string) {
	t.Helper()
	if found {
		return
	}
	if Required(name) {
		t.Fatalf("%s is missing and %s=%s asks for it: %s", name, Variable, os.Getenv(Variable), hint)
	}
	t.Skipf("%s is missing: %s", name, hint)
}

// Required reports whether the environment asks for the named component.
func Required(name string) bool {
	asked := strings.Split(os.Getenv(Variable), ",")
	return slices.Contains(asked, "all") || slices.Contains(asked, name)
}
