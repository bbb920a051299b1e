//go:build !wasip1

package serve

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
	"github.com/tappet-dev/tappet/sdk/wire/stream"
)

// Main serves c until the engine ends the program. The engine holds the other
// end of standard input: when that closes, however the engine ended, the
// program exits.
func Main(c sdk.Connector) {
	if os.Getenv(wire.CookieKey) == wire.CookieValue {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  stream.Handshake(),
		VersionedPlugins: stream.Versions(&stream.Plugin{Serve: func(s grpc.ServerStream) error { return serveStream(&c, s) }}),
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o, grpc.MaxRecvMsgSize(stream.MaxMessage), grpc.MaxSendMsgSize(stream.MaxMessage),
				grpc.ForceServerCodecV2(stream.Codec()))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
}

// limit ends ctx when its time has passed.
func limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// serveStream runs the one call of a stream.
func serveStream(c *sdk.Connector, s grpc.ServerStream) error {
	var f wire.Frame
	if err := s.RecvMsg(&f); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	p := &streamCall{stream: s, cancel: cancel, open: map[uint64]chan wire.Frame{}}
	go p.receive()
	out := answer(ctx, c, p, &f)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	return s.SendMsg(&out)
}

// A streamCall carries one call's frames; several goroutines of the call may
// have one open each.
type streamCall struct {
	cancel context.CancelFunc
	stream grpc.ServerStream

	mu   sync.Mutex // orders sending; guards what follows
	over bool
	seq  uint64
	open map[uint64]chan wire.Frame
}

// receive hands replies to the goroutines that wait for them, until the stream
// ends.
func (p *streamCall) receive() {
	defer p.cancel()
	for {
		var f wire.Frame
		if p.stream.RecvMsg(&f) != nil {
			return
		}
		if f.Op == wire.OpCancel || f.Stop {
			p.cancel()
		}
		if f.Op != wire.OpReply {
			continue
		}
		p.mu.Lock()
		ch := p.open[f.Seq]
		delete(p.open, f.Seq)
		p.mu.Unlock()
		if ch != nil {
			ch <- f
		}
	}
}

func (p *streamCall) swap(ctx context.Context, f *wire.Frame, open func() bool) (wire.Frame, error) {
	ch := make(chan wire.Frame, 1)
	if err := p.send(f, ch, open); err != nil {
		return wire.Frame{}, err
	}
	select {
	case r := <-ch:
		return r, nil
	case <-ctx.Done():
	case <-p.stream.Context().Done():
	}
	p.mu.Lock()
	delete(p.open, f.Seq)
	p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return wire.Frame{}, err
	}
	return wire.Frame{}, sdk.Errorf(sdk.Cancelled, "the engine ended the call")
}

func (p *streamCall) send(f *wire.Frame, ch chan wire.Frame, open func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || !open() {
		return errOver()
	}
	p.seq++
	f.Seq = p.seq
	p.open[f.Seq] = ch
	if err := p.stream.SendMsg(f); err != nil {
		delete(p.open, f.Seq)
		return sdk.Errorf(sdk.Cancelled, "send to the engine: %w", err)
	}
	return nil
}
