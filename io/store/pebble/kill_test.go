package pebble_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/braidhq/braid/io/store/pebble"
	"github.com/braidhq/braid/io/store/storetest"
)

var kills = flag.Int("kills", 6, "how often TestKill kills its process")

const killLedgers = 4

func ledgerOf(i int) storetest.Ledger { return storetest.Ledger{Prefix: fmt.Sprintf("%d/", i)} }

// TestMain turns the test binary into the process that is killed when the environment says so.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BRAID_TEST_KILL_DIR"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled commits from several goroutines and says each number once it is acknowledged.
func writeUntilKilled(dir string) {
	s, err := pebble.Open(dir, small(pebble.Process))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var writers sync.WaitGroup
	for i := range killLedgers {
		writers.Go(func() {
			for {
				n, err := ledgerOf(i).Append(context.Background(), s)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Printf("%d %d\n", i, n)
			}
		})
	}
	writers.Wait()
}

// TestKill kills a process with SIGKILL in the midst of its commits, again and again on the same directory; what it had
// acknowledged is there, and no commit in part.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	var acknowledged [killLedgers]int
	for round := range *kills {
		child := exec.CommandContext(t.Context(), program)
		child.Env = append(os.Environ(), "BRAID_TEST_KILL_DIR="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		after := 1 + rng.IntN(3000)
		for count := 0; lines.Scan(); count++ {
			var i, n int
			if _, err := fmt.Sscan(lines.Text(), &i, &n); err != nil {
				continue // the last line may be cut off
			}
			acknowledged[i] = max(acknowledged[i], n)
			if count == after {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
		s := open(t, dir, small(pebble.Process))
		for i, least := range acknowledged {
			found, err := ledgerOf(i).Applied(t.Context(), s)
			if err != nil || found < least || found > least+1 {
				t.Errorf("round %d: ledger %d holds %d commits, want %d or one more: %v", round, i, found, least, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("acknowledged %v", acknowledged)
}
