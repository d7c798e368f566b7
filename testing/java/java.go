// Package java runs Java programs for tests, from jars that Maven fetches once for all tests of a user.
//
// In goes a pom.xml that names what is needed; out come its jars, in a directory under the user's cache that is never part of the
// repository, and Programs made of them, which end with the test. `go run ./testing/java/fetch` fetches the jars; a test
// without them is skipped, or fails where BRAID_REQUIRE asks for them.
package java

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a program may take to come up; it is far more than any needs.
const patience = 2 * time.Minute

// Options say what a program is.
type Options struct {
	Name      string   // for messages
	Jars      []string // files
	Flags     []string // of the virtual machine
	Main      string   // class
	Arguments []string
	Dir       string // working directory
}

// Program is a running Java program.
type Program struct {
	name  string
	t     testing.TB
	cmd   *exec.Cmd
	log   logBuffer
	guard io.WriteCloser
	ended chan struct{}
}

// logBuffer collects what a program writes while it is being read.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Start starts a program and returns at once. It is killed at the end of the test, which shows the end of its log if it failed, and
// also when the test's process is gone.
func Start(t testing.TB, o Options) *Program {
	t.Helper()
	p := &Program{name: o.Name, t: t, cmd: command(o), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	// A line means that all is well; the end of the input without one, that the test's process is gone.
	guard := exec.Command("sh", "-c", "read -r line || kill -KILL "+strconv.Itoa(p.ID()))
	var err error
	if p.guard, err = guard.StdinPipe(); err == nil {
		err = guard.Start()
	}
	if err != nil {
		p.cmd.Process.Kill()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		guard.Wait()
		if t.Failed() {
			t.Logf("log of %s:\n%s", o.Name, p.tail())
		}
	})
	return p
}

// Run runs a program to its end.
func Run(t testing.TB, o Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := command(o)
	stop := context.AfterFunc(ctx, func() {
		if c.Process != nil {
			c.Process.Kill()
		}
	})
	defer stop()
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", o.Name, err, out)
	}
}

func command(o Options) *exec.Cmd {
	arguments := append([]string{"-cp", strings.Join(o.Jars, ":")}, o.Flags...)
	c := exec.Command("java", append(append(arguments, o.Main), o.Arguments...)...)
	c.Dir = o.Dir
	return c
}

// ID returns the process ID.
func (p *Program) ID() int { return p.cmd.Process.Pid }

// Log returns what the program has written so far.
func (p *Program) Log() string { return p.log.String() }

func (p *Program) tail() string {
	text := p.Log()
	return text[max(0, len(text)-8000):]
}

// Running reports whether the program has not ended.
func (p *Program) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Kill ends the program with SIGKILL, if it runs, and waits for its end.
func (p *Program) Kill() {
	if p.Running() {
		p.cmd.Process.Kill()
		<-p.ended
	}
	_, _ = io.WriteString(p.guard, "\n")
	_ = p.guard.Close()
}

// Used returns the processor time that the program has used; it must have ended.
func (p *Program) Used() time.Duration {
	<-p.ended
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// ErrEnded is wrapped by the error about a program that ended before it was ready.
var ErrEnded = errors.New("it ended")

// Await waits until a condition holds: it returns nil. The error is the condition's last word, or tells with the log's end that
// the program ended.
func (p *Program) Await(condition func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for {
		err := condition(ctx)
		switch {
		case err == nil:
			return nil
		case !p.Running():
			return fmt.Errorf("%s: %w (%v):\n%s", p.name, ErrEnded, err, p.tail())
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w:\n%s", p.name, err, p.tail())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Ports returns ports of the loopback address that nobody has.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // only now, so that none is given out twice
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports
}
