package pipe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

var _ Server = (*session)(nil)

// A session answers what one call asks, out of the sdk.Host of that call.
type session struct {
	host  sdk.Host
	emit  sdk.EmitFunc // nil: the call is no stream
	bound *bound

	mu        sync.Mutex
	closed    bool
	last      uint64
	exchanges map[uint64]*exchange
	sends     sync.WaitGroup
}

func newSession(h sdk.Host, b *bound, emit sdk.EmitFunc) *session {
	return &session{host: h, bound: b, emit: emit}
}

// close gives up the exchanges that the plugin left open and returns when no
// goroutine of the session is left.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	open := s.exchanges
	s.exchanges = nil
	s.mu.Unlock()
	for _, x := range open {
		x.close()
	}
	s.sends.Wait()
}

// Serve answers one frame. Whether the call was taken back stands on each
// reply.
func (s *session) Serve(ctx context.Context, f *wire.Frame) wire.Frame {
	r, err := s.serve(ctx, f)
	if err != nil {
		r = refusal(err)
	}
	r.Op, r.Stop = wire.OpReply, ctx.Err() != nil
	return r
}

func (s *session) serve(ctx context.Context, f *wire.Frame) (wire.Frame, error) {
	if s.over() {
		return wire.Frame{}, errEnded()
	}
	switch f.Op {
	case wire.OpPing:
		return wire.Frame{}, nil
	case wire.OpLog:
		args := make([]any, 0, 2*len(f.Headers))
		for i := range f.Headers {
			args = append(args, f.Headers[i].Name, f.Headers[i].Value)
		}
		s.host.Log(ctx, level(f.Name), f.Text, args...)
		return wire.Frame{}, nil
	case wire.OpNow:
		return wire.Frame{Time: s.host.Now().UnixNano()}, nil
	default: // the others are refused once the call is taken back
	}
	if err := ctx.Err(); err != nil {
		return wire.Frame{}, err
	}
	switch f.Op {
	case wire.OpSecret:
		v, err := s.host.Secret(ctx, f.Name)
		return wire.Frame{Body: []byte(v)}, err
	case wire.OpState:
		if err := s.stateKey(f); err != nil {
			return wire.Frame{}, err
		}
		v, err := s.host.State(ctx, f.Name)
		return wire.Frame{Body: v}, err
	case wire.OpSetState:
		if err := s.stateKey(f); err != nil {
			return wire.Frame{}, err
		}
		return wire.Frame{}, s.host.SetState(ctx, f.Name, bytes.Clone(f.Body))
	case wire.OpEmit:
		return wire.Frame{}, s.emitted(ctx, f)
	case wire.OpHTTP:
		return s.http(ctx, f)
	case wire.OpChunk:
		return s.chunk(ctx, f)
	case wire.OpRead:
		return s.read(f)
	case wire.OpDone:
		if x := s.take(f.Stream); x != nil {
			x.close()
		}
		return wire.Frame{}, nil
	default:
	}
	return wire.Frame{}, sdk.Errorf(sdk.Unsupported, "this engine knows no op %d; a newer one may", f.Op)
}

func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func errEnded() error { return sdk.Errorf(sdk.Cancelled, "the call has ended") }

// level reads the name of a level; an unknown one is Info.
func level(name string) sdk.Level {
	switch l := sdk.Level(name); l {
	case sdk.Debug, sdk.Info, sdk.Warn, sdk.Fault:
		return l
	}
	return sdk.Info
}

// stateKey checks the key of what is kept.
func (s *session) stateKey(f *wire.Frame) error {
	switch {
	case f.Name == "" || !utf8.ValidString(f.Name):
		return sdk.Errorf(sdk.Invalid, "a key of the state must be text and not empty")
	case len(f.Name) > s.bound.limits.Key:
		return sdk.Errorf(sdk.TooLarge, "the key of the state has %d bytes, %d are allowed", len(f.Name), s.bound.limits.Key)
	}
	return nil
}

func (s *session) emitted(ctx context.Context, f *wire.Frame) error {
	if s.emit == nil {
		return sdk.Errorf(sdk.Unsupported, "only a stream emits events")
	}
	ev, err := s.bound.events(f)
	if err != nil {
		return err
	}
	return s.emit(ctx, sdk.Cursor(f.Cursor), ev...)
}

// An exchange is one HTTP request whose body isn't all sent, or whose response
// isn't all read.
type exchange struct {
	// cancel ends the request and its response's body.
	cancel context.CancelFunc
	// send takes the request's chunks; nil if the body came with the request.
	send *io.PipeWriter
	// came gives the response to a request that was sent in chunks.
	came chan came

	mu       sync.Mutex // orders what the plugin does with it
	sending  bool
	response io.ReadCloser // nil while sending, and once it was read
	buf      []byte
}

type came struct {
	r   *sdk.Response
	err error
}

