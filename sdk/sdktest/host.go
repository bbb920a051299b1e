package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// A Reply is one canned response. A Status of 0 means 200; Err is returned in
// its place.
type Reply struct {
	Status int
	Header sdk.Header
	Body   []byte
	// Hang waits until the call is taken back, instead of answering.
	Hang bool
	// Slow answers late, and gives the body a few bytes at a time.
	Slow bool
	// Hold keeps the response open after Body, until the call is taken back.
	Hold bool
	// Endless gives a body that doesn't end by itself: after MaxBody bytes the
	// host refuses more with kind too_large, as the engine's does.
	Endless bool
	Err     error
}

// A Cassette answers a host's requests. The request's body has been read; body
// holds it.
type Cassette func(r *sdk.Request, body []byte) Reply

// Replies is a cassette of fixed replies by "METHOD URL"; another request is
// answered with status 404.
func Replies(m map[string]Reply) Cassette {
	return func(r *sdk.Request, _ []byte) Reply {
		method := r.Method
		if method == "" {
			method = "GET"
		}
		if a, ok := m[method+" "+r.URL]; ok {
			return a
		}
		return Reply{Status: 404, Body: []byte("no reply is recorded for " + method + " " + r.URL)}
	}
}

// MaxBody is the most bytes of a response that a Host gives.
const MaxBody = 32 << 20

// maxEvent is the most bytes of an event or a result that the engine takes.
const maxEvent = 16 << 20

// A tape plays a reply's body.
type tape struct {
	ctx  context.Context
	a    Reply
	left int64 // of an endless body
}

func (p *tape) Read(b []byte) (int, error) {
	switch {
	case p.ctx.Err() != nil:
		return 0, p.ctx.Err()
	case len(b) == 0:
		return 0, nil
	case len(p.a.Body) > 0:
		if p.a.Slow {
			runtime.Gosched()
			b = b[:min(len(b), 7)]
		}
		n := copy(b, p.a.Body)
		p.a.Body = p.a.Body[n:]
		return n, nil
	case p.a.Endless && p.left == 0:
		return 0, sdk.Errorf(sdk.TooLarge, "the response has more than %d bytes", MaxBody)
	case p.a.Endless:
		b = b[:min(int64(len(b)), p.left)]
		for i := range b {
			b[i] = ' '
		}
		p.left -= int64(len(b))
		return len(b), nil
	case p.a.Hold:
		<-p.ctx.Done()
		return 0, p.ctx.Err()
	}
	return 0, io.EOF
}

func (*tape) Close() error { return nil }

// An Exchange is one request that a host was asked to send.
type Exchange struct {
	Method string
	URL    string
	Header sdk.Header
	Body   []byte
	Status int
}

// A LogLine is one line that a host was asked to log.
type LogLine struct {
	Level   sdk.Level
	Message string
	// Args are the attributes as text, name and value in turn.
	Args []string
}

// HostOptions are what a Host can do without.
type HostOptions struct {
	// HTTP answers requests; nil refuses them with kind denied.
	HTTP Cassette
	// Secrets are what Secret gives; others are refused with kind denied.
	Secrets map[string]string
	// Now is where the clock stands; zero is the first of January 2026, UTC.
	Now time.Time
}

var _ sdk.Host = (*Host)(nil)

// A Host is an sdk.Host of a test: it sends nothing, and records what it is
// asked. It is safe for concurrent use.
type Host struct {
	tb testing.TB
	o  HostOptions

	mu        sync.Mutex
	now       time.Time
	over      bool
	state     map[string][]byte
	late      []string
	exchanges []Exchange
	logs      []LogLine
}

// NewHost makes a host. The test fails if a secret is logged, and when it ends
// if the host was used after Over.
func NewHost(tb testing.TB, o HostOptions) *Host {
	tb.Helper()
	h := &Host{tb: tb, o: o, now: o.Now}
	if h.now.IsZero() {
		h.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	tb.Cleanup(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, use := range h.late {
			tb.Errorf("the host was used after its call had returned: %s", use)
		}
	})
	return h
}

