package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/sdk"
)

// wired is a host whose requests go out through the real transport.
type wired struct {
	sdk.Host
	client    *egress.Client
	exchanges []egress.Exchange
}

func (h *wired) HTTP(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	return h.client.Do(ctx, r, func(x egress.Exchange) { h.exchanges = append(h.exchanges, x) })
}

func (h *wired) Now() time.Time { return time.Now() }

func (h *wired) Log(context.Context, sdk.Level, string, ...any) {}

func newWired(t testing.TB, allow ...string) *wired {
	t.Helper()
	a, err := egress.ParseAllow(allow)
	if err != nil {
		t.Fatal(err)
	}
	h := &wired{client: egress.New(egress.Options{Allow: a})}
	t.Cleanup(h.client.Close)
	return h
}

func TestS4_S26_ThroughTheTransport(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", "Tue, 24 Nov 2026 10:00:00 GMT")
		if r.URL.Path == "/busy" {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(nethttp.StatusServiceUnavailable)
		}
		fmt.Fprintf(w, `{"line":%q,"type":%q,"key":%q,"auth":%q,"body":%s}`, r.Method+" "+r.RequestURI,
			r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), b)
	}))
	defer s.Close()
	h := newWired(t, s.Listener.Addr().String())
	do := func(path string) (string, error) {
		r, err := action(t, "post").Do(t.Context(), h, sdk.ActionCall{IdempotencyKey: "key-1", Input: with(t,
			`{"url":"`+s.URL+path+`","query":{"b":[1,null]},"body":{"title":"done","due":null}}`)})
		return string(r.Output), err
	}
	want := func(status int, more, path string) string {
		return fmt.Sprintf(`{"status":%d,"headers":{"content-length":"%%d","content-type":"application/json",`+
			`"date":"Tue, 24 Nov 2026 10:00:00 GMT"%s},"body":{"line":"POST %s","type":"application/json","key":"key-1","auth":"","body":{"title":"done","due":null}}}`,
			status, more, path)
	}
	got, err := do("/hook?a=%20|x")
	if w := fmt.Sprintf(want(200, "", "/hook?a=%%20|x&b=1&b="), 123); err != nil || anyLength(got) != anyLength(w) {
		t.Errorf("%s, %v, want %s", got, err, w)
	}
	got, err = do("/busy")
	if w := fmt.Sprintf(want(503, `,"retry-after":"7"`, "/busy?b=1&b="), 123); anyLength(got) != anyLength(w) {
		t.Errorf("%s, want %s", got, w)
	}
	if e, ok := err.(*sdk.Error); !ok || e.Kind != sdk.Unavailable || e.RetryAfter != 7*time.Second { //nolint:errorlint // it is the connector's own
		t.Errorf("%v, want kind unavailable in 7s", err)
	}
	if len(h.exchanges) != 2 || h.exchanges[1].Status != 503 || h.exchanges[1].Sent != 27 {
		t.Errorf("exchanges %+v", h.exchanges)
	}
}

// anyLength blanks the value of content-length.
func anyLength(s string) string {
	const field = `"content-length":"`
	i := strings.Index(s, field)
	if i < 0 {
		return s
	}
	i += len(field)
	return s[:i] + s[i+strings.IndexByte(s[i:], '"'):]
}

func TestSec01_ConnectorIsGuarded(t *testing.T) {
	t.Parallel()
	h := newWired(t)
	_, err := action(t, "get").Do(t.Context(), h, sdk.ActionCall{Input: with(t, `{"url":"http://169.254.169.254/latest/meta-data"}`)})
	if kindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "http.get: ") || !strings.Contains(err.Error(), "egress.allow") {
		t.Errorf("%v, want kind denied", err)
	}
}

// A redirect that keeps the method sends the body again, files included; an
// answer before the body's end leaves no file open.
func TestS28_FilesThroughTheTransport(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 100_000)
	s := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/moved":
			nethttp.Redirect(w, r, "/form?"+r.URL.RawQuery, nethttp.StatusTemporaryRedirect)
			return
		case "/early":
			w.WriteHeader(nethttp.StatusRequestEntityTooLarge)
			return
		}
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
			return
		}
		f, head, err := r.FormFile("file")
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(f)
		if err != nil || string(b) != content {
			t.Errorf("the file has %d bytes, %v", len(b), err)
		}
		fmt.Fprintf(w, "%s %s %s %s", head.Filename, r.FormValue("note"), r.URL.RawQuery, r.Header.Get("X-A"))
	}))
	defer s.Close()
	h := &filed{wired: newWired(t, s.Listener.Addr().String())}
	f := h.put("1", "a.txt", "text/plain", content)
	do := func(path string) (string, error) {
		r, err := action(t, "custom").Do(t.Context(), h, sdk.ActionCall{IdempotencyKey: "key-1", Input: with(t,
			`{"method":"POST","url":"`+s.URL+path+`","headers":{"X-A":"1"},"query":{"q":2},"form_data":{"note":"n","file":`+f+`}}`)})
		if h.open != 0 {
			t.Errorf("%s: %d files are left open", path, h.open)
		}
		return string(r.Output), err
	}
	for _, path := range []string{"/form", "/moved"} {
		if out, err := do(path); err != nil || !strings.HasSuffix(out, `"body":"a.txt n q=2 1"}`) {
			t.Errorf("%s: %s, %v", path, out, err)
		}
	}
	if _, err := do("/early"); kindOf(err) != sdk.TooLarge && kindOf(err) != sdk.Unavailable {
		t.Errorf("an early answer: %v", err)
	}
}

