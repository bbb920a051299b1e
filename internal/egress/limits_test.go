package egress

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// silent listens, accepts and says nothing.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return l.Addr().String()
}

// generous is the deadline of a call that must end by a limit of its own: a
// failure by the deadline would be another one.
const generous = 30 * time.Second

// A call that passes a limit fails with its kind, and the message names the
// limit and the setting. Every other limit is far away.
func TestRefusalsNameTheLimitAndItsSetting(t *testing.T) {
	t.Parallel()
	const soon = 30 * time.Millisecond
	const ok = "HTTP/1.1 200 OK\r\n"
	nameless, err := net.ListenPacket("udp", "127.0.0.1:0") // a name server that never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nameless.Close() })
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", nameless.LocalAddr().String())
	}}
	quiet, stands := silent(t), misbehave(t, say(ok+"Content-Length: 10\r\n\r\nabc"))
	drips := misbehave(t, drip(ok+"Content-Length: 99999\r\n\r\n"))
	flood := misbehave(t, endless(ok, "A: b\r\n"))
	large := misbehave(t, say(ok+"Content-Length: 5000\r\n\r\n"))
	round := misbehave(t, sayAndGo("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"))
	capture := func(Capture) {}
	for _, tt := range []struct {
		name string
		l    Limits
		r    sdk.Request
		call Call
		kind sdk.Kind
		says string
	}{
		{"resolving", Limits{Connect: soon}, sdk.Request{URL: "http://slow.test/"}, Call{}, sdk.Timeout, "its limit of 30ms (limits.connect)"},
		{"TLS", Limits{TLS: soon}, sdk.Request{URL: "https://" + quiet}, Call{}, sdk.Timeout, "its limit of 30ms (limits.tls)"},
		{"TLS of a call that is captured", Limits{TLS: soon}, sdk.Request{URL: "https://" + quiet}, Call{Capture: capture}, sdk.Timeout, "its limit of 30ms (limits.tls)"},
		{"TLS of the call's own", Limits{TLS: soon}, sdk.Request{URL: "https://" + quiet}, Call{TLS: &tls.Config{MinVersion: tls.VersionTLS13}}, sdk.Timeout, "its limit of 30ms (limits.tls)"},
		{"first byte", Limits{FirstByte: soon}, sdk.Request{URL: "http://" + quiet}, Call{}, sdk.Timeout, "its limit of 30ms (limits.first_byte)"},
		{"idle", Limits{IdleRead: soon}, sdk.Request{URL: stands}, Call{}, sdk.Timeout, "its limit of 30ms (limits.idle_read)"},
		{"the whole call", Limits{Whole: soon}, sdk.Request{URL: drips}, Call{}, sdk.Timeout, "its limit of 30ms (limits.exchange)"},
		{"the whole call of a file", Limits{WholeFile: soon}, sdk.Request{URL: drips, Method: "POST", Body: strings.NewReader("x"), Size: -1}, Call{}, sdk.Timeout, "its limit of 30ms (limits.exchange_file)"},
		{"request header", Limits{RequestHeader: 9}, sdk.Request{URL: stands, Header: sdk.Header{{Name: "Acme", Value: "12"}}}, Call{}, sdk.Invalid, "more than 9 bytes (limits.request_header)"},
		{"response header", Limits{ResponseHeader: 4096}, sdk.Request{URL: flood}, Call{}, sdk.TooLarge, "its limit is 4096 bytes (limits.response_header)"},
		{"response body", Limits{ResponseBody: 4999}, sdk.Request{URL: large}, Call{}, sdk.TooLarge, "limit of 4999 bytes (limits.response_body)"},
		{"response file", Limits{ResponseFile: 4999}, sdk.Request{URL: large, MaxResponse: 1 << 30}, Call{}, sdk.TooLarge, "limit of 4999 bytes (limits.response_file)"},
		{"response of the caller's limit", Limits{}, sdk.Request{URL: large, MaxResponse: 4999}, Call{}, sdk.TooLarge, "limit of 4999 bytes"},
		{"redirects", Limits{Redirects: 2}, sdk.Request{URL: round}, Call{}, sdk.Failed, "more than 2 redirects (limits.redirects)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := New(Options{Allow: mustAllow(t, "127.0.0.0/8"), Limits: tt.l, Resolver: resolver})
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), generous)
			defer cancel()
			resp, err := c.Send(ctx, &tt.r, tt.call)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			if err == nil || sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want kind %s saying %q", err, tt.kind, tt.says)
			}
		})
	}
}

// An unused connection ends after its time, and only so many are kept. The
// control is the same with a limit that isn't reached.
func TestUnusedConnectionsEnd(t *testing.T) {
	t.Parallel()
	const calls = 3
	for _, tt := range []struct {
		name   string
		l      Limits
		closed int // of the connections of three calls side by side
	}{
		{"after their time", Limits{KeepAlive: 10 * time.Millisecond}, 3},
		{"beyond those of a host", Limits{IdlePerHost: 1}, 2},
		{"beyond all", Limits{Idle: 2}, 1},
		{"control", Limits{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{}, 2*calls)
			together := make(chan struct{}, calls)
			free := make(chan struct{})
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/together" {
					together <- struct{}{}
					<-free
				}
			}))
			s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					gone <- struct{}{}
				}
			}
			s.Start()
			t.Cleanup(s.Close)
			c := newClientFor(t, tt.l)
			ended := make(chan error, calls)
			for range calls {
				go func() {
					_, _, _, err := fetch(t.Context(), c, &sdk.Request{URL: s.URL + "/together"})
					ended <- err
				}()
			}
			for range calls {
				<-together
			}
			close(free)
			for range calls {
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
			}
			late, cancel := context.WithTimeout(t.Context(), generous)
			defer cancel()
			for range tt.closed {
				select {
				case <-gone:
				case <-late.Done():
					t.Fatal("the connections are kept")
				}
			}
			_, _, x, err := fetch(t.Context(), c, &sdk.Request{URL: s.URL})
			if err != nil || x[0].Reused != (tt.closed < calls) {
				t.Errorf("the next call: %v, on a used connection: %t", err, x[0].Reused)
			}
		})
	}
}
