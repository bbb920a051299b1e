package egress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"

	"github.com/tappet-dev/tappet/sdk"
)

// response makes the caller's response; from here on the body ends the exchange.
func (c *Client) response(resp *http.Response, r *sdk.Request, x *exchange, w *watch) *sdk.Response {
	limit := c.most(r)
	out := &sdk.Response{Status: resp.StatusCode, Size: resp.ContentLength}
	b := &body{wire: wire{raw: resp.Body, w: w, limit: limit, large: c.limits.ResponseBody}, size: resp.ContentLength, x: x, left: limit.bytes}
	b.decoded = &b.wire
	if resp.Request.Method != http.MethodHead && resp.ContentLength != 0 {
		if resp.ContentLength > limit.bytes {
			b.err = limit.passed()
		}
		switch coding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); coding {
		case "gzip", "x-gzip", "deflate", "br", "zstd":
			b.decoder = &decoder{coding: coding, src: &b.wire}
			b.decoded = b.decoder
			out.Size = -1
			resp.Header.Del("Content-Encoding")
			resp.Header.Del("Content-Length")
		}
	}
	out.Header = fields(resp.Header)
	out.Body = b
	return out
}

// fields lists a header in order of names: Go keeps none.
func fields(h http.Header) sdk.Header {
	n := 0
	names := make([]string, 0, len(h))
	for name, values := range h {
		names = append(names, name)
		n += len(values)
	}
	sort.Strings(names)
	list := make(sdk.Header, 0, n)
	for _, name := range names {
		for _, v := range h[name] {
			list.Add(name, v)
		}
	}
	return list
}

// A bound is how large a response's body may be, and the setting that says so;
// "" for the caller.
type bound struct {
	bytes   int64
	setting string
}

// most is the bound of the response to a request.
func (c *Client) most(r *sdk.Request) bound {
	switch {
	case r.MaxResponse <= 0:
		return bound{c.limits.ResponseBody, "limits.response_body"}
	case r.MaxResponse < c.limits.ResponseFile:
		return bound{r.MaxResponse, ""}
	}
	return bound{c.limits.ResponseFile, "limits.response_file"}
}

// passed is the error of a larger body.
func (b bound) passed() error {
	setting := b.setting
	if setting != "" {
		setting = " (" + setting + ")"
	}
	return sdk.Errorf(sdk.TooLarge, "the response's body is larger than its limit of %d bytes%s", b.bytes, setting)
}

// wire is a body as it comes from the connection: timed, counted, limited.
type wire struct {
	raw      io.ReadCloser
	w        *watch
	limit    bound
	received int64
	// large is of how many bytes it is a file's body, and the call may take longer.
	large int64
}

func (r *wire) Read(p []byte) (int, error) {
	r.w.wait()
	n, err := r.raw.Read(p)
	r.w.rest()
	if before := r.received; before <= r.large && before+int64(n) > r.large {
		r.w.extend(r.w.limits.wholeFile())
	}
	r.received += int64(n)
	switch {
	case err == nil && r.received > r.limit.bytes:
		return n, r.limit.passed()
	case err == nil || err == io.EOF:
		return n, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, classify(errTruncated, r.w)
	}
	return n, classify(err, r.w)
}

var errTruncated = &sdk.Error{
	Kind: sdk.Unavailable,
	Err:  errors.New("the connection ended before the response's body was whole"),
}

// body is the response's body for the caller.
type body struct {
	wire    wire
	decoded io.Reader // the wire or the decoder
	decoder *decoder  // nil: there is none
	size    int64     // on the wire, as declared; -1 if it isn't
	x       *exchange

	mu   sync.Mutex
	left int64
	err  error // sticky
	over bool
}

// Read gives decoded bytes, up to the limit.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		b.finish(b.err)
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one byte more tells whether it is too much
	}
	n, err := b.decoded.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), b.wire.limit.passed()
	}
	b.left -= int64(n)
	if err != nil {
		b.err = err
		b.finish(err)
	}
	return n, err
}

// Close frees the connection: what little is left is read, so that it can be
// used again, and otherwise it is closed. It is idempotent.
func (b *body) Close() error {
	if !b.mu.TryLock() { // somebody reads: that read is ended
		b.wire.w.cancel(context.Canceled)
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
		b.finish(nil)
	} else {
		b.finish(b.err)
	}
	return nil
}

// finish ends the exchange, once. A reader that stands before the end of what
// came (a decoder stops at its own) drains it within bounds.
func (b *body) finish(err error) {
	if b.over {
		return
	}
	b.over = true
	ended := errors.Is(err, io.EOF) && b.decoded == &b.wire
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && !ended && b.size-b.wire.received <= drainBytes {
		b.wire.w.drain(drainTime)
		n, _ := io.CopyN(io.Discard, b.wire.raw, drainBytes)
		b.wire.received += n
	}
	_ = b.wire.raw.Close()
	b.wire.w.stop()
	if b.decoder != nil {
		b.decoder.close()
	}
	b.x.end(b.wire.received, err)
}
