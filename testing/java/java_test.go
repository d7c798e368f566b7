package java_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/braidhq/braid/testing/java"
)

// Another POM has another directory, so a change of it is fetched; what is there stays.
func TestJars(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	one, two := java.Jars{Name: "a", POM: []byte("1")}, java.Jars{Name: "a", POM: []byte("2")}
	dir, err := one.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if other, err := two.Dir(); err != nil || other == dir {
		t.Errorf("%s for both, %v", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "x.jar")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "") // no Maven
	if err := one.Fetch(t.Context(), os.Stderr); err != nil {
		t.Errorf("what is there was fetched again: %v", err)
	}
	if err := two.Fetch(t.Context(), os.Stderr); err == nil || !strings.Contains(err.Error(), "mvn") {
		t.Errorf("without Maven: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A program that ends by itself is not waited for.
func TestProgramThatEnds(t *testing.T) {
	java.Require(t)
	p := java.Start(t, java.Options{Name: "nothing", Jars: []string{t.TempDir()}, Main: "no.such.Program"})
	err := p.Await(func(context.Context) error { return errors.New("not there") })
	if !errors.Is(err, java.ErrEnded) || !strings.Contains(err.Error(), "no.such.Program") || p.Running() {
		t.Errorf("error %v, running: %v", err, p.Running())
	}
	if p.Used() <= 0 {
		t.Error("it used no processor time")
	}
	p.Kill() // does no harm
}

func TestPorts(t *testing.T) {
	seen := map[int]bool{}
	for _, port := range java.Ports(t, 50) {
		if port == 0 || seen[port] {
			t.Errorf("port %d", port)
		}
		seen[port] = true
	}
}
