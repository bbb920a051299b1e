package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// An instance is one guest. Its _start runs from beginning to end in a coroutine:
// swap comes out of it with what a call gave and goes back in with the next. So a
// call costs no scheduling; whoever waits for it is where the guest runs.
type instance struct {
	module *Module
	out    *capped
	ctx    context.Context // once it has ended, the guest does at its next visit
	stop   context.CancelCauseFunc
	visits atomic.Uint64
	memory atomic.Int64 // as of its last word

	// resume runs the guest until its next yield and gives the frame, or false
	// once it has ended; finish ends it.
	resume func() ([]byte, bool)
	finish func()

	rests time.Time // since its last call; the module's mu guards it

	// What follows belongs to whoever runs the guest.
	mod     api.Module // set before the guest is ready
	yield   func([]byte) bool
	err     error // why it ended
	ended   bool
	since   time.Time // it has run since; zero while the host does
	cur     *running
	pending []byte // what take fetches
	in      []byte // room of the last call
	reply   []byte // room of the last reply
	lines   lines
}

// running is a call on its way.
type running struct {
	ctx    context.Context
	in     []byte
	server pipe.Server

	mu    sync.Mutex // guards what follows
	over  bool
	grace *time.Timer // runs once ctx has ended
}

// cut gives the guest its grace; nothing happens once the call is over.
func (c *running) cut(i *instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.grace = time.AfterFunc(i.module.limits.Grace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.over {
			i.stop(errGrace)
		}
	})
}

// end says that the call is over.
func (c *running) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.grace != nil {
		c.grace.Stop()
	}
}

// errGrace is why an instance ends whose time was over.
var errGrace = errors.New("the instance's time was over")

// keep is the most that an instance's buffers may hold on to between calls.
const keep = 1 << 20

// instanceKey finds the instance in the context of its functions.
type instanceKey struct{}

func newInstance(m *Module) *instance {
	i := &instance{module: m}
	i.out = &capped{to: m.log, max: m.limits.Output}
	i.ctx, i.stop = context.WithCancelCause(context.WithValue(context.Background(), instanceKey{}, i))
	i.resume, i.finish = iter.Pull(i.run)
	return i
}

// start runs the guest up to its first frame.
func (i *instance) start(ctx context.Context) error {
	clock := time.AfterFunc(i.module.limits.Start, func() { i.stop(errGrace) })
	await := context.AfterFunc(ctx, func() { i.stop(errGrace) })
	b, ok := i.next(&running{ctx: ctx})
	intime, wanted := clock.Stop(), await()
	switch {
	case errors.Is(context.Cause(i.ctx), errClosed):
		return &sdk.Error{Kind: sdk.Unavailable, Err: errClosed}
	case !wanted:
		return &sdk.Error{Kind: sdk.KindOf(ctx.Err()), Err: fmt.Errorf("start the plugin: %w", context.Cause(ctx))}
	case !intime:
		return sdk.Errorf(sdk.Timeout, "the plugin was not ready within %s; nothing before serve.Main may block", i.module.limits.Start)
	case !ok:
		return sdk.Errorf(sdk.Broken, "the plugin ended before it was ready: %w", i.reason())
	}
	var f wire.Frame
	if err := f.Parse(b); err != nil || f.Op != wire.OpReady {
		return sdk.Errorf(sdk.Invalid, "the plugin's first frame is not ready (%d)", wire.OpReady)
	}
	if f.ABI != wire.ABI {
		return sdk.Errorf(sdk.Invalid, "the plugin speaks version %d of the conversation, this engine speaks %d; build it with a matching sdk", f.ABI, wire.ABI)
	}
	return nil
}

// next runs the guest with a call until it gives a frame or ends.
func (i *instance) next(c *running) ([]byte, bool) {
	i.cur = c
	b, ok := i.resume()
	i.cur = nil
	return b, ok
}

// run is the guest's life.
func (i *instance) run(yield func([]byte) bool) {
	i.yield = yield
	defer func() { i.ended = true }()
	i.enter()
	defer i.leave()
	cfg := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(i.out).WithStderr(i.out).WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().WithNanosleep(i.sleep).WithOsyield(runtime.Gosched)
	mod, err := i.module.runtime.InstantiateModule(i.ctx, i.module.code, cfg)
	if err != nil {
		i.err = fmt.Errorf("instantiate: %w", err)
		return
	}
	_, i.err = mod.ExportedFunction("_start").Call(i.ctx)
	// An error here would be of a module that is gone either way.
	_ = mod.Close(context.Background())
}

// sleep serves the guest's timers and ends with it.
func (i *instance) sleep(ns int64) {
	i.leave()
	defer i.enter()
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-i.ctx.Done():
	}
}

// call runs one call to its end or, after the grace, to the instance's.
func (i *instance) call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	i.out.reset()
	c := &running{ctx: ctx, in: f.Append(i.in[:0]), server: s}
	if i.in = nil; cap(c.in) <= keep {
		i.in = c.in
	}
	if len(c.in) > wire.MaxFrame {
		return wire.Frame{}, sdk.Errorf(sdk.TooLarge, "the call has %d bytes, %d are allowed", len(c.in), wire.MaxFrame)
	}
	// The guest is told of the end of ctx by replies; its own context ends last.
	await := context.AfterFunc(ctx, func() { c.cut(i) })
	b, ok := i.next(c)
	if !await() {
		c.end()
	}
	if ok {
		return parse(b)
	}
	if errors.Is(context.Cause(i.ctx), errGrace) {
		return wire.Frame{}, &sdk.Error{
			Kind: sdk.KindOf(ctx.Err()),
			Err:  fmt.Errorf("the plugin did not end within %s of being told to, its instance was thrown away: %w", i.module.limits.Grace, context.Cause(ctx)),
		}
	}
	return wire.Frame{}, i.broken()
}

