package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
	"github.com/tappet-dev/tappet/sdk/wire/stream"
)

// A process is one run of the executable.
type process struct {
	*command
	limits Limits
	client *plugin.Client
	conn   *grpc.ClientConn
}

// start runs the executable and returns when it serves.
func start(ctx context.Context, path string, l Limits, log io.Writer) (*process, error) {
	c := &command{path: path, exited: make(chan struct{})}
	p := &process{command: c, limits: l}
	out := io.MultiWriter(log, &c.said)
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  stream.Handshake(),
		VersionedPlugins: stream.Versions(&stream.Plugin{}),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
			c.sockets = sockets
			return c, c.prepare(cmd.Env)
		},
		// The limit below is the shorter one, and covers all of the start.
		SkipHostEnv: true, AutoMTLS: true, StartTimeout: l.Start + time.Second,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		Stderr:           out, SyncStdout: out, SyncStderr: out,
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(stream.Codec()),
			grpc.MaxCallRecvMsgSize(stream.MaxMessage), grpc.MaxCallSendMsgSize(stream.MaxMessage))},
	})
	late := make(chan struct{})
	limit := time.AfterFunc(l.Start, func() {
		close(late)
		c.kill()
	})
	cancelled := context.AfterFunc(ctx, c.kill)
	raw, err := p.dispense()
	limit.Stop()
	cancelled()
	if err == nil {
		p.conn = raw
		if ctx.Err() == nil {
			return p, nil
		}
	}
	c.kill()
	p.client.Kill()
	c.sweep()
	if ctx.Err() != nil {
		return nil, &sdk.Error{Kind: sdk.KindOf(ctx.Err()), Err: fmt.Errorf("start the plugin: %w", context.Cause(ctx))}
	}
	select {
	case <-late:
		return nil, sdk.Errorf(sdk.Timeout, "the plugin did not serve within %s; nothing before serve.Main may block%s", l.Start, c.printed())
	default:
	}
	return nil, c.diagnose(err)
}

func (p *process) dispense() (*grpc.ClientConn, error) {
	client, err := p.client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := client.Dispense(wire.PluginName)
	if err != nil {
		return nil, err
	}
	conn, ok := raw.(*grpc.ClientConn)
	if !ok {
		return nil, fmt.Errorf("the pipe is a %T", raw)
	}
	return conn, nil
}

// gone says whether the process has ended or was told to.
func (p *process) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.exited:
		return true
	default:
		return p.killed
	}
}

// close ends the process and returns when it is gone. It isn't asked first: a
// plugin has nothing to save that its calls haven't.
func (p *process) close() {
	p.kill()
	p.client.Kill()
	<-p.exited
	p.sweep()
}

var _ runner.Runner = (*command)(nil)

// A command is the process as go-plugin starts and ends it.
type command struct {
	path    string
	sockets string // the folder of its socket, made by go-plugin
	cmd     *exec.Cmd
	stdin   io.Closer // the process exits when this closes
	stdout  io.ReadCloser
	stderr  io.ReadCloser
	first   line // of standard output: the handshake
	said    tail // the end of standard error

	mu      sync.Mutex
	started bool
	killed  bool
	wait    sync.Once
	exited  chan struct{}
	state   error // how it ended; read after exited
	spawn   error // why it didn't start
}

// prepare sets the process up with go-plugin's part of the environment and
// nothing else.
func (c *command) prepare(env []string) error {
	c.cmd = exec.Command(c.path)
	c.cmd.Env = env
	c.cmd.Dir = os.TempDir()
	ownGroup(c.cmd)
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	if c.stdout, err = c.cmd.StdoutPipe(); err != nil {
		return err
	}
	c.stderr, err = c.cmd.StderrPipe()
	return err
}

// Start implements runner.Runner.
func (c *command) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.cmd.Start()
	// A process that another goroutine is just forking may still hold the copy
	// open for writing.
	for n := 0; n < 20 && errors.Is(err, syscall.ETXTBSY); n++ {
		t := time.NewTimer(10 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		again := exec.Command(c.path)
		again.Env, again.Dir, again.SysProcAttr = c.cmd.Env, c.cmd.Dir, c.cmd.SysProcAttr
		if err := c.prepare(again.Env); err != nil {
			return err
		}
		err = c.cmd.Start()
	}
	c.started = err == nil
	if err != nil {
		c.spawn = err
		close(c.exited)
	}
	return err
}

