package egress

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
)

// A proxyServer is a proxy for both ways of asking, and SOCKS5 on another port.
// It takes every name for the loopback address.
type proxyServer struct {
	http, socks string // host:port
	mu          sync.Mutex
	asked       []string
	refuse      int // status of CONNECT, 0: it is granted
}

func (p *proxyServer) note(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, s)
}

func (p *proxyServer) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.asked
	p.asked = nil
	return got
}

func loopback(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return "127.0.0.1:" + port
}

// pipe joins two connections until one ends.
func pipe(a, b net.Conn) {
	go func() {
		_, _ = io.Copy(a, b)
		_ = a.Close()
	}()
	_, _ = io.Copy(b, a)
	_ = b.Close()
}

func newProxy(t testing.TB) *proxyServer {
	t.Helper()
	p := &proxyServer{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		p.note(r.Method + " " + r.RequestURI + " " + r.Header.Get("Proxy-Authorization"))
		if r.Method != http.MethodConnect {
			out := r.Clone(r.Context())
			out.RequestURI, out.URL.Host = "", loopback(r.URL.Host)
			resp, err := http.DefaultTransport.RoundTrip(out)
			if err != nil {
				w.WriteHeader(502)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
			return
		}
		if p.refuse != 0 {
			w.WriteHeader(p.refuse)
			return
		}
		to, err := net.Dial("tcp", loopback(r.Host))
		if err != nil {
			w.WriteHeader(502)
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		pipe(conn, to)
	})
	p.http = s.Listener.Addr().String()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p.socks = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serveSocks(conn)
		}
	}()
	return p
}

// serveSocks speaks enough of SOCKS5 (RFC 1928) for names, without a password.
func (p *proxyServer) serveSocks(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	b := make([]byte, 300)
	if _, err := io.ReadFull(conn, b[:2]); err != nil {
		return
	}
	if _, err := io.ReadFull(conn, b[:b[1]]); err != nil {
		return
	}
	_, _ = conn.Write([]byte{5, 0})
	if _, err := io.ReadFull(conn, b[:5]); err != nil || b[3] != 3 {
		return
	}
	n := int(b[4])
	if _, err := io.ReadFull(conn, b[:n+2]); err != nil {
		return
	}
	name, port := string(b[:n]), binary.BigEndian.Uint16(b[n:])
	p.note("socks " + name)
	to, err := net.Dial("tcp", "127.0.0.1:"+itoa(port))
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	pipe(conn, to)
}

func mustProxy(t testing.TB, url string, direct ...string) *Proxy {
	t.Helper()
	p, err := ParseProxy(url, direct)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newSecure starts a server whose certificate is good for example.com.
func newSecure(t testing.TB, h http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, pool
}

func TestRequestsThroughAProxy(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+" "+r.RequestURI) })
	secure, pool := newSecure(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+" "+r.Proto) })
	_, plainPort, _ := net.SplitHostPort(plain.Listener.Addr().String())
	_, securePort, _ := net.SplitHostPort(secure.Listener.Addr().String())
	byName, bySecure := "http://forms.test:"+plainPort, "https://example.com:"+securePort
	const auth = " Basic dTpw"
	for _, capture := range []bool{false, true} {
		proto := " HTTP/2.0"
		if capture {
			proto = " HTTP/1.1"
		}
		for _, tt := range []struct {
			name, proxy, url, want string
			asked                  string
		}{
			{"http", "http://u:p@" + p.http, byName + "/a|b?c={d}", "forms.test:" + plainPort + " /a%7Cb?c={d}", "GET " + byName + "/a|b?c={d}" + auth},
			{"https", "http://u:p@" + p.http, bySecure, "example.com:" + securePort + proto, "CONNECT example.com:" + securePort + auth},
			{"http over socks", "socks5://" + p.socks, byName + "/a|b", "forms.test:" + plainPort + " /a|b", "socks forms.test"},
			{"https over socks", "socks5://" + p.socks, bySecure, "example.com:" + securePort + proto, "socks example.com"},
		} {
			c := New(Options{Allow: mustAllow(t, p.http, p.socks), RootCAs: pool, Proxy: mustProxy(t, tt.proxy)})
			call := Call{}
			var got Capture
			if capture {
				call.Capture = func(x Capture) { got = x }
			}
			resp, err := c.Send(t.Context(), &sdk.Request{URL: tt.url}, call)
			if err != nil {
				t.Errorf("%s, captured %t: %v", tt.name, capture, err)
				continue
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if asked := p.take(); err != nil || string(body) != tt.want || len(asked) != 1 || asked[0] != tt.asked {
				t.Errorf("%s, captured %t: %q, %v, the proxy was asked %q", tt.name, capture, body, err, asked)
			}
			if capture && (len(got.Hops) != 1 || !strings.HasPrefix(string(got.Hops[0].Request), "GET ") || !strings.HasSuffix(string(got.Hops[0].Response), tt.want)) {
				t.Errorf("%s: captured %+v", tt.name, got)
			}
			c.Close()
		}
	}
}

