package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// process is a runner at work.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	errors strings.Builder
	ended  chan struct{}
	err    error
}

func (r *run) start(ctx context.Context, w Work) (*process, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	command := append(slices.Clone(r.Command[w.Runner]), string(text))
	p := &process{cmd: exec.CommandContext(ctx, command[0], command[1:]...), ended: make(chan struct{})}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.stdout = bufio.NewReader(read)
	p.cmd.Stdout, p.cmd.Stderr = write, &p.errors
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	write.Close()
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// seconds returns what the process says it took.
func (p *process) seconds() (float64, error) {
	for {
		line, err := p.stdout.ReadString('\n')
		var done Done
		if json.Unmarshal([]byte(line), &done) == nil && done.Seconds > 0 {
			return done.Seconds, nil
		}
		if err != nil {
			<-p.ended
			return 0, p.alive()
		}
	}
}

// alive returns an error if the process has ended.
func (p *process) alive() error {
	select {
	case <-p.ended:
		text := p.errors.String()
		return fmt.Errorf("its process ended: %w: %s", p.err, text[max(0, len(text)-1000):])
	default:
		return nil
	}
}

// end kills the process: it holds nothing that is needed.
func (p *process) end() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}
