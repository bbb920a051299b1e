// Package egress sends every HTTP request that leaves Tappet: one transport,
// one guard, one governor of hosts, one record of each exchange.
//
// It is not a client with opinions: it never repeats a request that a service
// may have seen without being able to tell repeats, keeps no cookies, reads no
// proxy from the environment unless it is told to, and gives a status of any
// class as a response.
// Its one rule: the address that is connected to is judged when it is dialled,
// for every name, redirect and reconnection, and never by the text of a URL.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tappet-dev/tappet/internal/egress/governor"
	"github.com/tappet-dev/tappet/sdk"
)

// Options are the settings of a Client. The zero value works: everything that
// isn't public is refused, and the limits have their defaults.
type Options struct {
	// Allow names the addresses that the guard lets through although they
	// aren't public. See ParseAllow.
	Allow Allow
	// Resolver resolves names; nil means Go's own resolver. The C library's one
	// takes spellings such as 127.1 for addresses and is never used.
	Resolver *net.Resolver
	// RootCAs are the certificate authorities to trust; nil means the system's.
	RootCAs *x509.CertPool
	// MinTLS is the oldest version of TLS that is spoken; 0 means TLS 1.2.
	MinTLS uint16
	// HTTP1 keeps to HTTP/1.1 where a service offers HTTP/2.
	HTTP1 bool
	// Proxy is what requests go through; nil means none. See ParseProxy.
	Proxy *Proxy
	// UserAgent is sent where a request has none; empty means "Tappet".
	UserAgent string

	Limits Limits
	// Governor bounds what goes to one host at a time, and Rules say what holds
	// for single hosts. See package governor.
	Governor governor.Limits
	Rules    governor.Rules
}

// Limits bound what one request may cost. A zero field means its default.
type Limits struct {
	// Connect bounds resolving and connecting; 10 s.
	Connect time.Duration
	// TLS bounds the handshake; 10 s.
	TLS time.Duration
	// FirstByte bounds the wait for the response's header after the request was
	// sent; 60 s.
	FirstByte time.Duration
	// IdleRead bounds each wait for more of the response's body; 60 s.
	IdleRead time.Duration
	// Whole bounds the whole call, redirects and reading the body included, but
	// not the wait for its turn; 5 min.
	Whole time.Duration
	// WholeFile takes the place of Whole for a call whose request or response
	// may be larger than ResponseBody; 1 h.
	WholeFile time.Duration
	// KeepAlive is how long an unused connection is kept; 90 s.
	KeepAlive time.Duration

	// RequestHeader bounds the names and values of a request's header in
	// bytes, four more for each field; 64 KiB.
	RequestHeader int
	// ResponseHeader bounds a response's header in bytes; 256 KiB.
	ResponseHeader int64
	// ResponseBody bounds a response's body in bytes, before and after
	// decompression; 16 MiB.
	ResponseBody int64
	// ResponseFile takes the place of ResponseBody for a caller that says how
	// much it is ready to take (sdk.Request.MaxResponse), and bounds that; 2 GiB.
	ResponseFile int64
	// Captured bounds what is kept of each direction of a call that is captured,
	// in bytes; 1 MiB.
	Captured int
	// Redirects is how many redirects are followed, of a request that doesn't want
	// fewer (sdk.Request.MaxRedirects); 10. Negative: none is, and the redirect is
	// the response.
	Redirects int
	// Idle is how many unused connections are kept in all; 1,024.
	Idle int
	// IdlePerHost is how many of them go to one host; 256.
	IdlePerHost int
}

