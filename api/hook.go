package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// hookPolicy keeps what a run or a trigger returns from being a page on the
// origin of the API and the editor, whatever its type (security.md 07).
const hookPolicy = "sandbox; default-src 'none'; frame-ancestors 'none'"

// hook gives a request to the engine. A caller who goes away ends the wait,
// not the run.
func (s *Server) hook(c *call, path string) {
	r := c.r
	// The body of a request that no graph takes isn't read.
	route, err := s.engine.HookRoute(path, r.Method)
	if err != nil {
		p := s.problem(c, err)
		if p.Status != http.StatusNotFound { // else it is nobody's
			s.hookRefused(c, path, p)
		}
		c.fail(public(p))
		return
	}
	if p := identity(r.Header); p != nil {
		s.hookRefused(c, path, p)
		c.fail(p)
		return
	}
	share := share{of: &s.bodies}
	defer share.free()
	streams := route.Streams && r.ContentLength != 0 && goesIntoFiles(r.Header.Get("Content-Type"))
	limit := s.bodyBound(route, streams, &share)
	var res engine.HookResult
	if streams {
		res, err = s.hookStream(c, path, limit, &share)
	} else {
		res, err = s.hookBody(c, path, limit)
	}
	if p, ok := errors.AsType[*Problem](err); ok { // with the body: it names the limit
		c.fail(p)
		return
	}
	if err != nil {
		c.fail(public(s.problem(c, err)))
		return
	}
	if res.Answer != nil {
		s.answer(c, res)
		return
	}
	accepted(c, res)
}

// hookRefused has a request kept that is refused without its body.
func (s *Server) hookRefused(c *call, path string, p *Problem) {
	s.engine.HookRefused(c.r.Context(), path, sdk.WebhookRequest{
		Method: c.r.Method, Path: path, Query: c.r.URL.RawQuery, Header: headerOf(c.r), Remote: s.proxies.remote(c.r),
	}, p.kind(), p.Detail)
}

// hookBody reads the body into memory.
func (s *Server) hookBody(c *call, path string, limit bound) (engine.HookResult, error) {
	body, p := read(c.r, limit)
	if p != nil {
		s.hookRefused(c, path, p)
		return engine.HookResult{}, p
	}
	return s.engine.Hook(c.r.Context(), path, sdk.WebhookRequest{
		Method: c.r.Method, Path: path, Query: c.r.URL.RawQuery, Header: headerOf(c.r), Body: body,
		Remote: s.proxies.remote(c.r),
	})
}

// hookStream hands the body on as it arrives.
func (s *Server) hookStream(c *call, path string, limit bound, sh *share) (engine.HookResult, error) {
	if c.r.ContentLength > limit.bytes {
		p := limit.exceeded()
		s.hookRefused(c, path, p)
		return engine.HookResult{}, p
	}
	body, done, p := s.stream(c, limit, sh)
	if p != nil {
		s.hookRefused(c, path, p)
		return engine.HookResult{}, p
	}
	defer done()
	res, err := s.engine.Hook(c.r.Context(), path, sdk.WebhookRequest{
		Method: c.r.Method, Path: path, Query: c.r.URL.RawQuery, Header: headerOf(c.r), Stream: body,
		Remote: s.proxies.remote(c.r),
	})
	if err != nil && body.failed != nil {
		return res, body.failed // whatever the trigger has made of it; the engine has kept it
	}
	return res, err
}

// accepted answers that the event is durable and where its run is.
func accepted(c *call, res engine.HookResult) {
	h := c.Header()
	h["Content-Type"] = []string{jsonType}
	if res.Filtered {
		c.WriteHeader(http.StatusAccepted)
		_, _ = c.Write([]byte("{\"run\":null,\"outcome\":\"filtered\"}\n")) // a caller who is gone can't be told
		return
	}
	if res.Run.IsZero() {
		c.WriteHeader(http.StatusOK)
		_, _ = c.Write([]byte("{\"run\":null}\n")) // a caller who is gone can't be told
		return
	}
	location := runsPath + res.Run.String()
	h["Location"] = []string{location}
	b := make([]byte, 0, 96)
	b = append(append(append(b, `{"run":"`...), location[len(runsPath):]...), '"')
	if res.Duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	c.WriteHeader(http.StatusAccepted)
	_, _ = c.Write(append(b, '}', '\n')) // a caller who is gone can't be told
}

const runsPath = "/api/v1/runs/"

// answer sends what the trigger or the run gives.
func (s *Server) answer(c *call, res engine.HookResult) {
	a, h := res.Answer, c.Header()
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status < 200 || status > 599 {
		s.log.Error("an answer to a webhook has a status that isn't from 200 to 599", "status", status,
			"request_id", c.id, "run", res.Run.String())
		c.fail(problemOf(nil))
		return
	}
	for _, f := range a.Header {
		name := http.CanonicalHeaderKey(f.Name)
		if !mayAnswer(name) || !validField(f) {
			s.log.Warn("a header of an answer to a webhook was left out", "header", f.Name, "request_id", c.id,
				"run", res.Run.String())
			continue
		}
		h[name] = append(h[name], f.Value)
	}
	if len(a.Body) > 0 && h["Content-Type"] == nil {
		h["Content-Type"] = []string{jsonType}
	}
	h["Content-Security-Policy"] = []string{hookPolicy}
	c.WriteHeader(status)
	if status != http.StatusNoContent && status != http.StatusNotModified {
		_, _ = c.Write(a.Body) // a caller who is gone can't be told
	}
}

// mayAnswer refuses the fields that are the connection's or the origin's, not
// the answer's.
func mayAnswer(canonical string) bool {
	switch canonical {
	case "Connection", "Content-Length", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade",
		"Accept-Ch", "Alt-Svc", "Clear-Site-Data", "Content-Security-Policy", "Critical-Ch", "Nel", "Origin-Agent-Cluster",
		"Report-To", "Reporting-Endpoints", "Service-Worker-Allowed", "Set-Cookie", "Set-Cookie2",
		"Strict-Transport-Security", "X-Content-Type-Options", "X-Request-Id":
		return false
	}
	return true
}

// validField says whether name and value are those of RFC 9110, 5.1 and 5.5.
func validField(f sdk.Pair) bool {
	for i := range len(f.Value) {
		if c := f.Value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	for i := range len(f.Name) {
		c := f.Name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return f.Name != ""
}

// headerOf lists the header by name, so that the same request always gives the
// same event. Host, which net/http keeps apart, is among them.
func headerOf(r *http.Request) sdk.Header {
	names := make([]string, 0, len(r.Header)+1)
	n := 1
	for name, values := range r.Header {
		names = append(names, name)
		n += len(values)
	}
	names = append(names, "Host")
	slices.Sort(names)
	h := make(sdk.Header, 0, n)
	for _, name := range names {
		if name == "Host" {
			h = append(h, sdk.Pair{Name: name, Value: r.Host})
			continue
		}
		for _, v := range r.Header[name] {
			h = append(h, sdk.Pair{Name: name, Value: v})
		}
	}
	return h
}

// public leaves out what a stranger needn't know: hooks are open to all.
func public(p *Problem) *Problem {
	q := *p
	switch q.Status {
	case http.StatusNotFound:
		q.Detail, q.Errors = "no active graph takes requests at this path", nil
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		q.Detail, q.Errors = "come again after the time that Retry-After gives", nil
	}
	return &q
}