// Over ends the call that the host belongs to: later use is refused with kind
// cancelled and fails the test.
func (h *Host) Over() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// Advance moves the clock.
func (h *Host) Advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// Exchanges gives the requests that were sent, in the order of their answers.
func (h *Host) Exchanges() []Exchange {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.exchanges)
}

// Logs gives the lines that were logged.
func (h *Host) Logs() []LogLine {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.logs)
}

// inspect fails the test when an error gives a secret away.
func (h *Host) inspect(err error) {
	if err == nil {
		return
	}
	for name, v := range h.o.Secrets {
		if v != "" && strings.Contains(err.Error(), v) {
			h.tb.Errorf("the secret %s stands in an error", name)
		}
	}
}

// leaks says which secret stands in a line, "" if none does.
func (h *Host) leaks(l LogLine) string {
	for name, v := range h.o.Secrets {
		if v != "" && strings.Contains(l.Message+"\x00"+strings.Join(l.Args, "\x00"), v) {
			return name
		}
	}
	return ""
}

// enter refuses use after Over.
func (h *Host) enter(use string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		return nil
	}
	h.late = append(h.late, use)
	return sdk.Errorf(sdk.Cancelled, "the host was used after its call had returned")
}

// HTTP implements sdk.Host out of the cassette.
func (h *Host) HTTP(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	if err := h.enter("HTTP " + r.URL); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if h.o.HTTP == nil {
		return nil, sdk.Errorf(sdk.Denied, "this host sends no requests")
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("read the request's body: %w", err)
		}
	}
	a := h.o.HTTP(r, body)
	if a.Hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if a.Slow {
		late := time.NewTimer(50 * time.Millisecond)
		defer late.Stop()
		select {
		case <-late.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if a.Status == 0 {
		a.Status = 200
	}
	h.mu.Lock()
	h.exchanges = append(h.exchanges, Exchange{r.Method, r.URL, slices.Clone(r.Header), body, a.Status})
	h.mu.Unlock()
	if a.Err != nil {
		return nil, a.Err
	}
	size := int64(len(a.Body))
	if a.Hold || a.Slow || a.Endless {
		size = -1
	}
	return &sdk.Response{
		Status: a.Status, Header: slices.Clone(a.Header), Size: size,
		Body: &tape{ctx: ctx, a: a, left: MaxBody},
	}, nil
}

// Log implements sdk.Host.
func (h *Host) Log(_ context.Context, level sdk.Level, msg string, args ...any) {
	if h.enter("Log "+msg) != nil {
		return
	}
	l := LogLine{Level: level, Message: msg}
	for _, a := range args {
		l.Args = append(l.Args, fmt.Sprint(a))
	}
	if name := h.leaks(l); name != "" {
		h.tb.Errorf("the secret %s stands in a log line", name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = append(h.logs, l)
}

// Secret implements sdk.Host.
func (h *Host) Secret(_ context.Context, name string) (string, error) {
	if err := h.enter("Secret " + name); err != nil {
		return "", err
	}
	v, ok := h.o.Secrets[name]
	if !ok {
		return "", sdk.Errorf(sdk.Denied, "this host gives no secret %q", name)
	}
	return v, nil
}

// State implements sdk.Host.
func (h *Host) State(ctx context.Context, key string) ([]byte, error) {
	if err := errors.Join(h.enter("State "+key), ctx.Err()); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.state[key]), nil
}

// SetState implements sdk.Host: within sdk.MaxState.
func (h *Host) SetState(ctx context.Context, key string, value []byte) error {
	if err := errors.Join(h.enter("SetState "+key), ctx.Err()); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(key) + len(value)
	for k, v := range h.state {
		if k != key {
			n += len(k) + len(v)
		}
	}
	switch {
	case len(value) == 0:
		delete(h.state, key)
	case n > sdk.MaxState:
		return sdk.Errorf(sdk.TooLarge, "keys and values would have %d bytes, %d are allowed", n, sdk.MaxState)
	default:
		if h.state == nil {
			h.state = map[string][]byte{}
		}
		h.state[key] = bytes.Clone(value)
	}
	return nil
}

// Now implements sdk.Host; the clock stands still but for Advance.
func (h *Host) Now() time.Time {
	_ = h.enter("Now")
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}
