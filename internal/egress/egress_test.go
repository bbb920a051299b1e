package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tappet-dev/tappet/sdk"
)

// newClientFor returns a client that may reach the loopback network.
func newClientFor(t testing.TB, l Limits) *Client {
	t.Helper()
	c := New(Options{Allow: mustAllow(t, "127.0.0.0/8"), Limits: l})
	t.Cleanup(c.Close)
	return c
}

// serve starts a server that ends with the test.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// speak starts a server that answers each connection with raw bytes once a
// request's header was read; "" closes without an answer.
func speak(t testing.TB, answer string) string {
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
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, answer)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// fetch reads a response to its end.
func fetch(ctx context.Context, c *Client, r *sdk.Request) (status int, body string, x []Exchange, err error) {
	var mu sync.Mutex
	resp, err := c.Do(ctx, r, func(got Exchange) {
		mu.Lock()
		defer mu.Unlock()
		x = append(x, got)
	})
	if err != nil {
		return 0, "", x, err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp.Status, string(b), x, err
}

func text(s string) (io.Reader, int64, func() (io.ReadCloser, error)) {
	return strings.NewReader(s), int64(len(s)), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func TestSec10_InvalidRequestsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	c := newClientFor(t, Limits{RequestHeader: 1000})
	header := func(name, value string) *sdk.Request {
		return &sdk.Request{URL: s.URL, Header: sdk.Header{{Name: name, Value: value}}}
	}
	host := strings.TrimPrefix(s.URL, "http://")
	many := &sdk.Request{URL: s.URL}
	for range 200 {
		many.Header.Add("A", "b")
	}
	for name, tt := range map[string]struct {
		r    *sdk.Request
		says string
	}{
		"no url":              {&sdk.Request{}, "scheme"},
		"no scheme":           {&sdk.Request{URL: host + "/x"}, "url: "},
		"file":                {&sdk.Request{URL: "file:///etc/passwd"}, "neither http nor https"},
		"gopher":              {&sdk.Request{URL: "gopher://" + host}, "neither http nor https"},
		"opaque":              {&sdk.Request{URL: "http:" + host}, "no host"},
		"no host":             {&sdk.Request{URL: "http:///x"}, "no host"},
		"userinfo":            {&sdk.Request{URL: "http://u:s3cret@" + host}, "give credentials as a header"},
		"space":               {&sdk.Request{URL: s.URL + "/a b"}, "0x20; write it percent-encoded, as %20"},
		"line break":          {&sdk.Request{URL: s.URL + "/\r\nX: y"}, "0x0d"},
		"umlaut":              {&sdk.Request{URL: s.URL + "/ü"}, "as %C3"},
		"bad escape":          {&sdk.Request{URL: s.URL + "/%zz"}, "url: "},
		"bad port":            {&sdk.Request{URL: "http://127.0.0.1:99999/"}, "from 1 to 65535"},
		"bad host":            {&sdk.Request{URL: "http://a!b/"}, "xn--"},
		"not an IPv6 address": {&sdk.Request{URL: "http://[v1.x]/"}, "url: "},
		"method":              {&sdk.Request{Method: "GET /x HTTP/1.1\r\nA: b", URL: s.URL}, "method"},
		"connect":             {&sdk.Request{Method: "CONNECT", URL: s.URL}, "tunnel"},
		"name with space":     {header("A B", "x"), "is not a name"},
		"empty name":          {header("", "x"), "is not a name"},
		"name with colon":     {header("A:", "x"), "is not a name"},
		"CR LF in value":      {header("A", "x\r\nB: y"), "control character 0x0d at byte 1"},
		"LF in value":         {header("A", "x\ny"), "0x0a"},
		"NUL in value":        {header("A", "x\x00"), "0x00"},
		"content-length":      {header("content-length", "3"), "leave it out"},
		"transfer-encoding":   {header("Transfer-Encoding", "chunked"), "leave it out"},
		"upgrade":             {header("Upgrade", "h2c"), "leave it out"},
		"host":                {header("Host", "a b"), "Host: "},
		"host with a path":    {header("Host", "a/b"), "Host: "},
		"two hosts":           {&sdk.Request{URL: s.URL, Header: sdk.Header{{Name: "Host", Value: "a"}, {Name: "host", Value: "b"}}}, "more than once"},
		"too many":            {many, "more than 1000 bytes"},
		"size":                {&sdk.Request{URL: s.URL, Size: 5}, "there is none"},
	} {
		_, _, x, err := fetch(t.Context(), c, tt.r)
		if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want kind invalid saying %q", name, err, tt.says)
		}
		if len(x) != 1 || x[0].Kind != sdk.Invalid || strings.Contains(x[0].URL+x[0].Error+fmt.Sprint(err), "s3cret") {
			t.Errorf("%s: exchanges %+v, want one of kind invalid, without userinfo", name, x)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests were sent", hits.Load())
	}
}

func TestRequestGoesOutAsItIsWritten(t *testing.T) {
	t.Parallel()
	type seen struct {
		Line, Host, Body string
		Header           http.Header
	}
	var got seen
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = seen{r.Method + " " + r.RequestURI, r.Host, string(b), r.Header}
		w.Header().Set("X-B", "2")
		w.Header().Add("X-A", "1")
		w.Header().Add("X-A", "3")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short")
	})
	c := newClientFor(t, Limits{})
	body, size, reopen := text("hello")
	var x []Exchange
	resp, err := c.Do(t.Context(), &sdk.Request{
		Method: "PaTCH", URL: s.URL + "/a%2Fb|{c}//d?x=1&y={z}|&&q=%20+#frag", Body: body, Size: size, Reopen: reopen,
		Header: sdk.Header{{Name: "host", Value: "forms.example:8080"}, {Name: "x-key", Value: "a"}, {Name: "X-Key", Value: "ü"}},
	}, func(e Exchange) { x = append(x, e) })
	if err != nil {
		t.Fatal(err)
	}
	if len(x) != 0 {
		t.Error("the exchange was recorded before its end")
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil || string(answer) != "short" {
		t.Errorf("body %q, %v", answer, err)
	}
	for range 2 {
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	want := seen{"PaTCH /a%2Fb|{c}//d?x=1&y={z}|&&q=%20+", "forms.example:8080", "hello", http.Header{
		"Accept-Encoding": {"gzip, deflate, br, zstd"}, "Content-Length": {"5"}, "User-Agent": {"Tappet"}, "X-Key": {"a", "ü"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if resp.Status != http.StatusTeapot || resp.Size != 5 || resp.Header.Get("x-a") != "1" {
		t.Errorf("response %+v", resp)
	}
	wantX := Exchange{
		Method: "PaTCH", URL: s.URL + "/a%2Fb|{c}//d?x=1&y={z}|&&q=%20+#frag", Status: http.StatusTeapot,
		Remote: s.Listener.Addr().String(), Sent: 5, Received: 5,
	}
	if len(x) != 1 {
		t.Fatalf("%d exchanges, want one", len(x))
	}
	if diff := cmp.Diff(wantX, x[0], cmpopts.IgnoreTypes(time.Time{}, time.Duration(0))); diff != "" {
		t.Error(diff)
	}
	if x[0].Connect <= 0 || x[0].FirstByte <= 0 || x[0].Total < x[0].FirstByte || x[0].Started.IsZero() {
		t.Errorf("times are missing in %+v", x[0])
	}
}

// nobody is where nobody listens. A port that a listener has given up may be
// another test's in the next moment.
const nobody = "http://127.0.0.1:1"

func TestKindsOfFailures(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			_, _ = io.WriteString(w, "some")
			w.(http.Flusher).Flush()
		case "/drip":
			for range 1000 {
				if _, err := io.WriteString(w, "x"); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-hang:
					return
				case <-r.Context().Done():
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(secure.Close)
	ended, end := context.WithCancel(t.Context())
	end()
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	dns := newDNS(t, netip.MustParseAddr("127.0.0.1"))
	dns.resolver.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New("no name server")}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name string
		url  string
		ctx  context.Context
		l    Limits
		want sdk.Kind
	}{
		{"refused", nobody, nil, Limits{}, sdk.Unavailable},
		{"closed without an answer", speak(t, ""), nil, Limits{}, sdk.Unavailable},
		{"cut in the header", speak(t, ok+"A: b"), nil, Limits{}, sdk.Unavailable},
		{"cut in the body", speak(t, ok+"Content-Length: 10\r\n\r\nabc"), nil, Limits{}, sdk.Unavailable},
		{"cut in a chunk", speak(t, ok+"Transfer-Encoding: chunked\r\n\r\n5\r\nabc"), nil, Limits{}, sdk.Unavailable},
		{"not HTTP", speak(t, "SSH-2.0-OpenSSH_9.6\r\n\r\n"), nil, Limits{}, sdk.Failed},
		{"lying length", speak(t, ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), nil, Limits{}, sdk.Failed},
		{"a flood of headers", speak(t, ok+strings.Repeat("A: b\r\n", 2000)+"\r\n"), nil, Limits{ResponseHeader: 4096}, sdk.TooLarge},
		{"a declared length over the limit", speak(t, ok+"Content-Length: 99999999999\r\n\r\n"), nil, Limits{}, sdk.TooLarge},
		{"no first byte", slow.URL, nil, Limits{FirstByte: 20 * time.Millisecond}, sdk.Timeout},
		{"a body that stands still", slow.URL + "/body", nil, Limits{IdleRead: 20 * time.Millisecond}, sdk.Timeout},
		{"a body that drips", slow.URL + "/drip", nil, Limits{Whole: 60 * time.Millisecond}, sdk.Timeout},
		{"the caller's deadline", slow.URL, soon, Limits{}, sdk.Timeout},
		{"cancelled", slow.URL, ended, Limits{}, sdk.Cancelled},
		{"unknown authority", secure.URL, nil, Limits{}, sdk.Failed},
		{"https to http", "https" + strings.TrimPrefix(slow.URL, "http"), nil, Limits{}, sdk.Failed},
		{"name server down", "http://down.test/", nil, Limits{}, sdk.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Allow: mustAllow(t, "127.0.0.0/8"), Limits: tt.l}
			if strings.Contains(tt.url, "down.test") {
				o.Resolver = dns.resolver
			}
			c := New(o)
			defer c.Close()
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			_, _, x, err := fetch(ctx, c, &sdk.Request{URL: tt.url})
			var e *sdk.Error
			if !errors.As(err, &e) || e.Kind != tt.want {
				t.Errorf("%v (%T), want kind %s", err, err, tt.want)
			}
			if len(x) != 1 || x[0].Kind != tt.want || x[0].Error == "" {
				t.Errorf("exchanges %+v, want one of kind %s", x, tt.want)
			}
		})
	}
}

func TestNamesThatDoNotExist(t *testing.T) {
	t.Parallel()
	dns := newDNS(t, netip.MustParseAddr("127.0.0.1"))
	dns.missing.Store(true)
	c := New(Options{Resolver: dns.resolver})
	defer c.Close()
	if _, err := c.Do(t.Context(), &sdk.Request{URL: "http://missing.test/"}, nil); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("%v, want kind not_found", err)
	}
}

