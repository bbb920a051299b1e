package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// fields makes a header of name, value, name, value.
func fields(list ...string) (h sdk.Header) {
	for i := 0; i < len(list); i += 2 {
		h.Add(list[i], list[i+1])
	}
	return h
}

func TestAHookReachesTheEngineAsItCame(t *testing.T) {
	t.Parallel()
	f := newFake()
	path := ""
	f.onHook = func(_ context.Context, p string, _ sdk.WebhookRequest) { path = p }
	r := httptest.NewRequest("PUT", "http://tappet.test/hooks/a%2Fb/%0d%0ac%20d?x=1&x=%32", strings.NewReader("raw \x00 body"))
	r.Header = http.Header{"X-B": {"2", "1"}, "X-A": {"0"}, "Authorization": {"Basic eDp5"}}
	w := do(newServer(t, f, nil), r)
	if w.Code != 202 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := sdk.WebhookRequest{
		Method: "PUT", Path: "a%2Fb/%0d%0ac%20d", Query: "x=1&x=%32", Body: []byte("raw \x00 body"), Remote: "192.0.2.1:1234",
		Header: fields("Authorization", "Basic eDp5", "Host", "tappet.test", "X-A", "0", "X-B", "2", "X-B", "1"),
	}
	if d := cmp.Diff(want, f.got); d != "" || path != want.Path {
		t.Errorf("path %q, (-want +got):\n%s", path, d)
	}
}

func TestWhatTheCallerOfAHookGets(t *testing.T) {
	t.Parallel()
	location := "/api/v1/runs/" + runID.String()
	accepted := `{"run":"` + runID.String() + `"`
	for _, c := range []struct {
		name   string
		res    engine.HookResult
		status int
		header http.Header
		body   string
	}{
		{"accepted", engine.HookResult{Run: runID}, 202, http.Header{"Location": {location}, "Content-Type": {"application/json"}}, accepted + "}\n"},
		{"stopped by the filter", engine.HookResult{Filtered: true}, 202, http.Header{}, `{"run":null,"outcome":"filtered"}` + "\n"},
		{"known already", engine.HookResult{Run: runID, Duplicate: true}, 202, http.Header{"Location": {location}}, accepted + `,"duplicate":true}` + "\n"},
		{"no event", engine.HookResult{}, 200, http.Header{"Location": nil}, "{\"run\":null}\n"},
		{
			"a result",
			engine.HookResult{Run: runID, Answer: &sdk.Answer{Body: []byte(`{"a":1}`)}},
			200,
			http.Header{"Content-Type": {"application/json"}, "Location": nil},
			`{"a":1}`,
		},
		{
			"HTML is in a sandbox",
			engine.HookResult{Run: runID, Answer: &sdk.Answer{Status: 418, Body: []byte("<b>"), Header: fields("content-type", "text/html", "X-Own", "1", "X-Own", "2")}},
			418,
			http.Header{"Content-Type": {"text/html"}, "X-Own": {"1", "2"}, "Content-Security-Policy": {"sandbox; default-src 'none'; frame-ancestors 'none'"}},
			"<b>",
		},
		{
			"fields that aren't the answer's to set",
			engine.HookResult{Answer: &sdk.Answer{Status: 201, Header: fields("Set-Cookie", "a=b", "X-Bad", "a\r\nX-Evil: 1", "X Bad", "1", "", "1", "Transfer-Encoding", "chunked", "Content-Length", "7", "nel", "{}", "Report-To", "{}", "content-security-policy", "none", "x-content-type-options", "sniff", "Retry-After", "3")}},
			201,
			http.Header{
				"Set-Cookie": nil, "X-Bad": nil, "X-Evil": nil, "X Bad": nil, "Transfer-Encoding": nil, "Content-Length": nil,
				"Nel": nil, "Report-To": nil,
				"X-Content-Type-Options": {"nosniff"}, "Retry-After": {"3"},
				"Content-Security-Policy": {"sandbox; default-src 'none'; frame-ancestors 'none'"},
			},
			"",
		},
		{"204 has no body", engine.HookResult{Answer: &sdk.Answer{Status: 204, Body: []byte("x")}}, 204, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.hook = c.res
			w := do(newServer(t, f, nil), httptest.NewRequest("POST", "/hooks/orders", nil))
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			for name, want := range c.header {
				if d := cmp.Diff(want, w.Header()[name]); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
		})
	}
}

func TestAnAnswerWithoutAValidStatusIsADefect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{-1, 1, 100, 103, 199, 600, 1000} {
		f := newFake()
		f.hook = engine.HookResult{Answer: &sdk.Answer{Status: status}}
		wantProblem(t, do(newServer(t, f, nil), httptest.NewRequest("POST", "/hooks/orders", nil)), 500, "internal")
	}
}

func TestAStrangerIsToldNoMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind   engine.Kind
		status int
		told   bool
	}{
		{engine.NotFound, 404, false},
		{engine.Unavailable, 503, false},
		{engine.Overloaded, 429, false},
		{engine.Internal, 500, false},
		{engine.Refused, 403, true},
		{engine.Invalid, 422, true},
		{engine.MethodNotAllowed, 405, true},
	} {
		f := newFake()
		f.err = &engine.Error{Kind: c.kind, Err: errors.New("the reason"), Allow: []string{"POST"}, RetryAfter: 3 * time.Second}
		w := do(newServer(t, f, nil), httptest.NewRequest("POST", "/hooks/orders", nil))
		p := wantProblem(t, w, c.status, string(c.kind))
		if strings.Contains(w.Body.String(), "reason") != c.told {
			t.Errorf("%s: %q", c.kind, p.Detail)
		}
		if (c.status == 503 || c.status == 429) && w.Header().Get("Retry-After") != "3" {
			t.Errorf("%s: Retry-After %q", c.kind, w.Header().Get("Retry-After"))
		}
	}
}

func TestSec08_EncodedBodiesAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), nil)
	for _, target := range []string{"/hooks/orders", "/api/v1/graphs"} {
		w := do(s, request("POST", target, "x", "Content-Encoding", "gzip", "Content-Type", "application/json"))
		wantProblem(t, w, 415, "unsupported_media_type")
		if w.Header().Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: %v", target, w.Header())
		}
	}
	if w := do(s, request("POST", "/hooks/orders", "x", "Content-Encoding", "identity")); w.Code != 202 {
		t.Errorf("identity: %d", w.Code)
	}
}

// Each request that is refused without its body is told for the inbox, once,
// with the type of the problem that its sender is told.
func TestWhatIsRefusedWithoutItsBodyIsToldForTheInbox(t *testing.T) {
	t.Parallel()
	post := func(body string, header ...string) *http.Request {
		return request("POST", "/hooks/orders", body, header...)
	}
	undeclared := func(r *http.Request) *http.Request { r.ContentLength = -1; return r }
	for name, c := range map[string]struct {
		r        *http.Request
		streams  bool
		routeErr error
		status   int
		told     string
	}{
		"encoded":              {r: post("x", "Content-Encoding", "gzip"), status: 415, told: "orders: unsupported_media_type: the content encoding"},
		"too long":             {r: post("123456"), status: 413, told: "orders: too_large: the body has more than 5 bytes"},
		"too long, undeclared": {r: undeclared(post("123456")), status: 413, told: "orders: too_large: the body has more than 5 bytes"},
		"broken off":           {r: httptest.NewRequest("POST", "/hooks/orders", iotest.ErrReader(io.ErrUnexpectedEOF)), status: 400, told: "orders: malformed: "},
		"too slow":             {r: httptest.NewRequest("POST", "/hooks/orders", iotest.ErrReader(os.ErrDeadlineExceeded)), status: 408, told: "orders: timeout: "},
		"files, too long":      {r: post("123456", "Content-Type", "image/png"), streams: true, status: 413, told: "orders: too_large: "},
		"another method": {
			r: post(""), routeErr: &engine.Error{Kind: engine.MethodNotAllowed, Allow: []string{"PUT"}, Err: errors.New("PUT is taken")},
			status: 405, told: "orders: method_not_allowed: PUT is taken",
		},
		"OFF since a moment": {
			r: post(""), routeErr: &engine.Error{Kind: engine.Unavailable, Err: errors.New("it was turned OFF")},
			status: 503, told: "orders: unavailable: it was turned OFF",
		},
		"nobody's":  {r: post("x", "Content-Encoding", "gzip"), routeErr: &engine.Error{Kind: engine.NotFound, Err: errors.New("none")}, status: 404},
		"it fits":   {r: post("12345"), status: 202},
		"none read": {r: post(""), status: 202},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.route, f.routeErr = engine.HookRoute{MaxBody: 5, Streams: c.streams}, c.routeErr
			if w := do(newServer(t, f, nil), c.r); w.Code != c.status {
				t.Errorf("%d %s; want %d", w.Code, w.Body, c.status)
			}
			told := []string{}
			for _, call := range f.calls {
				if call == "HookRefused" {
					told = append(told, fmt.Sprint(f.got))
				}
			}
			if c.told == "" && len(told) > 0 || c.told != "" && (len(told) != 1 || !strings.HasPrefix(told[0], c.told)) {
				t.Errorf("told %q, want %q", told, c.told)
			}
		})
	}
}

