package serve

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// HTTP sends r through the engine: the first chunk of its body with the
// request, the others one by one as the engine asks for them.
func (h *host) HTTP(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	f := wire.Frame{
		Op: wire.OpHTTP, Method: r.Method, URL: r.URL, Headers: pairs(r.Header), Size: r.Size, Millis: left(ctx),
	}
	var chunk []byte
	if r.Body != nil {
		chunk = make([]byte, wire.Chunk)
		var err error
		if f.Body, f.More, err = fill(r.Body, chunk); err != nil {
			return nil, err
		}
	}
	a, err := h.ask(ctx, &f)
	for err == nil && a.Status == 0 {
		stream := a.Stream
		if stream == 0 || chunk == nil {
			return nil, sdk.Errorf(sdk.Failed, "the engine answered a request without a status")
		}
		next := wire.Frame{Op: wire.OpChunk, Stream: stream}
		if next.Body, next.More, err = fill(r.Body, chunk); err != nil {
			h.done(ctx, stream)
			return nil, err
		}
		a, err = h.ask(ctx, &next)
	}
	if err != nil {
		return nil, err
	}
	return &sdk.Response{
		Status: int(a.Status), Header: header(a.Headers), Size: a.Size,
		Body: &body{ctx: ctx, host: h, stream: a.Stream, rest: a.Body, more: a.More},
	}, nil
}

// done gives an exchange up.
func (h *host) done(ctx context.Context, stream uint64) {
	_, _ = h.ask(context.WithoutCancel(ctx), &wire.Frame{Op: wire.OpDone, Stream: stream})
}

// left is the time that ctx leaves, in milliseconds; 0: no limit.
func left(ctx context.Context) uint64 {
	t, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint64(max(1, time.Until(t).Milliseconds()))
}

// fill reads one chunk; more says that the body isn't known to be at its end.
func fill(r io.Reader, chunk []byte) (b []byte, more bool, err error) {
	n, err := io.ReadFull(r, chunk)
	switch {
	case err == nil:
		return chunk[:n], true, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return chunk[:n], false, nil
	}
	return nil, false, err
}

// A body is a response's body, fetched chunk by chunk. Like any body it is not
// for concurrent use.
type body struct {
	// ctx is that of the request, as with net/http.
	ctx    context.Context
	host   *host
	stream uint64
	rest   []byte
	more   bool
	closed bool
}

var errClosed = errors.New("the body was read after it was closed")

func (b *body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, errClosed
	}
	for len(b.rest) == 0 {
		if !b.more {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		r, err := b.host.ask(b.ctx, &wire.Frame{Op: wire.OpRead, Stream: b.stream})
		if err != nil {
			return 0, err
		}
		b.rest, b.more = r.Body, r.More
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) Close() error {
	if !b.closed && b.more {
		b.host.done(b.ctx, b.stream)
	}
	b.closed = true
	return nil
}