func TestTLSAndHTTP2WithOwnAuthorities(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	c := New(Options{Allow: mustAllow(t, "127.0.0.1"), RootCAs: pool})
	defer c.Close()
	_, got, x, err := fetch(t.Context(), c, &sdk.Request{URL: s.URL})
	if err != nil || got != "HTTP/2.0" || len(x) != 1 || x[0].TLS <= 0 {
		t.Errorf("%q, %v, exchanges %+v", got, err, x)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var dials atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/r" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 8000))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dials.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := newClientFor(t, Limits{})
	reused := 0
	for i := range 30 {
		url := s.URL
		if i%3 == 0 {
			url += "/r"
		}
		resp, err := c.Do(t.Context(), &sdk.Request{URL: url}, func(x Exchange) {
			if x.Reused {
				reused++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // the rest is read by Close
			_, err = io.ReadAll(resp.Body)
		}
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	// Without reuse there would be 40. The transport drops a connection whose
	// writer a busy machine doesn't let finish within 50 ms.
	if dials.Load() > 5 || reused < 25 {
		t.Errorf("%d connections, %d calls of 30 on a used one", dials.Load(), reused)
	}
}

func TestCloseWhileSomebodyReads(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	c := newClientFor(t, Limits{})
	resp, err := c.Do(t.Context(), &sdk.Request{URL: s.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := resp.Body.Read(make([]byte, 1))
		read <- err
	}()
	_ = resp.Body.Close()
	if err := <-read; err == nil {
		t.Error("the read gave no error")
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("GET", "http://a.example/b?c#d", "X-A", "b")
	f.Add("P\r\n", "http://u@[::1%25x]:80", "Host", "a:b")
	f.Add("", "https://xn--a/%zz", "A B", "\x7f")
	c := New(Options{})
	f.Fuzz(func(t *testing.T, method, url, name, value string) {
		out, err := c.request(&sdk.Request{Method: method, URL: url, Header: sdk.Header{{Name: name, Value: value}}})
		if err != nil {
			if sdk.KindOf(err) != sdk.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		req, err := out.build(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := req.Write(&b); err != nil {
			t.Fatalf("%s %q: %v", method, url, err)
		}
		back, err := http.ReadRequest(bufio.NewReader(&b))
		if err != nil {
			t.Fatalf("%s %q, %q: %q is read as %v", method, url, name, value, err)
		}
		if want := out.method; back.Method != want || len(back.Header) > 3 {
			t.Fatalf("%s %q, %q: %q is read as %+v", method, url, name, value, back)
		}
		withoutUserinfo(url)
	})
}

// What egress adds to a call of the bare transport.
func BenchmarkDo(b *testing.B) {
	s := serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	payload := strings.Repeat("x", 300)
	b.Run("egress", func(b *testing.B) {
		c := newClientFor(b, Limits{})
		b.ReportAllocs()
		for b.Loop() {
			r := &sdk.Request{Method: "POST", URL: s.URL}
			r.Body, r.Size, r.Reopen = text(payload)
			resp, err := c.Do(b.Context(), r, func(Exchange) {})
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	b.Run("bare", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{}}
		b.ReportAllocs()
		for b.Loop() {
			resp, err := client.Post(s.URL, "text/plain", strings.NewReader(payload))
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}