// withDefaults fills the fields that are zero.
func (l Limits) withDefaults() Limits {
	set(&l.Connect, 10*time.Second)
	set(&l.TLS, 10*time.Second)
	set(&l.FirstByte, 60*time.Second)
	set(&l.IdleRead, 60*time.Second)
	set(&l.Whole, 5*time.Minute)
	set(&l.WholeFile, time.Hour)
	set(&l.KeepAlive, 90*time.Second)
	set(&l.RequestHeader, 64<<10)
	set(&l.ResponseHeader, 256<<10)
	set(&l.ResponseBody, 16<<20)
	set(&l.ResponseFile, 2<<30)
	set(&l.Captured, 1<<20)
	set(&l.Redirects, 10)
	set(&l.Idle, 1024)
	set(&l.IdlePerHost, 256)
	return l
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// A span is a limit of time, and the setting that gives it.
type span struct {
	time.Duration
	setting string
}

// String names the limit, as the end of a message.
func (s span) String() string { return fmt.Sprintf("its limit of %s (%s)", s.Duration, s.setting) }

func (l *Limits) connect() span   { return span{l.Connect, "limits.connect"} }
func (l *Limits) tls() span       { return span{l.TLS, "limits.tls"} }
func (l *Limits) firstByte() span { return span{l.FirstByte, "limits.first_byte"} }
func (l *Limits) idleRead() span  { return span{l.IdleRead, "limits.idle_read"} }
func (l *Limits) whole() span     { return span{l.Whole, "limits.exchange"} }
func (l *Limits) wholeFile() span { return span{l.WholeFile, "limits.exchange_file"} }

// A Client sends requests. It is safe for concurrent use, and its connections
// are shared by all of them.
type Client struct {
	transport *http.Transport
	own       transports
	dialer    *net.Dialer
	tls       *tls.Config
	http1     bool
	guard     *guard
	proxy     *Proxy
	governor  *governor.Governor
	limits    Limits
	userAgent string
}

// New returns a client. It holds no goroutine until it is used.
func New(o Options) *Client {
	l := o.Limits.withDefaults()
	resolver := o.Resolver
	if resolver == nil {
		resolver = &net.Resolver{PreferGo: true}
	}
	g := newGuard(o.Allow)
	dialer := &net.Dialer{
		Timeout:        l.Connect,
		Resolver:       resolver,
		ControlContext: g.control,
	}
	return newClient(o, l, g, dialer)
}

func newClient(o Options, l Limits, g *guard, dialer *net.Dialer) *Client {
	c := &Client{
		dialer: dialer, guard: g, proxy: o.Proxy, http1: o.HTTP1, governor: governor.New(o.Governor, o.Rules), limits: l, userAgent: o.UserAgent,
		tls: &tls.Config{RootCAs: o.RootCAs, MinVersion: o.MinTLS},
	}
	set(&c.tls.MinVersion, tls.VersionTLS12)
	set(&c.userAgent, "Tappet")
	c.transport = c.newTransport()
	return c
}

// newTransport makes the transport of all calls, or one for a single call.
func (c *Client) newTransport() *http.Transport {
	l := c.limits
	t := &http.Transport{
		DialContext:            c.dial,
		TLSClientConfig:        c.tls.Clone(),
		TLSHandshakeTimeout:    l.TLS,
		DisableCompression:     true, // decoded here, within the limit
		MaxIdleConns:           l.Idle,
		MaxIdleConnsPerHost:    l.IdlePerHost,
		IdleConnTimeout:        l.KeepAlive,
		ResponseHeaderTimeout:  l.FirstByte,
		MaxResponseHeaderBytes: l.ResponseHeader,
		Protocols:              new(http.Protocols),
		OnProxyConnectResponse: tunnelled,
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(!c.http1)
	if c.proxy != nil {
		t.Proxy = func(r *http.Request) (*url.URL, error) { return c.proxy.of(r.URL) }
	}
	return t
}

// dial connects to an address, after the guard has let it pass.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	begun := time.Now()
	conn, err := c.dialer.DialContext(traceDial(ctx), network, addr)
	if err != nil && isTimeout(err) && time.Since(begun) >= c.limits.Connect {
		return nil, sdk.Errorf(sdk.Timeout, "resolving and connecting took longer than %s: %w", c.limits.connect(), err)
	}
	return conn, err
}

// Close closes the connections that nobody uses. Calls under way go on.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
	c.own.closeIdle()
}

