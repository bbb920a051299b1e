package native

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
	"github.com/tappet-dev/tappet/sdk/wire/stream"
)

// A conversation is one call on its stream.
type conversation struct {
	server pipe.Server
	asks   chan struct{} // one for each question that is being answered
	done   chan ending

	send   sync.Mutex // one sender at a time
	stream grpc.ClientStream
}

// ending is the frame that ended the call, or why none came.
type ending struct {
	frame wire.Frame
	err   error
}

// call runs one call to its end. When ctx ends the plugin is told; after the
// grace the process is killed.
func (p *process) call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	c := &conversation{server: s, asks: make(chan struct{}, p.limits.Asks), done: make(chan ending, 1)}
	// The stream outlives ctx by the grace.
	pipeCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	serveCtx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cut()
		stop()
		wg.Wait()
	}()
	wg.Go(func() { c.run(pipeCtx, serveCtx, p.conn, f) })
	select {
	case e := <-c.done:
		return p.result(ctx, e)
	case <-ctx.Done():
	}
	wg.Go(func() { c.reply(&wire.Frame{Op: wire.OpCancel}) })
	t := time.NewTimer(p.limits.Grace)
	defer t.Stop()
	select {
	case e := <-c.done:
		return p.result(ctx, e)
	case <-t.C:
	}
	p.kill()
	return wire.Frame{}, &sdk.Error{
		Kind: sdk.KindOf(ctx.Err()),
		Err:  fmt.Errorf("the plugin did not end within %s of being told to, its process was killed: %w", p.limits.Grace, context.Cause(ctx)),
	}
}

// result gives the frame, or words why the stream ended without one.
func (p *process) result(ctx context.Context, e ending) (wire.Frame, error) {
	if e.err == nil {
		return e.frame, nil
	}
	if status.Code(e.err) == codes.ResourceExhausted {
		return wire.Frame{}, sdk.Errorf(sdk.TooLarge, "a frame of the call has more than %d bytes", wire.MaxFrame)
	}
	if status.Code(e.err) == codes.Unimplemented {
		return wire.Frame{}, sdk.Errorf(sdk.Invalid, "the plugin does not serve %s; build it with this sdk's serve.Main", wire.Method)
	}
	// The pipe breaks before the process is seen to have ended.
	why := p.ended()
	if !p.gone() {
		return wire.Frame{}, sdk.Errorf(sdk.Broken, "the pipe to the plugin broke: %w", e.err)
	}
	if ctx.Err() != nil {
		return wire.Frame{}, &sdk.Error{Kind: sdk.KindOf(ctx.Err()), Err: fmt.Errorf("the plugin ended when it was told to end the call: %s", why)}
	}
	return wire.Frame{}, sdk.Errorf(sdk.Broken, "the plugin's process ended in mid-call: %s%s", why, p.printed())
}

// run sends the call and answers what the plugin asks until it returns.
func (c *conversation) run(pipeCtx, serveCtx context.Context, conn *grpc.ClientConn, f *wire.Frame) {
	var wg sync.WaitGroup
	defer wg.Wait()
	end := func(f wire.Frame, err error) { c.done <- ending{f, err} }
	s, err := conn.NewStream(pipeCtx, stream.Desc(nil), wire.Method)
	if err != nil {
		end(wire.Frame{}, err)
		return
	}
	c.send.Lock()
	c.stream = s
	err = s.SendMsg(f)
	c.send.Unlock()
	for {
		var f wire.Frame
		// A send that failed has its reason in what is received.
		if e := s.RecvMsg(&f); e != nil {
			end(wire.Frame{}, e)
			return
		}
		if err != nil || f.Op == wire.OpReturn {
			end(f, err)
			return
		}
		select {
		case c.asks <- struct{}{}:
		case <-s.Context().Done():
			continue // what is received tells why
		}
		wg.Go(func() {
			defer func() { <-c.asks }()
			r := c.server.Serve(serveCtx, &f)
			r.Seq = f.Seq
			c.reply(&r)
		})
	}
}

// reply sends one frame; that it couldn't shows in what is received.
func (c *conversation) reply(f *wire.Frame) {
	c.send.Lock()
	defer c.send.Unlock()
	if c.stream != nil {
		_ = c.stream.SendMsg(f)
	}
}