func parse(b []byte) (wire.Frame, error) {
	var f wire.Frame
	if err := f.Parse(b); err != nil {
		return wire.Frame{}, sdk.Errorf(sdk.Broken, "read the plugin's frame: %w", err)
	}
	return f, nil
}

// broken is the error of a call whose instance has ended.
func (i *instance) broken() error {
	if errors.Is(context.Cause(i.ctx), errClosed) {
		return &sdk.Error{Kind: sdk.Unavailable, Err: errClosed}
	}
	return sdk.Errorf(sdk.Broken, "the plugin ended in mid-call: %w", i.reason())
}

// reason words why the guest ended, with the first line of a trap and what it
// printed last; the rest of a trap is its stack.
func (i *instance) reason() error {
	text := "it returned"
	var exit *sys.ExitError
	switch {
	case errors.As(i.err, &exit):
		text = fmt.Sprintf("exit code %d", exit.ExitCode())
	case i.err != nil:
		text, _, _ = strings.Cut(i.err.Error(), "\n")
	}
	if said := i.out.first(); said != "" {
		text += "; it printed: " + said
	}
	return errors.New(text)
}

// sound says whether the instance may take another call: it lives, and its
// memory isn't larger than limit.
func (i *instance) sound(limit int) bool {
	return !i.ended && i.ctx.Err() == nil && int(i.mod.Memory().Size()) <= limit
}

// close ends the guest and returns when it is gone. Nobody may run it.
func (i *instance) close() {
	i.stop(errClosed)
	i.finish()
}

// swap takes the guest's frame and gives the next: the reply to it, or the next
// call. Without a frame and without room it is a visit of the meter: there a
// guest whose instance was thrown away ends. The upper halves of 32-bit stack slots are not defined: each is
// converted before it is used.
func swap(ctx context.Context, mod api.Module, stack []uint64) {
	i, ok := ctx.Value(instanceKey{}).(*instance)
	if !ok {
		panic(errors.New("swap: called outside an instance"))
	}
	i.leave()
	defer i.enter()
	i.weigh(mod)
	in, n, out, room := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if i.ctx.Err() != nil {
		panic(sys.NewExitError(sys.ExitCodeContextCanceled))
	}
	if n == 0 && room == 0 {
		i.visits.Add(1)
		stack[0] = 0
		return
	}
	if n > wire.MaxFrame {
		panic(fmt.Errorf("swap: a frame of %d bytes, %d are allowed", n, wire.MaxFrame))
	}
	b, ok := mod.Memory().Read(in, n)
	if !ok {
		panic(errors.New("swap: the frame lies outside the memory"))
	}
	if op := wire.PeekOp(b); op != wire.OpReady && op != wire.OpReturn {
		stack[0] = i.put(mod, out, room, i.serve(b))
		return
	}
	i.mod = mod
	if !i.yield(bytes.Clone(b)) || i.cur == nil || ctx.Err() != nil {
		stack[0] = 0
		return
	}
	stack[0] = i.put(mod, out, room, i.cur.in)
}

// serve answers what the guest asks during a call; b is its memory.
func (i *instance) serve(b []byte) []byte {
	r := wire.Frame{Op: wire.OpReply}
	var f wire.Frame
	switch {
	case i.cur == nil || i.cur.server == nil:
		r.Kind, r.Text = string(sdk.Unsupported), "there is no call; the first frame is ready"
	default:
		if err := f.Parse(append([]byte(nil), b...)); err != nil {
			r.Kind, r.Text = string(sdk.Invalid), "read the frame: "+err.Error()
			break
		}
		if f.Op == wire.OpLog && !i.lines.pass(&f, i.module.limits.Lines, time.Now()) {
			r.Stop = i.cur.ctx.Err() != nil
			break
		}
		r = i.cur.server.Serve(i.cur.ctx, &f)
	}
	b = r.Append(i.reply[:0])
	if i.reply = nil; cap(b) <= keep {
		i.reply = b
	}
	return b
}

// put writes b to the guest, or keeps it for take if there is no room.
func (i *instance) put(mod api.Module, out, room uint32, b []byte) uint64 {
	i.pending = nil
	if len(b) > int(room) {
		i.pending = b
	} else if !mod.Memory().Write(out, b) {
		panic(errors.New("swap: the room for the reply lies outside the memory"))
	}
	return uint64(len(b))
}

// take gives what didn't fit into the room of the last swap.
func take(ctx context.Context, mod api.Module, stack []uint64) {
	i, ok := ctx.Value(instanceKey{}).(*instance)
	if !ok {
		panic(errors.New("take: called outside an instance"))
	}
	out, room := uint32(stack[0]), uint32(stack[1])
	if len(i.pending) > int(room) || !mod.Memory().Write(out, i.pending) {
		panic(errors.New("take: no room for the frame"))
	}
	stack[0] = uint64(len(i.pending))
	i.pending = nil
}