// Wait implements runner.Runner; it may be called once by go-plugin.
func (c *command) Wait(context.Context) error {
	c.wait.Do(func() {
		c.state = c.cmd.Wait()
		close(c.exited)
	})
	return c.state
}

// Kill implements runner.Runner.
func (c *command) Kill(context.Context) error {
	c.kill()
	return nil
}

// kill ends the process and what it started, if it runs.
func (c *command) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		return
	}
	select {
	case <-c.exited:
	default:
		c.killed = true
		killGroup(c.cmd)
	}
	_ = c.stdin.Close()
}

// sweep removes what a process that is gone left: go-plugin forgets the folder
// of one that never started.
func (c *command) sweep() {
	if c.sockets != "" {
		_ = os.RemoveAll(c.sockets)
	}
}

// Stdout implements runner.Runner; the first line is kept for the diagnosis.
func (c *command) Stdout() io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(c.stdout, &c.first), c.stdout}
}

// Stderr implements runner.Runner.
func (c *command) Stderr() io.ReadCloser { return c.stderr }

// Name implements runner.Runner.
func (c *command) Name() string { return c.path }

// ID implements runner.Runner; it is empty for a process that didn't start.
func (c *command) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		return ""
	}
	return fmt.Sprint(c.cmd.Process.Pid)
}

// Diagnose implements runner.Runner; diagnose says it better.
func (c *command) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner: the process runs beside the engine.
func (c *command) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin implements runner.Runner.
func (c *command) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// otherHost is what go-plugin prints when its cookie is missing.
const otherHost = "This binary is a plugin."

// diagnose words why the process did not come to serve; err is go-plugin's
// view. The process is gone.
func (c *command) diagnose(err error) error {
	switch {
	case errors.Is(c.spawn, syscall.ENOEXEC):
		return sdk.Errorf(sdk.Invalid, "not a program of this machine: its format is unknown")
	case errors.Is(c.spawn, os.ErrPermission):
		return sdk.Errorf(sdk.Invalid, "the file may not be executed here; is the folder of the copies mounted noexec?")
	case errors.Is(c.spawn, os.ErrNotExist):
		return sdk.Errorf(sdk.Invalid, "the program's interpreter or loader is missing; build it statically (CGO_ENABLED=0)")
	case c.spawn != nil:
		return sdk.Errorf(sdk.Invalid, "start the plugin: %w", c.spawn)
	}
	first, shook, version := c.first.handshake()
	switch {
	case shook && version != strconv.Itoa(wire.ABI):
		return sdk.Errorf(sdk.Invalid, "the plugin speaks version %.20s of the conversation, this engine speaks %d; build it with a matching sdk", version, wire.ABI)
	case first == "" && strings.Contains(c.said.lines(), otherHost):
		return sdk.Errorf(sdk.Invalid, "the program is a plugin, but of another host: it doesn't know the cookie %s; build it with this sdk's serve.Main", wire.CookieKey)
	case first != "" && !shook:
		return sdk.Errorf(sdk.Invalid, "the plugin printed %q to standard output before it served; "+
			"the first line belongs to the handshake: print nothing before serve.Main, or to standard error", first)
	case first == "":
		return sdk.Errorf(sdk.Broken, "the plugin ended before it served: %s%s", c.ended(), c.printed())
	}
	return sdk.Errorf(sdk.Invalid, "agree with the plugin on a pipe: %w%s; build it with this sdk's serve.Main", err, c.printed())
}

// ended words how the process ended; it waits a moment for the news.
func (c *command) ended() string {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-c.exited:
	case <-t.C:
		return "it still runs"
	}
	if c.state == nil {
		return "exit status 0"
	}
	return c.state.Error()
}

// printed tells of the last lines on standard error.
func (c *command) printed() string {
	if s := c.said.lines(); s != "" {
		return "; it printed: " + strings.ToValidUTF8(s, "\uFFFD")
	}
	return ""
}
