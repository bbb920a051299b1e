// Package egress sends every HTTP request that leaves Tappet: one transport,
// one guard, one record of each exchange.
//
// It is not a client with opinions: it never repeats a request that a service
// may have seen without being able to tell repeats, keeps no cookies, reads no
// proxy from the environment, and gives a status of any class as a response.
// Its one rule: the address that is connected to is judged when it is dialled,
// for every name, redirect and reconnection, and never by the text of a URL.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

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
	// UserAgent is sent where a request has none; empty means "Tappet".
	UserAgent string

	Limits Limits
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
	// Whole bounds the whole call, redirects and reading the body included; 5 min.
	Whole time.Duration
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
	// Redirects is how many redirects are followed; 10. Negative: none is, and
	// the redirect is the response.
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
	set(&l.KeepAlive, 90*time.Second)
	set(&l.RequestHeader, 64<<10)
	set(&l.ResponseHeader, 256<<10)
	set(&l.ResponseBody, 16<<20)
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

// A Client sends requests. It is safe for concurrent use, and its connections
// are shared by all of them.
type Client struct {
	transport *http.Transport
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
	return newClient(o, l, dialer)
}

func newClient(o Options, l Limits, dialer *net.Dialer) *Client {
	c := &Client{limits: l, userAgent: o.UserAgent}
	set(&c.userAgent, "Tappet")
	c.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialer.DialContext(traceDial(ctx), network, addr)
		},
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    l.TLS,
		DisableCompression:     true, // decoded here, within the limit
		MaxIdleConns:           l.Idle,
		MaxIdleConnsPerHost:    l.IdlePerHost,
		IdleConnTimeout:        l.KeepAlive,
		ResponseHeaderTimeout:  l.FirstByte,
		MaxResponseHeaderBytes: l.ResponseHeader,
		ForceAttemptHTTP2:      true,
	}
	return c
}

// Close closes the connections that nobody uses. Calls under way go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Do sends one request and follows its redirects. A status of any class is a
// response; whatever went wrong is an *sdk.Error with its kind:
//
//	invalid      the request can't be sent as it is; nothing was sent
//	denied       the guard refuses the address
//	not_found    the name doesn't exist
//	unavailable  refused, reset, unreachable, cut off, DNS fails for now
//	timeout      a limit of time was passed
//	too_large    the response passed a limit
//	cancelled    ctx was cancelled
//	failed       anything else: TLS, HTTP that isn't, too many redirects
//
// The body of the response is decoded (gzip, deflate), limited, and must be
// closed; until then the bytes of the request's body must not change, since a
// service may answer before it has read them. rec, which may be nil, is called once: when the body was read to its
// end or closed, or with the failure, before Do returns it.
func (c *Client) Do(ctx context.Context, r *sdk.Request, rec func(Exchange)) (*sdk.Response, error) {
	x := newExchange(r, rec)
	out, err := c.request(r)
	if err != nil {
		return nil, x.fail(err)
	}
	ctx, w := newWatch(ctx, c.limits)
	resp, err := c.follow(x.trace(ctx), r, out, x)
	if err != nil {
		err = x.fail(classify(err, w))
		w.stop()
		return nil, err
	}
	return c.response(resp, x, w), nil
}
