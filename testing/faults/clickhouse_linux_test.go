package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/braidhq/braid/batch"
	"github.com/braidhq/braid/io/embedded/clickhouse"
	"github.com/braidhq/braid/testing/faults"
	"github.com/braidhq/braid/testing/require"
)

// children returns the processes that a process has started.
func children(t *testing.T, process int) (all []int) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", process))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", process, task.Name()))
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(text)) {
			if id, err := strconv.Atoi(field); err == nil {
				all = append(all, id)
			}
		}
	}
	return all
}

// TestClickHouseDies kills ClickHouse alone, again and again, while events come in and batch runs are asked for: the real-time path does
// not notice, runs fail with an error that says why, and in the end the archive has everything once.
func TestClickHouseDies(t *testing.T) {
	_, err := clickhouse.Find()
	require.Component(t, "clickhouse", err == nil, "fetch it with: go run ./io/embedded/clickhouse/fetch")
	place := faults.NewPlace(t, "clickhouse: embedded")
	crowd := people(200)
	load := faults.StartLoader(crowd, 2, 20)
	process := place.Start().Ready()
	load.Target(process)
	for range 4 {
		enough := load.Acknowledged() + 1500
		faults.Await(t, "a child", func(context.Context) error {
			if len(children(t, process.ID())) == 0 {
				return fmt.Errorf("there is none")
			}
			return nil
		})
		for _, child := range children(t, process.ID()) {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
		if code, out, log := place.Run("batch", "run"); code != 0 && !strings.Contains(log, "clickhouse") && !strings.Contains(log, "archive") && !strings.Contains(log, "connect") && !strings.Contains(log, "EOF") && !strings.Contains(log, "read:") {
			t.Errorf("the error does not say why: %d %s %s", code, out, log)
		}
		for load.Acknowledged() < enough {
			if !process.Running() {
				t.Fatalf("braid ended; its log:\n%s", process.Log())
			}
			time.Sleep(time.Millisecond)
		}
	}
	if err := load.Stop(); err != nil {
		t.Fatal(err)
	}
	process.Applied()
	process.Agrees(crowd)
	faults.Await(t, "a batch run", func(context.Context) error {
		if code, _, log := place.Run("batch", "run"); code != 0 {
			return fmt.Errorf("%d %s", code, log)
		}
		return nil
	})
	code, out, log := place.Run("verify", "--all", "--json")
	var v batch.Verification
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v.Differences != 0 || v.Compared != crowd.Profiles() {
		t.Fatal(code, err, out, log)
	}
	process.Stop()
}
