package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/tappet-dev/tappet/internal/egress/governor"
	"github.com/tappet-dev/tappet/sdk"
)

// outgoing is a request that was checked: what is sent next, changed by each
// redirect.
type outgoing struct {
	method string
	url    *url.URL
	host   string // the Host header, "" for the URL's
	header http.Header
	// body opens the body for one more send; nil: there is none.
	body func() (io.ReadCloser, error)
	size int64
}

// request checks r before anything is sent; every error is of kind invalid.
func (c *Client) request(r *sdk.Request) (*outgoing, error) {
	out := &outgoing{method: r.Method}
	if out.method == "" {
		out.method = http.MethodGet
	}
	switch {
	case !isToken(out.method):
		return nil, sdk.Errorf(sdk.Invalid, "method %.40q is not a method such as GET or POST", r.Method)
	case out.method == http.MethodConnect:
		return nil, sdk.Errorf(sdk.Invalid, "method CONNECT opens a tunnel and can't be sent as a request")
	}
	var err error
	if out.url, err = parseURL(r.URL); err != nil {
		return nil, &sdk.Error{Kind: sdk.Invalid, Err: fmt.Errorf("url: %w", err)}
	}
	if err := out.setHeader(r.Header, c.limits.RequestHeader); err != nil {
		return nil, &sdk.Error{Kind: sdk.Invalid, Err: fmt.Errorf("header: %w", err)}
	}
	if _, ok := out.header["User-Agent"]; !ok {
		out.header["User-Agent"] = []string{c.userAgent}
	}
	if out.header["Accept-Encoding"] == nil && out.header["Range"] == nil {
		out.header["Accept-Encoding"] = []string{"gzip, deflate, br, zstd"}
	}
	switch {
	case r.Size < -1:
		return nil, sdk.Errorf(sdk.Invalid, "size %d of the body is neither a length nor -1", r.Size)
	case r.MaxResponse < 0:
		return nil, sdk.Errorf(sdk.Invalid, "max_response is %d; 0 or a number of bytes is wanted", r.MaxResponse)
	case r.Body == nil && r.Size > 0:
		return nil, sdk.Errorf(sdk.Invalid, "size of the body is %d, but there is none", r.Size)
	}
	return out, nil
}

// parseURL checks an absolute URL. It is sent as it is written: what would have
// to be rewritten is refused, with the spelling that would do.
func parseURL(s string) (*url.URL, error) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			return nil, fmt.Errorf("byte %d is 0x%02x; write it percent-encoded, as %%%02X", i, c, c)
		}
	}
	u, err := url.Parse(s)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) { // its text repeats the URL, which may hold a secret
			err = e.Err
		}
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("scheme %.20q is neither http nor https", u.Scheme)
	case u.Opaque != "" || u.Host == "":
		return nil, fmt.Errorf("it has no host; write it as %s://host/path", u.Scheme)
	case u.User != nil:
		return nil, fmt.Errorf("it holds a user name or password; give credentials as a header or a connection")
	}
	if err := checkHost(u.Host); err != nil {
		return nil, err
	}
	return u, nil
}

// checkHost checks host or host:port of a URL or a Host header.
func checkHost(hostport string) error {
	u := url.URL{Host: hostport}
	host, port := u.Hostname(), u.Port()
	if i := strings.LastIndexByte(hostport, ':'); port == "" && i >= 0 && !strings.Contains(hostport[i:], "]") && i != len(hostport)-1 {
		return fmt.Errorf("host %.80q has a port that is not a number", hostport)
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %.20s is not a number from 1 to 65535", port)
		}
	}
	if strings.HasPrefix(hostport, "[") {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return fmt.Errorf("host %.80q is not an IPv6 address in brackets", hostport)
		}
		return nil
	}
	if host == "" || len(host) > 253 {
		return fmt.Errorf("the host's name has %d bytes; 1 to 253 are wanted", len(host))
	}
	for i := range len(host) {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return fmt.Errorf("host %.80q is not made of letters, digits, dots and dashes; write an international name in its xn-- form", host)
		}
	}
	name := strings.TrimSuffix(host, ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	if isNumeric(last) {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("host %.80q is not an address; an IPv4 address has four decimal numbers", host)
		}
	}
	return nil
}