// An answer that isn't what it says fails the call with the reason.
func TestS9_TruncatedAndLyingAnswers(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "\x89PNG")
		case "/json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "<html>")
		case "/png":
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Disposition", `attachment; filename="a.png"`)
			_, _ = io.WriteString(w, "\x89PNG")
		}
	}))
	defer s.Close()
	h := &filed{wired: newWired(t, s.Listener.Addr().String())}
	for path, want := range map[string]struct {
		kind       sdk.Kind
		says, body string
	}{
		"/cut":  {sdk.Unavailable, "before the response's body was whole", ""},
		"/json": {sdk.Failed, "the response is not JSON: byte 0", `"body":"<html>"}`},
		"/png":  {"", "", `"body":{"file":"new-0","name":"a.png","type":"image/png","size":4}}`},
	} {
		r, err := action(t, "get").Do(t.Context(), h, sdk.ActionCall{Input: with(t, `{"url":"`+s.URL+path+`"}`)})
		if kindOf(err) != want.kind || !strings.Contains(fmt.Sprint(err), want.says) || !strings.HasSuffix(string(r.Output), want.body) || (len(r.Output) == 0) != (want.body == "") {
			t.Errorf("%s: %v, %s; want kind %q saying %q, output %q", path, err, r.Output, want.kind, want.says, want.body)
		}
	}
}

// A step says how many redirects are followed. With 0 the redirect is the answer,
// and its address can be mapped; any other status outside 200–299 still fails.
func TestRedirectsOfAStep(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch n, err := strconv.Atoi(r.URL.Path[1:]); {
		case err != nil:
			w.WriteHeader(nethttp.StatusNotModified)
		case n > 0:
			w.Header().Set("Location", fmt.Sprintf("/%d", n-1))
			w.WriteHeader([]int{301, 302, 303, 307, 308}[n%5])
		}
	}))
	defer s.Close()
	h := newWired(t, s.Listener.Addr().String())
	for _, tt := range []struct {
		path, redirects string
		kind            sdk.Kind
		want            string // what is followed, and where the answer leads
	}{
		{"/10", ``, "", "10 200"},
		{"/11", ``, sdk.Failed, "10"},
		{"/5", `,"redirects":null`, "", "5 200"},
		{"/5", `,"redirects":5`, "", "5 200"},
		{"/5", `,"redirects":4.0`, sdk.Failed, "4"},
		{"/1", `,"redirects":0`, "", "0 302 /0"},
		{"/2", `,"redirects":0`, "", "0 303 /1"},
		{"/4", `,"redirects":0`, "", "0 308 /3"},
		{"/0", `,"redirects":0`, "", "0 200"},
		{"/x", `,"redirects":0`, sdk.Failed, "0 304"},
	} {
		for _, name := range []string{"get", "post", "put", "custom"} {
			method := ""
			if name == "custom" {
				method = `"method":"DELETE",`
			}
			r, err := action(t, name).Do(t.Context(), h, sdk.ActionCall{Input: with(t, `{`+method+`"url":"`+s.URL+tt.path+`"`+tt.redirects+`}`)})
			got := strconv.Itoa(len(h.exchanges[len(h.exchanges)-1].Redirects))
			if r.Output != nil {
				var out struct {
					Status  int
					Headers map[string]string
				}
				if err := json.Unmarshal(r.Output, &out); err != nil {
					t.Fatal(err)
				}
				got = strings.TrimSpace(fmt.Sprint(got, " ", out.Status, " ", out.Headers["location"]))
			}
			if err == nil && tt.kind != "" || err != nil && kindOf(err) != tt.kind || got != tt.want {
				t.Errorf("%s %s%s: %q, %v, want %q and kind %q", name, tt.path, tt.redirects, got, err, tt.want, tt.kind)
			}
		}
	}
}

// A redirect to another origin takes no header of the graph along, whatever it is
// called: any may hold a secret. The control is the redirect to the same origin.
func TestSec10_HeadersStayWithTheirOrigin(t *testing.T) {
	t.Parallel()
	seen := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, r.Header.Get("X-Acme")+" "+r.Header.Get("Accept"))
	}
	other := httptest.NewServer(nethttp.HandlerFunc(seen))
	defer other.Close()
	s := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/away":
			nethttp.Redirect(w, r, other.URL, nethttp.StatusTemporaryRedirect)
		case "/home":
			nethttp.Redirect(w, r, "/end", nethttp.StatusTemporaryRedirect)
		default:
			seen(w, r)
		}
	}))
	defer s.Close()
	h := newWired(t, s.Listener.Addr().String(), other.Listener.Addr().String())
	for path, want := range map[string]string{"/away": `" text/plain"`, "/home": `"s3cret text/plain"`} {
		r, err := action(t, "get").Do(t.Context(), h, sdk.ActionCall{Input: with(t,
			`{"url":"`+s.URL+path+`","headers":{"X-Acme":"s3cret","Accept":"text/plain"}}`)})
		if err != nil || !strings.HasSuffix(string(r.Output), `"body":`+want+`}`) {
			t.Errorf("%s: %s, %v, want %s", path, r.Output, err, want)
		}
	}
}
