//go:build wasip1

package serve

import (
	"context"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// The host's functions; wire.Module names their module.

//go:wasmimport tappet_1 swap
func hostSwap(in unsafe.Pointer, n uint32, out unsafe.Pointer, room uint32) uint32

//go:wasmimport tappet_1 take
func hostTake(out unsafe.Pointer, room uint32) uint32

const (
	// ask is how often a waiting call asks whether it was taken back.
	ask = 100 * time.Millisecond
	// room is what a reply usually fits in, bigRoom one with a chunk of a body.
	room    = 512
	bigRoom = wire.Chunk + 4<<10
	// keep is the most that a buffer may hold on to between calls.
	keep = 1 << 20
)

// Main serves c until the engine ends the program; it doesn't return.
func Main(c sdk.Connector) {
	g := &guest{}
	g.clock = time.AfterFunc(ask, g.ask)
	in := make([]byte, 0, bigRoom)
	out := (&wire.Frame{Op: wire.OpReady, ABI: wire.ABI}).Append(nil)
	var f wire.Frame
	for {
		if in = exchange(out, in); len(in) == 0 {
			os.Exit(0)
		}
		var r wire.Frame
		if err := f.Parse(in); err != nil {
			r = failure(sdk.Errorf(sdk.Invalid, "read the engine's frame: %w", err))
		} else {
			r = g.run(&c, &f)
		}
		out = r.Append(out[:0])
		if cap(in) > keep {
			in = make([]byte, 0, bigRoom)
		}
		if cap(out) > keep {
			out = append(make([]byte, 0, len(out)), out...)
		}
	}
}

// exchange hands in over and waits for the next frame, in buf if it fits. The
// instance stands still meanwhile.
func exchange(in, buf []byte) []byte {
	buf = buf[:cap(buf)]
	n := hostSwap(unsafe.Pointer(unsafe.SliceData(in)), uint32(len(in)), unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
	if int(n) > len(buf) {
		buf = make([]byte, n)
		n = hostTake(unsafe.Pointer(unsafe.SliceData(buf)), n)
	}
	runtime.KeepAlive(in)
	return buf[:n]
}

// A guest orders the frames of its goroutines.
type guest struct {
	mu  sync.Mutex
	out []byte // room of the last frame; mu guards it, and reply
	// reply is the room of replies that have no body.
	reply []byte
	// current is the call under way, nil between two.
	current atomic.Pointer[guestCall]
	// clock runs from the start, through calls and between them: setting one for
	// each would cost a short call a tenth. The instance stands still between calls,
	// so what it misses there it asks at the start of the next.
	clock *time.Timer
}

// replyRoom is where the reply to a frame goes. What has a body is the caller's to
// keep; for what has none the room is the same each time.
func (g *guest) replyRoom(op wire.Op) []byte {
	switch op {
	case wire.OpEmit, wire.OpLog, wire.OpPing, wire.OpNow, wire.OpSetState:
		if g.reply == nil {
			g.reply = make([]byte, 0, room)
		}
		return g.reply
	case wire.OpHTTP, wire.OpChunk, wire.OpRead:
		return make([]byte, 0, bigRoom)
	}
	return make([]byte, 0, room)
}

// ask asks whether the call under way was taken back, so that ctx works in any
// select, and so that the runtime, which sees nothing else to wait for, doesn't
// call waiting on ctx a deadlock.
func (g *guest) ask() {
	if c := g.current.Load(); c != nil {
		_, _ = c.swap(c.ctx, &wire.Frame{Op: wire.OpPing}, func() bool { return c.ctx.Err() == nil })
	}
	g.clock.Reset(ask)
}

// run runs one call.
func (g *guest) run(c *sdk.Connector, f *wire.Frame) wire.Frame {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := &guestCall{guest: g, ctx: ctx, cancel: cancel}
	g.current.Store(p)
	defer g.current.Store(nil)
	if left := time.Duration(f.Millis) * time.Millisecond; left > 0 && left < ask {
		g.clock.Reset(left)
	}
	return answer(ctx, c, p, f)
}

// limit tells of the time that is left and leaves it to the engine to end ctx,
// which it does by the answer to a question: a second timer would cost a short
// call half as much again.
func limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return deadline{ctx, time.Now().Add(d)}, func() {}
}

type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

type guestCall struct {
	guest  *guest
	ctx    context.Context
	cancel context.CancelFunc
}

func (g *guestCall) swap(_ context.Context, f *wire.Frame, open func() bool) (r wire.Frame, err error) {
	g.guest.mu.Lock()
	defer g.guest.mu.Unlock()
	if !open() {
		return r, errOver()
	}
	out := f.Append(g.guest.out[:0])
	if g.guest.out = out; cap(out) > keep {
		g.guest.out = nil
	}
	if err = r.Parse(exchange(out, g.guest.replyRoom(f.Op))); err != nil {
		return r, sdk.Errorf(sdk.Failed, "read the engine's reply: %w", err)
	}
	if r.Stop {
		g.cancel()
	}
	return r, nil
}
