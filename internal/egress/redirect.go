package egress

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// How much of a response's body that nobody wants is read, and for how long, so
// that its connection can be used again.
const (
	drainBytes = 64 << 10
	drainTime  = 250 * time.Millisecond
)

// follow sends out and what redirects make of it.
func (c *Client) follow(ctx context.Context, t *http.Transport, r *sdk.Request, out *outgoing, x *exchange) (*http.Response, error) {
	out.body, out.size = source(r, x), r.Size
	for hops := 0; ; hops++ {
		if err := c.checkProxied(out.url); err != nil {
			return nil, err
		}
		via, err := c.proxy.forwards(out.url)
		if err != nil {
			return nil, err
		}
		req, err := out.build(ctx, via != nil)
		if err != nil {
			return nil, err
		}
		if r.Reopen == nil {
			req.GetBody = nil
		}
		x.hop(out.url)
		resp, err := t.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		x.answered(resp.StatusCode, resp.Header)
		if resp.StatusCode == http.StatusSwitchingProtocols { // its body is the bare connection, which no limit ends
			_ = resp.Body.Close()
			return nil, sdk.Errorf(sdk.Failed, "the service goes over to another protocol (101), which wasn't asked for")
		}
		if c.limits.Redirects < 0 || !redirects(resp) {
			return resp, nil
		}
		// What is left of a short body is read, or its connection is lost.
		if resp.ContentLength >= 0 && resp.ContentLength <= drainBytes {
			_, _ = io.CopyN(io.Discard, resp.Body, drainBytes)
		}
		_ = resp.Body.Close()
		if hops == c.limits.Redirects {
			return nil, sdk.Errorf(sdk.Failed, "more than %d redirects; the service may send them round in a circle", hops)
		}
		if err := out.redirect(resp, r); err != nil {
			return nil, err
		}
		if r.Redirect != nil {
			if err := r.Redirect(out.url.String()); err != nil {
				return nil, err
			}
		}
		x.redirected(out.url.String())
		if err := c.acquire(ctx, out, x); err != nil {
			return nil, err
		}
	}
}

// redirects says whether a response sends the client elsewhere.
func redirects(resp *http.Response) bool {
	switch resp.StatusCode {
	case 301, 302, 303, 307, 308:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// redirect turns out into the request that the response asks for: 303 becomes a
// GET, and so does a POST after 301 and 302, as the fetch standard has it; 307
// and 308 repeat method and body. Another origin gets no credentials.
func (out *outgoing) redirect(resp *http.Response, r *sdk.Request) error {
	to, err := out.url.Parse(escape(resp.Header.Get("Location")))
	if err != nil {
		return sdk.Errorf(sdk.Failed, "the service redirects to an address that is no URL")
	}
	if to.Fragment == "" {
		to.Fragment = out.url.Fragment
	}
	if to, err = parseURL(to.String()); err != nil {
		return sdk.Errorf(sdk.Failed, "the service redirects to an address that can't be followed: %w", err)
	}
	// The transport may still be reading the fields of the request before.
	out.header = out.header.Clone()
	status := resp.StatusCode
	switch {
	case status == 303 && out.method != http.MethodHead && out.method != http.MethodGet,
		(status == 301 || status == 302) && out.method == http.MethodPost:
		out.method = http.MethodGet
		out.body, out.size = nil, 0
		for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Location"} {
			out.header.Del(name)
		}
	case out.body != nil && r.Reopen == nil:
		return sdk.Errorf(sdk.Failed, "the service redirects with %d, but %w", status, errOnce)
	}
	if !sameOrigin(out.url, to) {
		out.host = ""
		for name := range out.header {
			if credential(name) {
				out.header.Del(name)
			}
		}
	}
	out.url = to
	return nil
}

// escape percent-encodes what servers shouldn't put into Location, but do.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// sameOrigin compares scheme, host and port (RFC 6454).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// credential names the fields that never go to another origin: those of the
// standards, and whatever calls itself a key, a token or a secret. The key that
// makes repeats harmless is no credential.
func credential(canonical string) bool {
	if canonical == "Idempotency-Key" {
		return false
	}
	for word := range strings.SplitSeq(strings.ToLower(canonical), "-") {
		switch word {
		case "authorization", "authenticate", "authentication", "auth", "cookie", "cookie2", "credential", "credentials",
			"key", "apikey", "token", "secret", "password", "passwd", "signature", "session", "sessionid":
			return true
		}
	}
	return false
}
