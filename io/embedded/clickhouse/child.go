package clickhouse

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// order is what a child is told, in the environment.
type order struct {
	Library string `json:"library"`
	Dir     string `json:"dir"`
	Config  string `json:"config"`
	Port    int    `json:"port"`
	// PortFile is where the child writes the port that it listens on.
	PortFile string `json:"port_file"`
}

const orderVariable = "BRAID_CLICKHOUSE_CHILD"

// child is a process that holds the server.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // its end ends the child; kept here so that it is not collected
	port  int
	ended chan struct{}
	err   error // valid once ended
	words lastWords
}

// startChild starts a child and waits until it has a port.
func startChild(ctx context.Context, o Options) (_ *child, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := os.MkdirTemp("", "braid-clickhouse-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(ports)
	portFile := filepath.Join(ports, "port")
	text, err := json.Marshal(order{
		Library: o.Library, Dir: filepath.Join(o.Dir, "data"), Config: filepath.Join(o.Dir, configFile), Port: o.Port, PortFile: portFile,
	})
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(program), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	c.cmd.Dir = o.Dir
	detach(c.cmd)
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.words.listen(stderr, o.Logger)
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	for {
		if raw, err := os.ReadFile(portFile); err == nil && strings.HasSuffix(string(raw), "\n") {
			if c.port, err = strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
				return c, nil
			}
		}
		select {
		case <-c.ended:
			return nil, c.failure()
		case <-ctx.Done():
			c.end()
			return nil, fmt.Errorf("it did not come up: %w; it said: %s", context.Cause(ctx), c.words.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// failure says why a child has ended.
func (c *child) failure() error {
	words := c.words.String()
	if words == "" && c.err == nil {
		return errors.New("it ended without a word")
	}
	if c.err == nil {
		return errors.New(words)
	}
	return fmt.Errorf("%w: %s", c.err, words)
}

// stopPatience is how long a child may take to end: with connections open it takes some seconds.
const stopPatience = 10 * time.Second

// end ends a child and waits for it.
func (c *child) end() {
	c.stdin.Close()
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		c.cmd.Process.Kill()
		<-c.ended
	}
}

// lastWords keeps the end of what a child says.
type lastWords struct {
	mu    sync.Mutex
	lines []string
}

const keptLines = 20

func (w *lastWords) listen(r io.Reader, logger *slog.Logger) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		logger.Debug("embedded ClickHouse: " + line)
		w.mu.Lock()
		if w.lines = append(w.lines, line); len(w.lines) > keptLines {
			w.lines = w.lines[1:]
		}
		w.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long: a full pipe would stop the child
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}
