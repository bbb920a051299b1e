package egress

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

// A capture is what the other side read and wrote, byte by byte, under TLS too.
func TestACaptureIsWhatCrossedTheWire(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 201 Created\r\nx-odd-case: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	hijack := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
	}
	plain := serve(t, hijack)
	secure := httptest.NewTLSServer(http.HandlerFunc(hijack))
	t.Cleanup(secure.Close)
	pool := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := New(Options{Allow: mustAllow(t, "127.0.0.0/8"), RootCAs: pool})
	t.Cleanup(c.Close)
	for _, s := range []*httptest.Server{plain, secure} {
		var got Capture
		var x Exchange
		r := &sdk.Request{Method: "POST", URL: s.URL + "/a?b=c", Header: sdk.Header{{Name: "authorization", Value: "Bearer x"}}}
		r.Body, r.Size, r.Reopen = text("hi")
		resp, err := c.Send(t.Context(), r, Call{Capture: func(c Capture) { got = c }, Record: func(e Exchange) { x = e }})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != "hello" || resp.Status != 201 || x.Status != 201 || x.Sent != 2 || x.Connect <= 0 || (x.TLS > 0) != (s == secure) {
			t.Errorf("%q, %v, %+v", body, err, x)
		}
		host := s.Listener.Addr().String()
		want := "POST /a?b=c HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: Tappet\r\nContent-Length: 2\r\n" +
			"Accept-Encoding: gzip, deflate, br, zstd\r\nAuthorization: Bearer x\r\n\r\nhi"
		if len(got.Hops) != 1 {
			t.Fatalf("%d hops", len(got.Hops))
		}
		if diff := cmp.Diff(want, string(got.Hops[0].Request)); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(answer, string(got.Hops[0].Response)); diff != "" {
			t.Errorf("response (-want +got):\n%s", diff)
		}
	}
}

func TestACaptureFollowsRedirectsAndIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begin" {
			http.Redirect(w, r, "/end", http.StatusSeeOther)
			return
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), 5000))
	})
	c := newClientFor(t, Limits{Captured: 1000})
	var got Capture
	resp, err := c.Send(t.Context(), &sdk.Request{URL: s.URL + "/begin"}, Call{Capture: func(c Capture) { got = c }})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 5000 || err != nil {
		t.Errorf("the call itself got %d bytes, %v", n, err)
	}
	_ = resp.Body.Close()
	if len(got.Hops) != 2 || !strings.HasPrefix(string(got.Hops[0].Request), "GET /begin ") || !strings.HasPrefix(string(got.Hops[1].Request), "GET /end ") {
		t.Fatalf("%d hops: %+v", len(got.Hops), got.Hops)
	}
	if h := got.Hops[0]; h.URL != s.URL+"/begin" || !strings.Contains(string(h.Response), "Location: /end") || h.ResponseCut {
		t.Errorf("the redirect: %q", h.Response)
	}
	if h := got.Hops[1]; h.URL != s.URL+"/end" || len(h.Response) != 1000 || !h.ResponseCut || h.RequestCut {
		t.Errorf("the end: %d bytes, cut %t", len(h.Response), h.ResponseCut)
	}
	// What can't be sent is captured too: nothing.
	got = Capture{Hops: make([]Hop, 9)}
	if _, err := c.Send(t.Context(), &sdk.Request{URL: "http://10.0.0.1/"}, Call{Capture: func(c Capture) { got = c }}); sdk.KindOf(err) != sdk.Denied || len(got.Hops) != 1 || got.Hops[0].Request != nil {
		t.Errorf("%v, captured %+v", err, got)
	}
}
