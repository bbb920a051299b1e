package wasm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// An instance is one guest. Its _start runs on a goroutine of its own from
// beginning to end and comes out of swap with each call.
type instance struct {
	module *Module
	out    *capped
	ctx    context.Context // ends the guest at its next loop or call
	stop   context.CancelCauseFunc
	mod    api.Module

	calls chan *running
	ended chan struct{} // closed when _start has returned
	err   error         // why; read after ended

	// What follows belongs to the guest's goroutine.
	cur     *running
	pending []byte // what take fetches
	reply   []byte // room of the last reply
}

// running is a call on its way.
type running struct {
	ctx    context.Context
	in     []byte
	server pipe.Server
	done   chan []byte // the frame that ended it
}

// instanceKey finds the instance in the context of its functions.
type instanceKey struct{}

func newInstance(m *Module) *instance {
	i := &instance{module: m, calls: make(chan *running), ended: make(chan struct{})}
	i.out = &capped{to: m.log, max: m.limits.Output}
	i.ctx, i.stop = context.WithCancelCause(context.WithValue(context.Background(), instanceKey{}, i))
	return i
}

// start runs the guest up to its first frame.
func (i *instance) start(ctx context.Context) error {
	ready := &running{ctx: ctx, done: make(chan []byte, 1)}
	i.cur = ready
	go i.run()
	t := time.NewTimer(i.module.limits.Start)
	defer t.Stop()
	select {
	case b := <-ready.done:
		var f wire.Frame
		if err := f.Parse(b); err != nil || f.Op != wire.OpReady {
			return sdk.Errorf(sdk.Invalid, "the plugin's first frame is not ready (%d)", wire.OpReady)
		}
		if f.ABI != wire.ABI {
			return sdk.Errorf(sdk.Invalid, "the plugin speaks version %d of the conversation, this engine speaks %d", f.ABI, wire.ABI)
		}
		return nil
	case <-i.ended:
		return sdk.Errorf(sdk.Broken, "the plugin ended before it was ready: %w", i.reason())
	case <-t.C:
		return sdk.Errorf(sdk.Timeout, "the plugin was not ready within %s; nothing before serve.Main may block", i.module.limits.Start)
	case <-ctx.Done():
		return &sdk.Error{Kind: sdk.KindOf(ctx.Err()), Err: fmt.Errorf("start the plugin: %w", context.Cause(ctx))}
	}
}

// run is the guest's life.
func (i *instance) run() {
	defer close(i.ended)
	cfg := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(i.out).WithStderr(i.out).WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().WithNanosleep(i.sleep).WithOsyield(runtime.Gosched)
	mod, err := i.module.runtime.InstantiateModule(i.ctx, i.module.code, cfg)
	if err != nil {
		i.err = fmt.Errorf("instantiate: %w", err)
		return
	}
	i.mod = mod
	_, i.err = mod.ExportedFunction("_start").Call(i.ctx)
	// An error here would be of a module that is gone either way.
	_ = mod.Close(context.Background())
}

// sleep serves the guest's timers and ends with it.
func (i *instance) sleep(ns int64) {
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
	// The guest is told of the end of ctx by replies; its own context ends last.
	c := &running{ctx: ctx, in: f.Append(nil), server: s, done: make(chan []byte, 1)}
	if len(c.in) > wire.MaxFrame {
		return wire.Frame{}, sdk.Errorf(sdk.TooLarge, "the call has %d bytes, %d are allowed", len(c.in), wire.MaxFrame)
	}
	select {
	case i.calls <- c:
	case <-i.ended:
		return wire.Frame{}, i.broken()
	}
	select {
	case b := <-c.done:
		return parse(b)
	case <-i.ended:
		return wire.Frame{}, i.broken()
	case <-ctx.Done():
	}
	t := time.NewTimer(i.module.limits.Grace)
	defer t.Stop()
	select {
	case b := <-c.done:
		return parse(b)
	case <-i.ended:
		return wire.Frame{}, i.broken()
	case <-t.C:
	}
	i.close()
	return wire.Frame{}, &sdk.Error{
		Kind: sdk.KindOf(ctx.Err()),
		Err:  fmt.Errorf("the plugin did not end within %s of being told to, its instance was thrown away: %w", i.module.limits.Grace, context.Cause(ctx)),
	}
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

// memory is the size of the instance's linear memory.
func (i *instance) memory() int {
	select {
	case <-i.ended:
		return 0
	default:
	}
	return int(i.mod.Memory().Size())
}

// close ends the guest and returns when it is gone.
func (i *instance) close() {
	i.stop(errClosed)
	<-i.ended
}

// swap takes the guest's frame and gives the next: the reply to it, or the next
// call. The upper halves of 32-bit stack slots are not defined: each is
// converted before it is used.
func swap(ctx context.Context, mod api.Module, stack []uint64) {
	i, ok := ctx.Value(instanceKey{}).(*instance)
	if !ok {
		panic(errors.New("swap: called outside an instance"))
	}
	in, n, out, room := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
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
	if c := i.cur; c != nil {
		i.cur = nil
		c.done <- append([]byte(nil), b...)
	}
	select {
	case i.cur = <-i.calls:
		stack[0] = i.put(mod, out, room, i.cur.in)
	case <-ctx.Done():
		stack[0] = 0
	}
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
		r = i.cur.server.Serve(i.cur.ctx, &f)
	}
	i.reply = r.Append(i.reply[:0])
	return i.reply
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