// The guard judges the proxy's address, what is reached without it, and
// addresses that the proxy is asked for.
func TestSec01_AProxyIsNoWayAroundTheGuard(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	for _, tt := range []struct {
		name, url string
		o         Options
	}{
		{"the proxy's own address", "http://forms.test/", Options{Proxy: mustProxy(t, "http://"+p.http)}},
		{"a private address", "http://10.0.0.1/", Options{Proxy: mustProxy(t, "http://"+p.http), Allow: mustAllow(t, p.http)}},
		{"another notation", "https://[::ffff:169.254.169.254]/", Options{Proxy: mustProxy(t, "http://"+p.http), Allow: mustAllow(t, p.http)}},
		{"loopback", "http://127.0.0.1:7/", Options{Proxy: mustProxy(t, "http://"+p.http), Allow: mustAllow(t, p.http)}},
		{"what goes directly", "http://10.0.0.1/", Options{Proxy: mustProxy(t, "socks5://"+p.socks, "10.0.0.0/8"), Allow: mustAllow(t, p.socks)}},
	} {
		for _, capture := range []func(Capture){nil, func(Capture) {}} {
			c := New(tt.o)
			if _, err := c.Send(t.Context(), &sdk.Request{URL: tt.url}, Call{Capture: capture}); sdk.KindOf(err) != sdk.Denied {
				t.Errorf("%s: %v, want kind denied", tt.name, err)
			}
			c.Close()
		}
	}
	if asked := p.take(); len(asked) > 0 {
		t.Errorf("the proxy was asked %q", asked)
	}
}

func TestAProxyThatRefuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]sdk.Kind{403: sdk.Denied, 407: sdk.Denied, 502: sdk.Unavailable, 400: sdk.Failed} {
		p := newProxy(t)
		p.refuse = status
		c := New(Options{Allow: mustAllow(t, p.http), Proxy: mustProxy(t, "http://u:s3cret@"+p.http)})
		for _, capture := range []func(Capture){nil, func(Capture) {}} {
			_, err := c.Send(t.Context(), &sdk.Request{URL: "https://forms.test/"}, Call{Capture: capture})
			if sdk.KindOf(err) != want || !strings.Contains(err.Error(), "egress.proxy") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%d: %v, want kind %s", status, err, want)
			}
		}
		c.Close()
	}
}

func TestParseProxySaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for url, says := range map[string]string{
		"proxy:3128":               "no URL of a proxy",
		"ftp://proxy:21":           `scheme "ftp"`,
		"http://":                  "no URL of a proxy",
		"http://u:s3cret@h:port":   "no URL of a proxy",
		"http://proxy:3128/path":   "no URL of a proxy",
		"//u:s3cret@proxy":         "http, https and socks5",
		"http://u:s3cret@proxy/?a": "no URL of a proxy",
	} {
		if _, err := ParseProxy(url, nil); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", url, err, says)
		}
	}
	for _, proxy := range []string{"", "env"} {
		if _, err := ParseProxy(proxy, []string{"a.example"}); err == nil {
			t.Errorf("%q with egress.no_proxy is taken", proxy)
		}
	}
	if p, err := ParseProxy("", nil); p != nil || err != nil {
		t.Errorf("no proxy: %v, %v", p, err)
	}
}

// The environment's proxy is taken only where the setting says so.
func TestTheEnvironmentsProxyIsTakenOnlyOnDemand(t *testing.T) {
	p := newProxy(t)
	t.Setenv("HTTP_PROXY", "http://"+p.http)
	t.Setenv("NO_PROXY", "")
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	ask := func(proxy *Proxy) error {
		c := New(Options{Allow: mustAllow(t, p.http), Proxy: proxy, Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: io.EOF}
		}}})
		defer c.Close()
		_, _, _, err := fetch(t.Context(), c, &sdk.Request{URL: "http://forms.test:" + port})
		return err
	}
	if err := ask(nil); sdk.KindOf(err) != sdk.Unavailable || len(p.take()) != 0 {
		t.Errorf("without the setting: %v", err)
	}
	if err := ask(mustProxy(t, "env")); err != nil || len(p.take()) != 1 {
		t.Errorf("with it: %v", err)
	}
}

func TestAuthoritiesAndVersionsOfTLS(t *testing.T) {
	t.Parallel()
	s, _ := newSecure(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool, err := LoadAuthorities(file)
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{"HTTP/2.0": {}, "HTTP/1.1": {HTTP1: true}} {
		o.Allow, o.RootCAs = mustAllow(t, "127.0.0.0/8"), pool
		c := New(o)
		if _, got, _, err := fetch(t.Context(), c, &sdk.Request{URL: s.URL}); err != nil || got != want {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
		c.Close()
	}
	for name, content := range map[string]string{"missing": "", "text": "hello"} {
		file := filepath.Join(t.TempDir(), name)
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := LoadAuthorities(file); err == nil || !strings.Contains(err.Error(), "egress.ca") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
