package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A Process is a server under load.
type Process struct {
	// URL is where it said that it listens.
	URL string

	cmd  *exec.Cmd
	dead chan struct{}
	mu   sync.Mutex
	out  strings.Builder
	err  error
}

// Start starts a server and waits until it prints "listening on <URL>" on its
// standard output.
func Start(ctx context.Context, cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, dead: make(chan struct{})}
	pr, pw := io.Pipe()
	cmd.Stdout, cmd.Stderr = pw, pw
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	url := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(pr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			if p.out.Len() < 1<<20 {
				p.out.WriteString(lines.Text() + "\n")
			}
			p.mu.Unlock()
			if u, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				select {
				case url <- u:
				default:
				}
			}
		}
		_, _ = io.Copy(io.Discard, pr) // an overlong line: the process must not block
	}()
	go func() {
		p.err = cmd.Wait()
		_ = pw.Close()
		<-read
		close(p.dead)
	}()
	select {
	case p.URL = <-url:
		return p, nil
	case <-p.dead:
		return nil, fmt.Errorf("start %s: it ended: %w\n%s", cmd.Path, p.err, p.Output())
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", cmd.Path, ctx.Err(), p.Output()), p.Kill())
	}
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is what it has printed so far, up to 1 MiB.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Kill is kill -9; it returns when the process is gone.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.dead
	return err
}

// Interrupt asks it to stop and waits for it, up to a limit; then it is killed.
func (p *Process) Interrupt(limit time.Duration) error {
	if err := p.cmd.Process.Signal(interrupt); err != nil {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.dead:
		return p.err
	case <-time.After(limit):
		return errors.Join(fmt.Errorf("stop %s: it still ran after %s\n%s", p.cmd.Path, limit, p.Output()), p.Kill())
	}
}

// Dead is closed when the process has ended.
func (p *Process) Dead() <-chan struct{} { return p.dead }