// What is refused while the trigger reads it is the engine's to keep: the error
// that the trigger gets says why.
func TestAStreamsFailureHasAReason(t *testing.T) {
	t.Parallel()
	for reason, body := range map[string]io.Reader{
		"too_large": strings.NewReader("123456"), "malformed": iotest.ErrReader(io.ErrUnexpectedEOF), "timeout": iotest.ErrReader(os.ErrDeadlineExceeded),
	} {
		var got error
		f := streaming(func(r sdk.WebhookRequest) error {
			_, got = io.Copy(io.Discard, r.Stream)
			return &engine.Error{Kind: engine.Invalid, Err: got}
		})
		f.route.MaxBody = 5
		r := httptest.NewRequest("POST", "/hooks/orders", body)
		r.Header.Set("Content-Type", "image/png")
		r.ContentLength = -1
		wantProblem(t, do(newServer(t, f, nil), r), map[string]int{"too_large": 413, "malformed": 400, "timeout": 408}[reason], reason)
		if sdk.ReasonOf(got) != reason || slices.Contains(f.calls, "HookRefused") {
			t.Errorf("%s: the trigger was told %q of %v, and the engine: %q", reason, sdk.ReasonOf(got), got, f.calls)
		}
	}
}

// serve listens on loopback with the timeouts of limits.
func serve(t *testing.T, f *fake, limits api.Limits) (addr string) {
	t.Helper()
	hs := newServer(t, f, func(o *api.Options) { o.Limits = limits }).HTTPServer("")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = hs.Serve(l) // http.ErrServerClosed
	}()
	t.Cleanup(func() { _ = hs.Close(); <-done })
	return l.Addr().String()
}

func dial(t *testing.T, addr, send string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSec08_SlowClientsAreCut(t *testing.T) {
	t.Parallel()
	addr := serve(t, newFake(), api.Limits{ReadHeader: 300 * time.Millisecond, Read: 600 * time.Millisecond})
	for name, send := range map[string]string{
		"in the header": "POST /hooks/orders HTTP/1.1\r\nHost: x\r\nX-",
		"in the body":   "POST /hooks/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
	} {
		answer, err := io.ReadAll(dial(t, addr, send)) // returns when the server has closed
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "in the body" && !strings.HasPrefix(string(answer), "HTTP/1.1 408") {
			t.Errorf("%s: %q", name, answer)
		}
	}
}

func TestALargeHeaderIsRefused(t *testing.T) {
	t.Parallel()
	addr := serve(t, newFake(), api.Limits{Header: 8 << 10})
	c := dial(t, addr, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 20<<10)+"\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "431") {
		t.Errorf("%q %v", line, err)
	}
}

func TestAWaitMayOutlastTheReadTimeout(t *testing.T) {
	t.Parallel()
	f := newFake()
	const read = 250 * time.Millisecond
	ended := make(chan error, 1)
	f.onHook = func(ctx context.Context, _ string, _ sdk.WebhookRequest) {
		select {
		case <-ctx.Done():
		case <-time.After(2 * read):
		}
		ended <- ctx.Err()
	}
	addr := serve(t, f, api.Limits{ReadHeader: read, Read: read})
	c := dial(t, addr, "POST /hooks/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.Contains(line, "202") {
		t.Errorf("%q %v", line, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the wait was cut: %v", err)
	}
}

func TestACallerWhoGoesAwayEndsTheWait(t *testing.T) {
	t.Parallel()
	f := newFake()
	in, out := make(chan struct{}), make(chan error, 1)
	f.onHook = func(ctx context.Context, _ string, _ sdk.WebhookRequest) {
		close(in)
		<-ctx.Done()
		out <- ctx.Err()
	}
	addr := serve(t, f, api.Limits{})
	c := dial(t, addr, "POST /hooks/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	<-in
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-out; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkHook(b *testing.B) {
	for _, size := range []int{300, 100 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			s := newServer(b, newFake(), func(o *api.Options) { o.Engine = hookOnly{newFake()} })
			benchmark(b, s, size)
		})
	}
}

// hookOnly doesn't remember its calls.
type hookOnly struct{ *fake }

func (h hookOnly) Hook(context.Context, string, sdk.WebhookRequest) (engine.HookResult, error) {
	return h.hook, nil
}

func benchmark(b *testing.B, h http.Handler, size int) {
	b.Helper()
	body := strings.Repeat("x", size)
	b.ReportAllocs()
	b.SetBytes(int64(size))
	var rd strings.Reader
	r := httptest.NewRequest("POST", "/hooks/task-completed", nil)
	r.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept": {"*/*"}, "X-Signature": {"abc"}}
	r.ContentLength = int64(size)
	w := &discard{header: http.Header{}}
	for b.Loop() {
		rd.Reset(body)
		r.Body = io.NopCloser(&rd)
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	if w.status != 202 {
		b.Fatal(w.status)
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(s int)           { d.status = s }