// Hosts lists how the hosts stand that are being called.
func (c *Client) Hosts() []governor.View { return c.governor.Hosts() }

// A Call says on whose behalf a request is sent, and who hears of it. The zero
// value works.
type Call struct {
	// Group is who shares turns where calls wait for a host: a graph.
	Group int64
	// Record is called once: when the response's body was read to its end or
	// closed, or with the failure, before it is returned.
	Record func(Exchange)
	// Waiting is called with the reason when the call begins to wait for its
	// turn, and when the reason changes; with "" when it waits no longer. The last
	// reason is in the Exchange.
	Waiting func(governor.Why)
	// Capture, if set, gets the bytes of the request and the response as they
	// crossed the wire, before Record is called. Such a call has connections of
	// its own and speaks HTTP/1.1.
	Capture func(Capture)
	// TLS, if set, is what the call's connections are made with, such as a client's
	// certificate; what it leaves open is as the client has it. They are shared by
	// the calls with this very config, which must not change.
	TLS *tls.Config
}

// Do sends a request of no group; see Send.
func (c *Client) Do(ctx context.Context, r *sdk.Request, rec func(Exchange)) (*sdk.Response, error) {
	return c.Send(ctx, r, Call{Record: rec})
}

// Send sends one request when its turn has come, and follows its redirects. A
// status of any class is a response; whatever went wrong is an *sdk.Error with
// its kind:
//
//	invalid       the request can't be sent as it is; nothing was sent
//	denied        the guard or the proxy refuses the address, or a redirect would
//	              take the body to another site
//	not_found     the name doesn't exist
//	rate_limited  its turn comes too late; nothing was sent, and RetryAfter says when
//	unavailable   refused, reset, unreachable, cut off, DNS fails for now; with
//	              RetryAfter: nothing was sent, since the host is known to be down
//	timeout       a limit of time was passed
//	too_large     the response passed a limit
//	cancelled     ctx was cancelled
//	failed        anything else: TLS, HTTP that isn't, too many redirects
//
// The body of the response is decoded (gzip, deflate, br, zstd), limited, and
// must be closed; until then the bytes of the request's body must not change,
// since a service may answer before it has read them. It also holds the call's
// place at its host until then.
func (c *Client) Send(ctx context.Context, r *sdk.Request, call Call) (*sdk.Response, error) {
	x := newExchange(r, call)
	out, err := c.request(r)
	if err != nil {
		return nil, x.fail(err)
	}
	if err := c.acquire(ctx, out, x); err != nil {
		return nil, x.fail(err)
	}
	ctx, w := newWatch(ctx, &c.limits, c.whole(r))
	transport := c.transportOf(call)
	if call.Capture != nil {
		transport = c.capturing(x)
	}
	resp, err := c.follow(x.trace(ctx), transport, r, out, x)
	if err != nil {
		err = x.fail(classify(err, w))
		w.stop()
		return nil, err
	}
	return c.response(resp, r, x, w), nil
}

// acquire waits for the turn of the next send; a host of which x has a place
// already gives no second one.
func (c *Client) acquire(ctx context.Context, out *outgoing, x *exchange) error {
	key := out.hostKey()
	if key == x.key {
		return nil
	}
	x.leave(nil)
	slot, err := c.governor.Acquire(ctx, key, x.call.Group, x.call.Waiting)
	if x.call.Waiting != nil && (err != nil || slot.Waited > 0) {
		x.call.Waiting("")
	}
	if err != nil {
		return err
	}
	x.enter(key, slot)
	return nil
}

// whole is the time that a call has, unless its response turns out to be a
// file's.
func (c *Client) whole(r *sdk.Request) span {
	if r.Size > c.limits.ResponseBody || r.Size < 0 {
		return c.limits.wholeFile()
	}
	return c.limits.whole()
}