// isNumeric says whether a label is one that some resolvers take for a number:
// decimal, octal or hexadecimal.
func isNumeric(label string) bool {
	if len(label) >= 2 && label[0] == '0' && label[1]|0x20 == 'x' {
		return strings.Trim(strings.ToLower(label[2:]), "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// ours are the fields that the transport itself writes: a request that brings
// them could say two things at once.
func ours(canonical string) bool {
	switch canonical {
	case "Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// setHeader checks and copies the fields of h (RFC 9110, 5).
func (out *outgoing) setHeader(h sdk.Header, limit int) error {
	out.header = make(http.Header, len(h)+2)
	values := make([]string, 0, len(h)) // one array for all the fields
	size := 0
	for i := range h {
		name := h[i].Name
		if !isToken(name) {
			return fmt.Errorf("%.80q is not a name: letters, digits and !#$%%&'*+-.^_`|~ are wanted", name)
		}
		if j := badValue(h[i].Value); j >= 0 {
			return fmt.Errorf("%s: the value has the control character 0x%02x at byte %d", name, h[i].Value[j], j)
		}
		if size += len(name) + len(h[i].Value) + 4; size > limit {
			return fmt.Errorf("it has more than %d bytes (limits.request_header)", limit)
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case ours(canonical):
			return fmt.Errorf("%s is set by the transport; leave it out", name)
		case canonical == "Host":
			if out.host != "" {
				return errors.New("the Host header is there more than once")
			}
			if err := checkHost(h[i].Value); err != nil {
				return fmt.Errorf("value of Host: %w", err)
			}
			out.host = h[i].Value
			continue
		case (canonical == "Content-Type" || canonical == "User-Agent") && out.header[canonical] != nil:
			return fmt.Errorf("%s is there more than once", canonical)
		}
		if prev := out.header[canonical]; prev != nil {
			out.header[canonical] = append(prev, h[i].Value)
			continue
		}
		values = append(values, h[i].Value)
		out.header[canonical] = values[len(values)-1 : len(values) : len(values)]
	}
	return nil
}

// badValue gives the place of the first byte that a field's value can't hold:
// a control character other than a tab; -1 if there is none.
func badValue(v string) int {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return -1
}

// isToken says whether s is a token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// hostKey is the host that the request goes to, as the governor knows it.
func (out *outgoing) hostKey() governor.Key {
	port, _ := strconv.ParseUint(portOf(out.url), 10, 16) // it was checked
	return governor.Key{Host: strings.TrimSuffix(strings.ToLower(out.url.Hostname()), "."), Port: uint16(port)}
}

// build makes the transport's request, with the whole URL for a proxy that
// forwards it.
func (out *outgoing) build(ctx context.Context, forwarded bool) (*http.Request, error) {
	u := *out.url
	u.Fragment, u.RawFragment = "", ""
	// What Go would rewrite in a path goes out as it was written. A path that
	// begins with "//" can't, since it would be read as a host.
	if p := u.RawPath; p != "" && p != u.EscapedPath() && !strings.HasPrefix(p, "//") {
		u.Opaque = p
		if forwarded {
			u.Opaque = "//" + u.Host + p
		}
	}
	req := &http.Request{
		Method: out.method, URL: &u, Host: out.host, Header: out.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if out.body != nil {
		b, err := out.body()
		if err != nil {
			return nil, fmt.Errorf("open the body: %w", err)
		}
		req.Body, req.ContentLength, req.GetBody = b, out.size, out.body
	}
	return req.WithContext(ctx), nil
}

// source gives the function that opens the request's body: the body itself the
// first time, Reopen after that.
//
// A body in memory goes to the transport as it is, because the transport sends
// header and body in one write only if it knows the reader; its bytes are
// counted when all are sent.
func source(r *sdk.Request, x *exchange) func() (io.ReadCloser, error) {
	if r.Body == nil {
		return nil
	}
	first := true
	return func() (io.ReadCloser, error) {
		x.inMemory.Store(0)
		if first {
			first = false
			switch r.Body.(type) {
			case *bytes.Reader, *bytes.Buffer, *strings.Reader:
				x.inMemory.Store(max(r.Size, 0))
				return io.NopCloser(r.Body), nil
			}
			return &counted{r: r.Body, n: &x.sent}, nil
		}
		if r.Reopen == nil {
			return nil, errOnce
		}
		again, err := r.Reopen()
		if err != nil {
			return nil, err
		}
		return &counted{r: again, c: again, n: &x.sent}, nil
	}
}

var errOnce = errors.New("the body can be sent only once")

// counted counts what is read, and reads nothing more once it is closed: the
// transport may go on to send a body when its answer is already there.
type counted struct {
	r      io.Reader
	c      io.Closer // nil: the reader isn't ours to close
	n      *atomic.Int64
	closed atomic.Bool
}

func (b *counted) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.r.Read(p)
	b.n.Add(int64(n))
	return n, err
}

func (b *counted) Close() error {
	if b.closed.Swap(true) || b.c == nil {
		return nil
	}
	return b.c.Close()
}
