package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/proxy"

	"github.com/tappet-dev/tappet/sdk"
)

// A Capture is the HTTP that crossed the wire for one call, taken inside TLS.
// It holds secrets as they were sent.
type Capture struct {
	// Hops are the request and what redirects made of it, in order.
	Hops []Hop
}

// A Hop is one request and its response.
type Hop struct {
	// URL is where the request went.
	URL string
	// Request and Response are their bytes: head and body, chunked and encoded
	// as they were.
	Request, Response []byte
	// RequestCut and ResponseCut say that there was more than Limits.Captured.
	RequestCut, ResponseCut bool
}

// A tape records the connections of one call.
type tape struct {
	limit int
	done  func()

	mu    sync.Mutex
	hops  []Hop
	ended bool
}

// next begins a hop.
func (t *tape) next(url string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hops = append(t.hops, Hop{URL: url})
}

// end frees the call's connections and gives what was recorded; what still
// comes isn't.
func (t *tape) end() Capture {
	t.done()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	return Capture{Hops: t.hops}
}

// note keeps bytes of the present hop.
func (t *tape) note(p []byte, of func(*Hop) (kept *[]byte, cut *bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.hops) == 0 || t.ended {
		return
	}
	kept, cut := of(&t.hops[len(t.hops)-1])
	if room := t.limit - len(*kept); len(p) > room {
		p, *cut = p[:room], true
	}
	*kept = append(*kept, p...)
}

// A recorded connection tells a tape what it carries.
type recorded struct {
	net.Conn
	tape *tape
}

func (c *recorded) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.tape.note(p[:n], func(h *Hop) (*[]byte, *bool) { return &h.Request, &h.RequestCut })
	return n, err
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tape.note(p[:n], func(h *Hop) (*[]byte, *bool) { return &h.Response, &h.ResponseCut })
	return n, err
}

// capturing makes the transport of one call that is captured. It dials, tunnels
// and shakes hands itself, so that what is recorded is the HTTP inside.
func (c *Client) capturing(x *exchange) *http.Transport {
	t := c.newTransport()
	t.Protocols.SetHTTP2(false)
	x.tape = &tape{limit: c.limits.Captured, done: t.CloseIdleConnections}
	// A proxy that forwards is the transport's business; the transport then dials
	// the proxy, and otherwise the target.
	t.Proxy = func(r *http.Request) (*url.URL, error) { return c.proxy.forwards(r.URL) }
	dial := func(ctx context.Context, network, addr string, secure bool) (net.Conn, error) {
		target, err := url.Parse(x.tape.target())
		if err != nil {
			return nil, err
		}
		p, err := c.proxy.forwards(target)
		if err != nil {
			return nil, err
		}
		var conn net.Conn
		if p != nil {
			conn, err = c.dial(ctx, network, addr)
		} else {
			conn, err = c.tunnel(ctx, target, addr)
		}
		if err == nil && secure {
			conn, err = c.handshake(ctx, conn, addr, x)
		}
		if err != nil {
			return nil, err
		}
		return &recorded{conn, x.tape}, nil
	}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial(ctx, network, addr, false)
	}
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dial(ctx, network, addr, true)
	}
	return t
}

// target is the URL of the present hop.
func (t *tape) target() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hops[len(t.hops)-1].URL
}

// handshake speaks TLS on a connection, which it closes when that fails.
func (c *Client) handshake(ctx context.Context, conn net.Conn, addr string, x *exchange) (net.Conn, error) {
	config := c.tlsOf(x.call)
	config.ServerName, _, _ = net.SplitHostPort(addr) // the transport's own
	ctx, cancel := context.WithTimeout(ctx, c.limits.TLS)
	defer cancel()
	begun := time.Now()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = sdk.Errorf(sdk.Timeout, "the TLS handshake took longer than %s: %w", c.limits.tls(), err)
		}
		return nil, err
	}
	x.note(func(now time.Time) { x.x.TLS += now.Sub(begun) })
	return secure, nil
}

// tunnel connects to the address of a URL, through the proxy where there is one.
func (c *Client) tunnel(ctx context.Context, target *url.URL, addr string) (net.Conn, error) {
	var via *url.URL
	var err error
	if c.proxy != nil {
		via, err = c.proxy.of(target)
	}
	if via == nil || err != nil {
		if err != nil {
			return nil, err
		}
		return c.dial(ctx, "tcp", addr)
	}
	if via.Scheme == "socks5" || via.Scheme == "socks5h" {
		var auth *proxy.Auth
		if via.User != nil {
			password, _ := via.User.Password()
			auth = &proxy.Auth{User: via.User.Username(), Password: password}
		}
		d, err := proxy.SOCKS5("tcp", withPort(via, "1080"), auth, forward(c.dial))
		if err != nil {
			return nil, err
		}
		return d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr) // SOCKS5 always gives one
	}
	conn, err := c.dial(ctx, "tcp", withPort(via, portOf(via)))
	if err != nil {
		return nil, err
	}
	if err := c.connect(ctx, &conn, via, addr); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// connect asks a proxy for a tunnel (RFC 9110, 9.3.6), under TLS if it wants.
func (c *Client) connect(ctx context.Context, conn *net.Conn, via *url.URL, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Connect)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = (*conn).SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if via.Scheme == "https" {
		config := c.tls.Clone()
		config.ServerName = via.Hostname()
		secure := tls.Client(*conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		*conn = secure
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if via.User != nil {
		password, _ := via.User.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)))
	}
	if err := req.Write(*conn); err != nil {
		return err
	}
	// The target's first byte comes after ours, so nothing is read too far.
	resp, err := http.ReadResponse(bufio.NewReader(*conn), req)
	if err != nil {
		return err
	}
	return tunnelError(resp)
}

// forward is a dialer of package proxy.
type forward func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial implements proxy.Dialer.
func (f forward) Dial(network, addr string) (net.Conn, error) {
	return f(context.Background(), network, addr)
}

// DialContext implements proxy.ContextDialer.
func (f forward) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

func withPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}
