package egress

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

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
	most, whose := c.limits.Redirects, "limits.redirects"
	if r.MaxRedirects != 0 && r.MaxRedirects < most {
		most, whose = r.MaxRedirects, "the request's own limit"
	}
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
		if most < 0 || !redirects(resp) {
			return resp, nil
		}
		// What is left of a short body is read, or its connection is lost.
		if resp.ContentLength >= 0 && resp.ContentLength <= drainBytes {
			_, _ = io.CopyN(io.Discard, resp.Body, drainBytes)
		}
		_ = resp.Body.Close()
		if hops == most {
			return nil, sdk.Errorf(sdk.Failed, "more than %d redirects (%s); the service may send them round in a circle", hops, whose)
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
// and 308 repeat method and body. Another origin gets the fields that are
// carried alone, and another site no body.
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
	case out.body != nil:
		if why := withhold(out.url, to); why != "" {
			return sdk.Errorf(sdk.Denied, "the service redirects with %d to %s://%s, where the body must not go: %s; call that address itself",
				status, to.Scheme, to.Host, why)
		}
	}
	if !sameOrigin(out.url, to) {
		out.host = ""
		for name := range out.header {
			if !carried(name) {
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

// carried names the fields that a request to another origin keeps: what is
// wanted, what the body is, which call it is. Any other may be meant for the
// first origin alone, whatever its name: nobody here can tell.
func carried(canonical string) bool {
	switch canonical {
	case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Prefer", "User-Agent",
		"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range",
		"Content-Digest", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location", "Content-Md5",
		"Content-Type", "Digest", "Repr-Digest",
		"Idempotency-Key", "Traceparent", "Tracestate":
		return true
	}
	return false
}

// withhold says why a body that was meant for one URL doesn't go on to another,
// "" if it does: to the same site, and never out of TLS. The first may send
// requests on to whoever has written a link, and the body is the graph's data.
func withhold(from, to *url.URL) string {
	switch {
	case sameOrigin(from, to):
		return ""
	case from.Scheme == "https" && to.Scheme != "https":
		return "that isn't TLS any more"
	case site(from) != site(to):
		return "that is another site"
	}
	return ""
}

// site is what hosts of one owner have in common: the name that was registered,
// one label below a public suffix, or the host itself where there is none.
func site(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if name, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return name
	}
	return host
}
