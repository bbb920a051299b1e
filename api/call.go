package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// A call is one request on its way: the answer's writer, which remembers
// whether and how it was begun, and the request's id.
type call struct {
	http.ResponseWriter
	id     string
	r      *http.Request
	status int
}

// newCall gives each request an id of its own; one from outside is never
// trusted.
func newCall(w http.ResponseWriter, r *http.Request) *call {
	c := &call{ResponseWriter: w, id: rand.Text(), r: r}
	h := w.Header()
	h["X-Request-Id"] = []string{c.id}
	h["X-Content-Type-Options"] = nosniff()
	return c
}

func nosniff() []string { return []string{"nosniff"} }

// WriteHeader remembers the status.
func (c *call) WriteHeader(status int) {
	if c.status == 0 && status >= 200 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write begins the answer with 200 if it wasn't begun.
func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// fail answers with the problem, unless an answer has begun.
func (c *call) fail(p *Problem) {
	if c.status == 0 {
		c.complete(p).write(c)
	}
}

// complete names the request in a copy of the problem.
func (c *call) complete(p *Problem) *Problem {
	q := *p
	q.Instance, q.RequestID = c.r.URL.EscapedPath(), c.id
	return &q
}

type callKey struct{}

// request gives the request with c in its context.
func (c *call) request() *http.Request {
	r := c.r.WithContext(context.WithValue(c.r.Context(), callKey{}, c))
	if r.Method == http.MethodHead {
		// net/http leaves the body out by itself.
		r.Method = http.MethodGet
	}
	return r
}

// callOf gives the call of a context that request made; nil of another.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// end recovers a panic of a handler and writes the access log. It is deferred.
func (s *Server) end(c *call, began time.Time) {
	if v := recover(); v != nil {
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		s.log.Error("a handler panicked", "panic", v, "request_id", c.id, "method", c.r.Method, "path", c.logged(),
			"stack", string(debug.Stack()))
		if c.status != 0 {
			// Half an answer must not look like a whole one.
			panic(http.ErrAbortHandler)
		}
		c.fail(problemOf(nil))
	}
	if ctx := c.r.Context(); s.log.Enabled(ctx, slog.LevelDebug) {
		s.log.LogAttrs(ctx, slog.LevelDebug, "request", slog.String("request_id", c.id),
			slog.String("method", c.r.Method), slog.String("path", c.logged()), slog.Int("status", c.status),
			slog.Duration("took", time.Since(began)), slog.String("remote", c.r.RemoteAddr))
	}
}

// logged is the path as logs have it: without the ticket that begins an
// authorization, which may not be used up.
func (c *call) logged() string {
	if strings.HasPrefix(c.r.URL.Path, oauthStart) {
		return oauthStart + "***"
	}
	return c.r.URL.Path
}
