// Package native runs plugins that are processes, under go-plugin.
//
// It is no sandbox: a native plugin is trusted code that can do what the
// engine's user can. The package keeps it to what was hashed, gives it nothing
// of the engine's environment, and ends it. Its one rule: no process outlives
// the engine, and none takes it along.
package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// Limits bound what a plugin's process may take. A zero field means its
// default.
type Limits struct {
	// Start is how long the process may take until it serves: 5 s.
	Start time.Duration
	// Grace is how long a call that was told to end may take to do so before
	// its process is killed: 500 ms.
	Grace time.Duration
	// Calls is the most calls at a time: 256.
	Calls int
	// Asks is the most questions of one call that are answered at a time: 16.
	Asks int
	// Backoff is the longest wait before a process that keeps dying is started
	// again: 30 s. The first restart is at once, the second waits 100 ms, each
	// further one twice as long.
	Backoff time.Duration
}

func (l Limits) orDefaults() Limits {
	if l.Start <= 0 {
		l.Start = 5 * time.Second
	}
	if l.Grace <= 0 {
		l.Grace = 500 * time.Millisecond
	}
	if l.Calls <= 0 {
		l.Calls = 256
	}
	if l.Asks <= 0 {
		l.Asks = 16
	}
	if l.Backoff <= 0 {
		l.Backoff = 30 * time.Second
	}
	return l
}

// Options are what Load can do without.
type Options struct {
	Limits Limits
	// Log takes what the process prints; nil drops it. It must be safe for
	// concurrent use.
	Log io.Writer
	// Digest is the SHA-256 in hexadecimal that the file must have; "" takes any.
	Digest string
}

var _ pipe.Caller = (*Plugin)(nil)

// A Plugin is one executable: its copy, and the process that runs it, started
// anew after it has died. It is safe for concurrent use.
type Plugin struct {
	limits Limits
	log    io.Writer
	path   string // of the copy
	digest string

	slots chan struct{} // one for each call that may be
	turn  chan struct{} // held while a process is started

	mu     sync.Mutex
	closed bool
	proc   *process
	deaths int       // since a call last came to its end
	after  time.Time // not started before
	starts uint64
	spent  time.Duration // of the processes that are gone
	calls  sync.WaitGroup
}

// Load copies the executable at path into folder, which is made with mode 0700
// and must be the engine's alone, hashes what it copied and starts that copy.
// It returns when the process serves.
//
// A file that can't be run, or a process that doesn't come to serve, is an
// *sdk.Error of kind invalid, timeout or broken that says what is wrong with it.
func Load(ctx context.Context, path, folder string, o Options) (*Plugin, error) {
	l := o.Limits.orDefaults()
	p := &Plugin{limits: l, log: o.Log, slots: make(chan struct{}, l.Calls), turn: make(chan struct{}, 1)}
	if p.log == nil {
		p.log = io.Discard
	}
	if err := recognise(path); err != nil {
		return nil, err
	}
	if err := p.copy(path, folder, o.Digest); err != nil {
		return nil, err
	}
	if _, err := p.running(ctx); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// Digest is the SHA-256 of the executable, in hexadecimal.
func (p *Plugin) Digest() string { return p.digest }

// PID is the id of the process, 0 if none runs.
func (p *Plugin) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil || p.proc.gone() {
		return 0
	}
	return p.proc.cmd.Process.Pid
}

// copy makes the private copy and hashes the bytes that it writes.
func (p *Plugin) copy(path, folder, want string) error {
	fail := func(err error) error { return fmt.Errorf("copy the plugin: %w", err) }
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fail(err)
	}
	in, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer in.Close()
	out, err := os.CreateTemp(folder, filepath.Base(path)+"-*")
	if err != nil {
		return fail(err)
	}
	p.path = out.Name()
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	err = errors.Join(err, out.Chmod(0o500), out.Close())
	p.digest = hex.EncodeToString(h.Sum(nil))
	if err == nil && want != "" && !strings.EqualFold(want, p.digest) {
		err = sdk.Errorf(sdk.Denied, "the file has SHA-256 %s, %s is wanted", p.digest, want)
	}
	if err != nil {
		_ = os.Remove(p.path)
		return fail(err)
	}
	return nil
}

// Call runs one call on the process, which is started if it has died. When ctx
// ends the plugin is told; after the grace the process is killed, and with it
// the other calls that it was at.
func (p *Plugin) Call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return wire.Frame{}, &sdk.Error{
			Kind: sdk.Unavailable,
			Err:  fmt.Errorf("the plugin is busy with %d calls: %w", p.limits.Calls, context.Cause(ctx)),
		}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return wire.Frame{}, errClosed()
	}
	p.calls.Add(1)
	p.mu.Unlock()
	defer p.calls.Done()
	proc, err := p.running(ctx)
	if err != nil {
		return wire.Frame{}, err
	}
	r, err := proc.call(ctx, f, s)
	p.settle(proc, err)
	return r, err
}

func errClosed() error { return sdk.Errorf(sdk.Unavailable, "the plugin was closed") }

// running gives the process, starting one if there is none.
func (p *Plugin) running(ctx context.Context) (*process, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, &sdk.Error{Kind: sdk.KindOf(ctx.Err()), Err: fmt.Errorf("wait for the plugin to start: %w", context.Cause(ctx))}
	}
	p.mu.Lock()
	old, closed, wait := p.proc, p.closed, time.Until(p.after)
	p.mu.Unlock()
	if closed {
		return nil, errClosed()
	}
	if old != nil {
		if !old.gone() {
			return old, nil
		}
		p.died(old)
		p.mu.Lock()
		wait = time.Until(p.after)
		p.mu.Unlock()
	}
	if wait > 0 {
		return nil, &sdk.Error{
			Kind: sdk.Unavailable, RetryAfter: wait,
			Err: fmt.Errorf("the plugin keeps dying; it is started again in %s", wait.Round(time.Millisecond)),
		}
	}
	proc, err := start(ctx, p.path, p.limits, p.log)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.backOff()
		return nil, err
	}
	if p.closed {
		proc.close()
		return nil, errClosed()
	}
	p.proc = proc
	p.starts++
	return proc, nil
}

// settle notes how a call ended: one that came to its end clears the account of
// deaths.
func (p *Plugin) settle(proc *process, err error) {
	if err == nil {
		p.mu.Lock()
		p.deaths = 0
		p.mu.Unlock()
		return
	}
	if proc.gone() {
		p.died(proc)
	}
}

// died buries proc, once.
func (p *Plugin) died(proc *process) {
	p.mu.Lock()
	if p.proc != proc {
		p.mu.Unlock()
		return
	}
	p.proc = nil
	p.backOff()
	p.mu.Unlock()
	proc.close()
	p.mu.Lock()
	p.spent += proc.used()
	p.mu.Unlock()
}

// backOff sets when the next process may start; p.mu is held.
func (p *Plugin) backOff() {
	p.deaths++
	if p.deaths < 2 {
		return
	}
	d := p.limits.Backoff
	if n := p.deaths - 2; n < 16 {
		d = min(d, 100*time.Millisecond<<n)
	}
	p.after = time.Now().Add(d)
}

// Close kills the process, removes the copy, and returns when nothing of either
// is left.
func (p *Plugin) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	proc := p.proc
	p.proc = nil
	p.mu.Unlock()
	if proc != nil {
		proc.close()
	}
	p.calls.Wait()
	if !first || p.path == "" {
		return nil
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the plugin's copy: %w", err)
	}
	return nil
}
