// Package client calls the REST API of Tappet from Go; the command line and
// the demo are built on it.
//
// It isn't a second description of the API: api/openapi.json is that. Its one
// rule: it knows only what goes over the wire and imports nothing of Tappet.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Client calls one server. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// Options are optional; the zero value works.
type Options struct {
	// HTTP sends the requests; nil: a client without a timeout of its own, so
	// the context bounds each call.
	HTTP *http.Client
}

// New makes a client of the server at base, such as "http://127.0.0.1:7700";
// no connection is made yet. It fails when base isn't an http or https URL.
func New(base, token string, o Options) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("read server address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("read server address: %q is not of the form http://host:port", base)
	}
	c := &Client{base: u, token: token, http: o.HTTP}
	if c.http == nil {
		c.http = &http.Client{}
	}
	return c, nil
}

// A Problem is a call's error as the server tells it (RFC 9457). Whoever gets
// an error of this package can ask for it with errors.As.
type Problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Instance  string         `json:"instance"`
	RequestID string         `json:"request_id"`
	Errors    []ProblemError `json:"errors"`
	Checks    []Check        `json:"checks"`
	// RetryAfter is how long the server asks to be left alone; 0: it doesn't.
	RetryAfter time.Duration `json:"-"`
}

// A ProblemError is one thing that is wrong with a request or its document.
type ProblemError struct {
	Pointer    string `json:"pointer"`
	Parameter  string `json:"parameter"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`
	Message    string `json:"message"`
	Code       string `json:"code"`
	Suggestion string `json:"suggestion"`
	Warning    bool   `json:"warning"`
}

// Error gives the status and all that is wrong, a line each.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", p.Detail, p.Status)
	for _, e := range p.Errors {
		b.WriteString("\n  ")
		b.WriteString(e.String())
	}
	return b.String()
}

// String gives place, message and suggestion on one line.
func (e ProblemError) String() string {
	var b strings.Builder
	switch {
	case e.Line > 0 && e.Column > 0:
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	case e.Line > 0:
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if place := e.Pointer + e.Parameter; place != "" {
		b.WriteString(place + ": ")
	}
	b.WriteString(e.Message)
	if e.Suggestion != "" {
		b.WriteString("; " + e.Suggestion)
	}
	return b.String()
}

// mostAnswer bounds what is read of an answer.
const mostAnswer = 64 << 20

// A call is one request.
type call struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte
}

// do sends a call and reads a good answer into out, if that isn't nil.
func (c *Client) do(ctx context.Context, k call, out any) (http.Header, error) {
	target := c.base.JoinPath(k.path)
	target.RawQuery = k.query.Encode()
	r, err := http.NewRequestWithContext(ctx, k.method, target.String(), bytes.NewReader(k.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range k.header {
		r.Header[name] = values
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("call server: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // all that matters has been read
	b, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer of %s %s: %w", k.method, target.Path, err)
	case len(b) > mostAnswer:
		return nil, fmt.Errorf("read answer of %s %s: it has more than %d bytes", k.method, target.Path, mostAnswer)
	case res.StatusCode >= 300:
		return nil, problemOf(res, b)
	}
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = b
	default:
		if err := json.Unmarshal(b, out); err != nil {
			return nil, fmt.Errorf("read answer of %s %s: %w", k.method, target.Path, err)
		}
	}
	return res.Header, nil
}

// problemOf reads a problem; an answer that is none comes from something else
// than Tappet, such as a proxy.
func problemOf(res *http.Response, b []byte) error {
	name, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // what can't be read isn't a problem's
	if name != "application/problem+json" {
		return fmt.Errorf("the server answered %s without a problem; is this a Tappet server?", res.Status)
	}
	p := &Problem{}
	if err := json.Unmarshal(b, p); err != nil {
		return fmt.Errorf("read problem of status %s: %w", res.Status, err)
	}
	if d, err := time.ParseDuration(res.Header.Get("Retry-After") + "s"); err == nil {
		p.RetryAfter = d
	}
	return p
}

// Is reports whether err is a problem of a type, such as "not_found".
func Is(err error, name string) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Type == "/problems/"+name
}

// path joins escaped segments below the API's root.
func path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/api/v1")
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// get is do for what needs no more than a path.
func get[T any](ctx context.Context, c *Client, query url.Values, segments ...string) (T, error) {
	var out T
	_, err := c.do(ctx, call{method: http.MethodGet, path: path(segments...), query: query}, &out)
	return out, err
}

// post is get for calls without a body.
func post[T any](ctx context.Context, c *Client, segments ...string) (T, error) {
	var out T
	_, err := c.do(ctx, call{method: http.MethodPost, path: path(segments...)}, &out)
	return out, err
}

// send is post with a body of JSON.
func send[T any](ctx context.Context, c *Client, body any, segments ...string) (T, error) {
	var out T
	b, err := json.Marshal(body)
	if err != nil {
		return out, fmt.Errorf("write request: %w", err)
	}
	_, err = c.do(ctx, call{
		method: http.MethodPost, path: path(segments...), body: b, header: http.Header{"Content-Type": {jsonType}},
	}, &out)
	return out, err
}
