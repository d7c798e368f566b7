// Package faults does to braid what the world does to processes: it kills them, fills their disk, takes their broker away, and feeds
// them nonsense.
//
// In goes a test binary that is braid as well (see Main); out come a Place, which is a data directory with the two files of a
// deployment, Processes that come and go on it, a Loader that keeps account of what was acknowledged to it, and Effects, which are
// what the topics tell others. Everything waits for conditions, never for a time.
package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/braidhq/braid/cmd"
	"github.com/braidhq/braid/cmd/deployment"
	"github.com/braidhq/braid/testing/shop"
	"github.com/braidhq/braid/transforms/segment"
	"github.com/braidhq/braid/transforms/update"
)

// asBraid makes the test binary braid.
const asBraid = "BRAID_TEST_AS_BRAID"

// Patience is how long a condition may take to come true before a test gives up on it; it is far more than any needs.
const Patience = 2 * time.Minute

// Main is what TestMain does: it is braid in the processes that a Place starts, and runs the tests otherwise.
func Main(m *testing.M) {
	if os.Getenv(asBraid) != "" {
		go endWithParent(os.Getppid())
		cmd.Main()
	}
	os.Exit(m.Run())
}

// endWithParent keeps a process from outliving a test that was cut off.
func endWithParent(parent int) {
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
	os.Exit(1)
}

// Place is a data directory with a segment.yaml and a braid.yaml, on which one process at a time can run.
type Place struct {
	Data        string // directory
	SegmentFile string
	ConfigFile  string

	t testing.TB
}

// NewPlace makes a place for the shop's segment. The lines of YAML go into its braid.yaml, beside data directory and address.
func NewPlace(t testing.TB, lines string) *Place {
	t.Helper()
	dir := t.TempDir()
	return NewPlaceAt(t, filepath.Join(dir, "data"), lines)
}

// NewPlaceAt is NewPlace with a data directory of the caller's.
func NewPlaceAt(t testing.TB, data, lines string) *Place {
	t.Helper()
	dir := t.TempDir()
	p := &Place{t: t, Data: data, SegmentFile: filepath.Join(dir, "segment.yaml"), ConfigFile: filepath.Join(dir, "braid.yaml")}
	p.WriteSegment(shop.Segment)
	config := fmt.Sprintf("data: %q\nlisten: '127.0.0.1:0'\nepochs: {interval: 2s}\n%s\n", data, lines)
	if err := os.WriteFile(p.ConfigFile, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// WriteSegment replaces segment.yaml.
func (p *Place) WriteSegment(text []byte) {
	p.t.Helper()
	if err := os.WriteFile(p.SegmentFile, text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// Segment returns the segment as the file says it.
func (p *Place) Segment() *segment.Segment {
	p.t.Helper()
	text, err := os.ReadFile(p.SegmentFile)
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := segment.Parse(p.SegmentFile, text)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// Deployment returns what braid.yaml says.
func (p *Place) Deployment() *deployment.Config {
	p.t.Helper()
	c, err := deployment.Load(p.ConfigFile)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// Store opens the store while no process runs, and closes it at the end of the test at the latest.
func (p *Place) Store() update.Store {
	p.t.Helper()
	store, err := update.OpenStore(context.Background(), p.Deployment().StoreURL())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { store.Close() })
	return store
}

// Progress returns how far the stream has been applied, while no process runs.
func (p *Place) Progress() map[update.Partition]update.Progress {
	p.t.Helper()
	store := p.Store()
	progress, err := update.ReadProgress(context.Background(), store, p.Segment().Name)
	if err := errors.Join(err, store.Close()); err != nil {
		p.t.Fatal(err)
	}
	return progress
}

// command is braid with arguments and the place's files.
func (p *Place) command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], append(args, "--segment", p.SegmentFile, "--config", p.ConfigFile)...)
	c.Env = append(os.Environ(), asBraid+"=1")
	return c
}

// Run runs a command of braid to its end and returns its exit code and what it wrote.
func (p *Place) Run(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c := p.command(args...)
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { c.Process.Kill() })
	defer stop()
	if err := c.Wait(); ctx.Err() != nil {
		p.t.Fatalf("braid %v did not end: %v\n%s", args, err, log.String())
	}
	return c.ProcessState.ExitCode(), out.String(), log.String()
}

// Await waits until a condition holds: it returns nil. Otherwise the test ends with the condition's last word.
func Await(t testing.TB, what string, condition func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