// close gives the exchange up.
func (x *exchange) close() {
	x.cancel()
	if x.send != nil {
		_ = x.send.CloseWithError(errors.New("the plugin gave the request up"))
		x.drain()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.end()
}

// drain closes a response that nobody will take.
func (x *exchange) drain() {
	select {
	case c := <-x.came:
		if c.r != nil {
			_ = c.r.Body.Close()
		}
	default:
	}
}

// end closes the response; x.mu is held.
func (x *exchange) end() {
	x.cancel()
	if x.response != nil {
		_ = x.response.Close()
		x.response = nil
	}
}

// http sends a request whose body is all in f, or begins one whose chunks are
// to follow.
func (s *session) http(ctx context.Context, f *wire.Frame) (wire.Frame, error) {
	q := &sdk.Request{Method: f.Method, URL: f.URL, Header: header(f.Headers)}
	var cancel context.CancelFunc
	if f.Millis > 0 {
		ctx, cancel = context.WithTimeout(ctx, wait(f.Millis))
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	x := &exchange{cancel: cancel}
	if f.More {
		return s.send(ctx, x, q, f)
	}
	if len(f.Body) > 0 {
		body := f.Body
		q.Body, q.Size = bytes.NewReader(body), int64(len(body))
		q.Reopen = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	r, err := s.host.HTTP(ctx, q)
	x.mu.Lock()
	defer x.mu.Unlock()
	return s.responded(x, 0, r, err)
}

// send begins a request whose chunks come one by one: each is handed on before
// the next is asked for.
func (s *session) send(ctx context.Context, x *exchange, q *sdk.Request, f *wire.Frame) (wire.Frame, error) {
	r, w := io.Pipe()
	q.Body, q.Size = io.MultiReader(bytes.NewReader(bytes.Clone(f.Body)), r), f.Size
	if q.Size <= 0 {
		q.Size = -1
	}
	x.send, x.came, x.sending = w, make(chan came, 1), true
	id, err := s.keep(x)
	if err != nil {
		x.cancel()
		return wire.Frame{}, err
	}
	s.sends.Go(func() {
		resp, err := s.host.HTTP(ctx, q)
		_ = r.CloseWithError(errAnswered)
		x.came <- came{resp, err}
		if ctx.Err() != nil {
			x.drain()
		}
	})
	return wire.Frame{Stream: id}, nil
}

// errAnswered ends the sending of a body whose response is already there.
var errAnswered = errors.New("the request was answered before its body was sent")

func (s *session) chunk(ctx context.Context, f *wire.Frame) (wire.Frame, error) {
	x := s.get(f.Stream)
	if x == nil {
		return wire.Frame{}, sdk.Errorf(sdk.Invalid, "no request is open on stream %d", f.Stream)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.sending {
		return wire.Frame{}, sdk.Errorf(sdk.Invalid, "the body of the request on stream %d has ended", f.Stream)
	}
	_, err := x.send.Write(f.Body)
	if err == nil && f.More {
		return wire.Frame{Stream: f.Stream}, nil
	}
	x.sending = false
	_ = x.send.Close()
	select {
	case c := <-x.came:
		return s.responded(x, f.Stream, c.r, c.err)
	case <-ctx.Done():
		return wire.Frame{}, ctx.Err()
	}
}

// responded turns a response into a reply and keeps what isn't read yet; x.mu
// is held.
func (s *session) responded(x *exchange, id uint64, r *sdk.Response, err error) (wire.Frame, error) {
	if err != nil {
		s.take(id)
		x.end()
		return wire.Frame{}, err
	}
	out := wire.Frame{Status: uint32(r.Status), Headers: pairs(r.Header), Size: r.Size}
	x.response = r.Body
	if r.Size >= 0 && r.Size <= wire.Chunk {
		out.Body, err = io.ReadAll(io.LimitReader(r.Body, wire.Chunk))
		s.take(id)
		x.end()
		return out, err
	}
	if id == 0 {
		id, err = s.keep(x)
	} else if s.get(id) == nil {
		err = errEnded()
	}
	if err != nil {
		x.end()
		return wire.Frame{}, err
	}
	out.Stream, out.More = id, true
	return out, nil
}

// read gives what is there of a response's body, at most a chunk.
func (s *session) read(f *wire.Frame) (wire.Frame, error) {
	x := s.get(f.Stream)
	if x == nil {
		return wire.Frame{}, sdk.Errorf(sdk.Invalid, "no response is open on stream %d", f.Stream)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.response == nil {
		return wire.Frame{}, sdk.Errorf(sdk.Invalid, "stream %d has no response to read", f.Stream)
	}
	if x.buf == nil {
		x.buf = make([]byte, wire.Chunk)
	}
	var n int
	var err error
	for n == 0 && err == nil {
		n, err = x.response.Read(x.buf)
	}
	out := wire.Frame{Body: bytes.Clone(x.buf[:n]), More: err == nil}
	if err != nil {
		s.take(f.Stream)
		x.end()
		if !errors.Is(err, io.EOF) {
			return wire.Frame{}, err
		}
	}
	return out, nil
}

func (s *session) keep(x *exchange) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errEnded()
	}
	if n := s.bound.limits.Exchanges; len(s.exchanges) >= n {
		return 0, sdk.Errorf(sdk.TooLarge, "%d HTTP exchanges are open; close their bodies first", n)
	}
	if s.exchanges == nil {
		s.exchanges = map[uint64]*exchange{}
	}
	s.last++
	s.exchanges[s.last] = x
	return s.last, nil
}

func (s *session) get(id uint64) *exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exchanges[id]
}

// take removes the exchange from the table; 0 names none.
func (s *session) take(id uint64) *exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.exchanges[id]
	delete(s.exchanges, id)
	return x
}
